"""`tiwei up` as it is run: a process of its own, real parts, killed in every way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import asyncpg
import pytest

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.postgres import PostgresServer
from tests.conftest import RunningBroker, drop_database, new_database
from tests.waiting import until, works

DEVICE = "tests-only-device"
TOPIC = "se/v1/310115/lift/LIFT-1/status"
#: Protocol §8: SIGTERM ends it within 10 s.
END_S = 10.0


class Up:
    """One `tiwei up`."""

    def __init__(self, data_dir: Path, **env: str) -> None:
        self.data_dir = data_dir
        chosen = {
            "TIWEI_DATA_DIR": str(data_dir),
            "TIWEI_MQTT_PORT": "0",
            "TIWEI_MQTT_DEVICE_PASSWORD": DEVICE,
            "TIWEI_MQTT_ACK_WAIT_S": "1.5",  # a monitor that comes back waits that long before it connects
        }
        chosen |= env
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TIWEI_")}
        self._out = data_dir.with_name(f"{data_dir.name}.{time.monotonic_ns()}.out")
        self._err = self._out.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "up"], stdout=out, stderr=err, env=clean | chosen
            )

    @property
    def ready(self) -> dict[str, str]:
        """URLs of what is ready, by part."""
        lines = [json.loads(line) for line in self._out.read_text().splitlines()]
        return {line["ready"]: line["url"] for line in lines}

    @property
    def log(self) -> str:
        return self._err.read_text()

    def wait_ready(self) -> Up:
        until(lambda: {"mqtt", "http"} <= set(self.ready) or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.log
        return self

    @property
    def processes(self) -> dict[str, int]:
        """Its direct children by what they are."""
        found = {}
        for pid in children(self.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            ours = {"monitor", "api"} & set(words[-2:])
            found[ours.pop() if ours else Path(words[0]).name] = pid
        return found

    @property
    def mqtt_port(self) -> int:
        return urlsplit(self.ready["mqtt"]).port or 0

    @property
    def database_url(self) -> str:
        """With the password that stands in no ready line."""
        password = (self.data_dir / "postgres/password").read_text().strip()
        return self.ready["database"].replace("tiwei@", f"tiwei:{password}@")

    def end(self) -> float:
        """SIGTERM; returns the seconds it took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(30)
        return time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


def children(pid: int) -> list[int]:
    """Pids of the children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `tiwei up`s that are ended with the test, however it goes."""
    started: list[Up] = []

    def start(name: str = "centre", **env: str) -> Up:
        started.append(Up(tmp_path / name, **env))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def publish(port: int, *payloads: dict[str, Any], password: str = DEVICE, user: str = "device") -> None:
    """Publish as a device, acknowledged by the broker."""

    async def run() -> None:
        async with aiomqtt.Client("127.0.0.1", port, username=user, password=password) as client:
            for payload in payloads:
                await client.publish(TOPIC, json.dumps(payload).encode(), qos=1)

    asyncio.run(run())


def sample(seq: int) -> dict[str, Any]:
    now = int(time.time() * 1000)
    return {"ts": now, "seq": seq, "service_mode": 1, "car_status": 0, "door_zone": 1, "door_closed": 1, "passenger": 0}


def stored(url: str) -> list[int]:
    """`seq` of every stored reading of the lift."""

    async def run() -> list[int]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("SELECT seq FROM tiwei.reading ORDER BY seq")
        finally:
            await connection.close()
        return [row["seq"] for row in rows]

    return asyncio.run(run())


def answers(one: Up) -> bool:
    """Whether the console's process is alive by its own word."""
    try:
        with urllib.request.urlopen(f"{one.ready['http']}/api/v1/health/live", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_from_nothing_to_a_stored_sample_and_back_again(up: Callable[..., Up]) -> None:
    first = up().wait_ready()
    assert set(first.ready) == {"database", "mqtt", "http"}
    assert answers(first)
    assert ":" not in urlsplit(first.ready["database"]).netloc.rpartition("@")[0]
    publish(first.mqtt_port, *(sample(seq) for seq in range(20)))
    until(lambda: stored(first.database_url) == list(range(20)))
    pids = first.processes.values()
    assert len(pids) == 4
    assert first.end() < END_S
    assert first.process.returncode == 0
    assert not any(works(pid) for pid in pids)
    again = up().wait_ready()
    assert {part: again.ready[part] for part in ("database", "mqtt")} == {
        part: first.ready[part] for part in ("database", "mqtt")
    }
    publish(again.mqtt_port, sample(20))
    until(lambda: stored(again.database_url) == list(range(21)))
    assert again.end() < END_S


def test_what_is_published_right_after_ready_is_not_lost(up: Callable[..., Up]) -> None:
    one = up()
    until(lambda: "mqtt" in one.ready, 30)
    publish(one.mqtt_port, sample(0))
    until(lambda: stored(one.database_url) == [0])


def test_after_kill_9_of_everything_it_starts_again_with_all_data(up: Callable[..., Up]) -> None:
    first = up().wait_ready()
    publish(first.mqtt_port, *(sample(seq) for seq in range(50)))
    pids = [first.process.pid, *first.processes.values()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    first.process.wait()
    again = up().wait_ready()
    until(lambda: stored(again.database_url) == list(range(50)), 30)


def test_nothing_outlives_a_killed_supervisor(up: Callable[..., Up]) -> None:
    first = up().wait_ready()
    pids = first.processes.values()
    first.kill()
    until(lambda: not any(works(pid) for pid in pids), 20)
    again = up().wait_ready()
    publish(again.mqtt_port, sample(1))
    until(lambda: stored(again.database_url) == [1])


@pytest.mark.parametrize("name", ["monitor", "postgres", "nats-server", "api"])
def test_what_dies_is_started_again_and_nothing_is_lost(up: Callable[..., Up], name: str) -> None:
    one = up().wait_ready()
    publish(one.mqtt_port, sample(0))
    until(lambda: stored(one.database_url) == [0])
    before = one.processes
    os.kill(before[name], signal.SIGKILL)
    until(lambda: one.processes.get(name, before[name]) != before[name], 30)
    until(lambda: _published(one, sample(1)), 30)
    until(lambda: 1 in _stored_or_nothing(one), 30)
    until(lambda: answers(one), 30)  # at the address that was told
    assert one.end() < END_S


def _published(one: Up, payload: dict[str, Any]) -> bool:
    try:
        publish(one.mqtt_port, payload)
    except aiomqtt.MqttError:
        return False
    return True


def _stored_or_nothing(one: Up) -> list[int]:
    try:
        return stored(one.database_url)
    except (OSError, asyncpg.PostgresError):
        return []


@pytest.mark.parametrize("name", ["monitor", "nats-server", "postgres", "api"])
def test_it_ends_in_time_when_a_process_hangs(up: Callable[..., Up], name: str) -> None:
    one = up().wait_ready()
    pids = one.processes
    os.kill(pids[name], signal.SIGSTOP)
    assert one.end() < END_S
    assert not any(works(pid) for pid in pids.values())


def test_it_ends_at_once_while_it_is_still_starting(up: Callable[..., Up]) -> None:
    one = up()
    until(lambda: "starting" in one.log)
    assert one.end() < END_S
    assert one.process.returncode == 0
    assert up().wait_ready().end() < END_S


def test_one_folder_serves_one_centre_and_two_folders_two(up: Callable[..., Up]) -> None:
    first, second = up("one").wait_ready(), up("two").wait_ready()
    assert first.mqtt_port != second.mqtt_port
    third = up("one")
    assert third.process.wait(20) == 1
    assert f"in use by process {first.process.pid}" in third.log
    assert "Traceback" not in third.log
    assert len(third.log.splitlines()) <= 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of others")
def test_a_folder_of_another_user_is_refused_untouched(up: Callable[..., Up], tmp_path: Path) -> None:
    (tmp_path / "centre").mkdir()
    os.chown(tmp_path / "centre", 12345, 12345)
    one = up()
    assert one.process.wait(20) == 1
    assert "belongs to 12345" in one.log
    assert not list((tmp_path / "centre").iterdir())


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"TIWEI_MQTT_HOST": "0.0.0.0"}, "TIWEI_MQTT_TLS_CERT_FILE"),
        ({"TIWEI_MQTT_PORT": "many"}, "TIWEI_MQTT_PORT"),
        ({"TIWEI_DATABASE_URL": "postgresql://u:password@db.example/x"}, "an example"),
        ({"TIWEI_CONFIG": "/nowhere/tiwei.toml"}, "/nowhere/tiwei.toml"),
    ],
)
def test_wrong_and_insecure_settings_end_it_in_one_line(
    up: Callable[..., Up], env: dict[str, str], told: str, tmp_path: Path
) -> None:
    one = up(**env)
    assert one.process.wait(20) == 2
    assert told in one.log
    assert len(one.log.splitlines()) == 1
    assert not (tmp_path / "centre").exists()


def test_a_device_added_meanwhile_publishes_under_its_own_name(up: Callable[..., Up]) -> None:
    one = up().wait_ready()
    added = subprocess.run(
        [sys.executable, "-m", "monitor", "device", "add", "LIFT-1"],
        env=os.environ | {"TIWEI_DATA_DIR": str(one.data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    publish(one.mqtt_port, sample(5), user="LIFT-1", password=added.stdout.strip())
    until(lambda: stored(one.database_url) == [5])


def test_external_database_and_broker_by_url(
    up: Callable[..., Up], postgres_server: str, own_broker: RunningBroker
) -> None:
    url = new_database(postgres_server)
    one = up(TIWEI_DATABASE_URL=url, TIWEI_MQTT_URL=own_broker.url).wait_ready()
    assert set(one.processes) == {"monitor", "api"}
    assert str(urlsplit(url).password) not in json.dumps(one.ready)
    publish(urlsplit(own_broker.url).port or 0, sample(3))
    until(lambda: stored(url) == [3])
    assert one.end() < END_S
    drop_database(postgres_server, url)


@pytest.mark.mosquitto
@pytest.mark.system_postgres
def test_system_postgres_and_mosquitto(
    up: Callable[..., Up], system_postgres_server: str, mosquitto: RunningBroker
) -> None:
    url = new_database(system_postgres_server)
    one = up(TIWEI_DATABASE_URL=url, TIWEI_MQTT_URL=mosquitto.url).wait_ready()
    publish(urlsplit(mosquitto.url).port or 0, sample(3))
    until(lambda: stored(url) == [3])
    assert one.end() < END_S
    drop_database(system_postgres_server, url)


def test_a_database_that_is_not_there_is_waited_for_and_said_plainly(up: Callable[..., Up], tmp_path: Path) -> None:
    server = PostgresServer(DataFolder(tmp_path / "elsewhere"))
    url = asyncio.run(server.start())
    asyncio.run(server.stop(5))
    one = up(TIWEI_DATABASE_URL=url)
    until(lambda: one.log.count("cannot be reached") >= 2, 20)
    line = json.loads([text for text in one.log.splitlines() if "cannot be reached" in text][-1])
    assert line["where"] == f"postgresql://tiwei@127.0.0.1:{urlsplit(url).port}/tiwei"
    assert line["for_s"] > 0
    assert line["again_in_s"] > 0
    assert "failed" in line["why"]
    assert str(urlsplit(url).password) not in one.log
    assert asyncio.run(server.start()) == url
    one.wait_ready()
    assert "is reached again" in one.log
    assert "Traceback" not in one.log
    one.end()
    asyncio.run(server.stop(5))


def test_a_broker_that_is_not_there_is_waited_for_and_said_plainly(up: Callable[..., Up]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = up(TIWEI_MQTT_URL=f"mqtt://centre:not-for-logs@127.0.0.1:{port}")
    until(lambda: one.log.count("is not reached") >= 2, 20)
    assert "mqtt" not in one.ready
    assert f"127.0.0.1:{port}" in one.log
    assert "not-for-logs" not in one.log
    assert "Traceback" not in one.log
    assert one.end() < END_S


def test_with_a_certificate_the_centre_hears_its_own_broker_over_tls(up: Callable[..., Up], tmp_path: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lifts.example"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    one = up(
        TIWEI_MQTT_HOST="0.0.0.0",
        TIWEI_MQTT_TLS_CERT_FILE=str(tmp_path / "cert.pem"),
        TIWEI_MQTT_TLS_KEY_FILE=str(tmp_path / "key.pem"),
    ).wait_ready()
    assert one.ready["mqtt"].startswith("mqtts://")
    assert one.end() < END_S
