"""The examples of deploy/ at work: a NATS and a Mosquitto of one's own with TLS, exported accounts, `tiwei up`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiomqtt
import pytest

from monitor.adapters.embedded.binaries import nats_program
from monitor.adapters.embedded.ports import choose
from tests.conftest import answers
from tests.scenarios.test_up import TOPIC, Up, sample, stored, up
from tests.waiting import until

__all__ = ["up"]

EXAMPLES = Path(__file__).parents[2] / "deploy"


class Site:
    """A data folder with a device's account, a certificate, the centre's password, and the exported files."""

    def __init__(self, folder: Path, form: str) -> None:
        self.folder = folder
        self.data_dir = folder / "centre"
        (folder / "centre-password").write_text("chosen-by-a-person\n")
        self.password = self._tiwei("device", "add", "LIFT-1").strip()
        self.out = folder / "broker"
        password_file = str(folder / "centre-password")
        self._tiwei(
            "device", "export", "--format", form, "--centre-password-file", password_file, "--out", str(self.out)
        )
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=b.example"),
                *("-keyout", str(self.out / "broker.key"), "-out", str(self.out / "broker.pem")),
            ],
            check=True,
            capture_output=True,
        )
        self.port = choose("127.0.0.1", [])

    def _tiwei(self, *words: str) -> str:
        env = os.environ | {"TIWEI_DATA_DIR": str(self.data_dir)}
        return subprocess.run(
            [sys.executable, "-m", "monitor", *words], env=env, check=True, capture_output=True, text=True
        ).stdout

    @property
    def settings(self) -> dict[str, str]:
        return {
            "TIWEI_MQTT_URL": f"mqtts://centre@127.0.0.1:{self.port}",
            "TIWEI_MQTT_PASSWORD_FILE": str(self.folder / "centre-password"),
            "TIWEI_MQTT_PINNED_CERT_FILE": str(self.out / "broker.pem"),
            "TIWEI_MQTT_DEVICE_PASSWORD": "",
        }

    async def publish(self, *topics: str, seq: int) -> None:
        trusted = aiomqtt.TLSParameters(ca_certs=str(self.out / "broker.pem"))
        async with aiomqtt.Client(
            "127.0.0.1", self.port, username="LIFT-1", password=self.password, tls_params=trusted, tls_insecure=True
        ) as client:
            for topic in topics:
                await client.publish(topic, json.dumps(sample(seq)).encode(), qos=1)


@contextmanager
def running(argv: list[str], port: int) -> Iterator[None]:
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port) or child.poll() is not None)
        assert child.poll() is None, argv
        yield
    finally:
        child.terminate()
        child.wait(10)


def written(site: Site, example: str, **places: str) -> Path:
    """The example with its paths and ports replaced; each of them has to stand in it."""
    text = (EXAMPLES / example).read_text()
    for old, new in {"8883": str(site.port), **places}.items():
        assert old in text
        text = text.replace(old, new)
    path = site.out / Path(example).name
    path.write_text(text)
    return path


async def _hears_its_device_only(site: Site, start: Callable[..., Up]) -> None:
    one = start(**site.settings)
    await asyncio.to_thread(one.wait_ready)
    await site.publish(TOPIC.replace("LIFT-1", "LIFT-2"), seq=1)
    await site.publish(TOPIC, seq=2)
    await asyncio.to_thread(until, lambda: stored(one.database_url) == [2])
    assert await asyncio.to_thread(one.end) < 10


async def test_a_nats_of_ones_own(up: Callable[..., Up], tmp_path: Path) -> None:
    site = Site(tmp_path, "nats")
    conf = written(
        site, "nats/nats.conf", **{"/etc/nats": str(site.out), "/var/lib/nats": str(tmp_path / "store"), "4222": "-1"}
    )
    with running([str(nats_program()), "-c", str(conf)], site.port):
        await _hears_its_device_only(site, up)


@pytest.mark.mosquitto
async def test_a_mosquitto_of_ones_own(up: Callable[..., Up], tmp_path: Path) -> None:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("NOT COVERED HERE: no system Mosquitto")
    site = Site(tmp_path, "mosquitto")
    (tmp_path / "store").mkdir()
    conf = written(
        site,
        "mosquitto/mosquitto.conf",
        **{
            "/etc/mosquitto/tiwei": str(site.out),
            "/etc/mosquitto/": f"{site.out}/",
            "/var/lib/mosquitto": str(tmp_path / "store"),
        },
    )
    if os.geteuid() == 0:
        conf.write_text("user root\n" + conf.read_text())
    with running([program, "-c", str(conf)], site.port):
        await _hears_its_device_only(site, up)
