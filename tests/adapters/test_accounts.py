"""Accounts of the broker: the file, the rights, and the broker that enforces them."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiomqtt
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from monitor.adapters.accounts import Accounts, GatewayLists, Role, mosquitto_files
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions
from monitor.adapters.embedded.ports import choose
from monitor.domain.errors import RefusedError
from tests.conftest import DEVICE_PASSWORD, RunningBroker, answers
from tests.waiting import eventually, until

HEARD_BY_THE_CENTRE = (
    ("se/v1/+/+/+/status", "se/v1/+/+/+/ride"),
    ("se/v1/+/+/+/event", "se/v1/+/+/+/link", "calls/v1/+/+", "firms/v1/+/actions"),
)
LIFT = "se/v1/310115/lift"


class Town:
    """A broker with one account of each sort, and their passwords."""

    def __init__(self, server: NatsServer, url: str, accounts: Accounts) -> None:
        self.server = server
        self.accounts = accounts
        parts = urlsplit(url)
        self.port = parts.port or 0
        self.passwords = {"@centre": unquote(parts.password or ""), "device": DEVICE_PASSWORD}

    def add(self, name: str, role: Role, *equipment: str) -> None:
        self.passwords[name] = self.accounts.add(name, role, equipment=equipment)

    def client(self, user: str) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            username=user,
            password=self.passwords[user],
            identifier=f"{user.strip('@')}-{uuid4().hex}",
        )

    @asynccontextmanager
    async def centre(self) -> AsyncIterator[Heard]:
        async with self.client("@centre") as first, self.client("@centre") as second:
            heard = Heard(first, second)
            for client, filters in zip((first, second), HEARD_BY_THE_CENTRE, strict=True):
                for one in filters:
                    assert await granted(client, one) == 1
            yield heard
            await heard.end()


class Heard:
    """What clients received, together."""

    def __init__(self, *clients: aiomqtt.Client) -> None:
        self.topics: list[str] = []
        self._tasks = [asyncio.create_task(self._listen(one)) for one in clients]

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self.topics.append(str(message.topic))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def granted(client: aiomqtt.Client, topic: str) -> int:
    """The broker's answer to a subscription: the QoS, or 0x80."""
    (code,) = await client.subscribe(topic, 1)
    return code if isinstance(code, int) else int(code.value)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    folder = DataFolder(tmp_path / "centre")
    server = NatsServer(folder, BrokerOptions(port=0, device_password=DEVICE_PASSWORD))
    url = asyncio.run(server.start())
    made = Town(server, url, Accounts(folder.path / "accounts.json"))
    made.add("LIFT-1", Role.DEVICE)
    made.add("GATE", Role.GATEWAY, "LIFT-2", "LIFT-3")
    made.add("phones", Role.CALLS)
    made.add("fast", Role.FIRM)
    asyncio.run(server.tend())
    yield made
    asyncio.run(server.stop(5))


ALLOWED = {
    "LIFT-1": [f"{LIFT}/LIFT-1/{one}" for one in ("status", "event", "link", "ride")]
    + ["se/v1/110000/escalator/LIFT-1/status"],
    "GATE": [f"{LIFT}/@GATE/status", f"{LIFT}/@GATE/event", f"{LIFT}/LIFT-2/status", f"{LIFT}/LIFT-3/link"],
    "phones": ["calls/v1/310115/any-call"],
    "fast": ["firms/v1/fast/actions"],
    "device": [f"{LIFT}/ANY/status", f"{LIFT}/@ANY/event", "calls/v1/310115/c", "firms/v1/any/actions"],
}
DENIED = {
    "LIFT-1": [
        f"{LIFT}/LIFT-2/status",
        f"{LIFT}/@GATE/status",
        f"{LIFT}/@LIFT-1/status",
        "calls/v1/310115/any-call",
        "firms/v1/fast/actions",
        "firms/v1/LIFT-1/actions",
    ],
    "GATE": [f"{LIFT}/LIFT-1/status", f"{LIFT}/GATE/status", f"{LIFT}/@OTHER/status", "calls/v1/310115/c"],
    "phones": [f"{LIFT}/LIFT-1/status", f"{LIFT}/phones/status", "firms/v1/fast/actions"],
    "fast": ["firms/v1/slow/actions", f"{LIFT}/LIFT-1/status", f"{LIFT}/fast/event", "calls/v1/310115/c"],
    "@centre": [f"{LIFT}/LIFT-1/status", "calls/v1/310115/c", "firms/v1/fast/actions"],
}


@pytest.mark.parametrize("user", ALLOWED)
async def test_what_is_allowed_arrives_and_nothing_else_does(town: Town, user: str) -> None:
    async with town.centre() as heard, town.client(user) as client:
        for topic in DENIED.get(user, []):
            await client.publish(topic, b"forged", qos=1)
        for topic in ALLOWED[user]:
            await client.publish(topic, b"{}", qos=1)
        await eventually(lambda: set(ALLOWED[user]) <= set(heard.topics))
    assert sorted(heard.topics) == sorted(ALLOWED[user])


@pytest.mark.parametrize("user", DENIED)
async def test_what_is_denied_is_counted(town: Town, user: str) -> None:
    async with town.client(user) as client:
        for topic in DENIED[user]:
            await client.publish(topic, b"forged", qos=1)
    before = town.server.violations

    async def counted() -> bool:
        await town.server.tend()
        return town.server.violations - before == len(DENIED[user])

    for _ in range(200):
        if await counted():
            break
        await asyncio.sleep(0.01)
    assert await counted()


@pytest.mark.parametrize(
    ("user", "readable"),
    [
        ("LIFT-1", f"{LIFT}/LIFT-1/command"),
        ("GATE", f"{LIFT}/LIFT-2/command"),
        ("fast", "firms/v1/fast/notices"),
        ("device", f"{LIFT}/LIFT-1/command"),
    ],
)
async def test_each_reads_what_is_for_it(town: Town, user: str, readable: str) -> None:
    async with town.client(user) as client, town.client("@centre") as centre:
        heard = Heard(client)
        await client.subscribe(readable, 1)
        await centre.publish(readable, b"{}", qos=1)
        await eventually(lambda: heard.topics == [readable])
        await heard.end()


@pytest.mark.parametrize(
    ("user", "foreign"),
    [
        ("LIFT-1", f"{LIFT}/LIFT-2/command"),
        ("LIFT-1", f"{LIFT}/+/command"),
        ("LIFT-1", f"{LIFT}/LIFT-1/status"),
        ("LIFT-1", "#"),
        ("GATE", f"{LIFT}/LIFT-1/command"),
        ("phones", "calls/v1/+/+"),
        ("fast", "firms/v1/slow/notices"),
        ("fast", "firms/v1/+/notices"),
        ("fast", "firms/v1/fast/actions"),
        ("device", f"{LIFT}/LIFT-1/status"),
        ("@centre", "#"),
    ],
)
async def test_nobody_reads_what_is_for_others(town: Town, user: str, foreign: str) -> None:
    async with town.client(user) as client:
        assert await granted(client, foreign) == 0x80


def vanish(town: Town, user: str, will: str) -> None:
    """Connect with a will and go away without a word."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{user}-{uuid4().hex}")
    client.username_pw_set(user, town.passwords[user])
    client.will_set(will, b'{"online": false}', qos=1, retain=True)
    client.connect("127.0.0.1", town.port)
    while not client.is_connected():
        client.loop(0.1)
    cast("socket.socket", client.socket()).close()


async def test_a_will_is_heard_under_its_own_name_only(town: Town) -> None:
    own, forged = f"{LIFT}/LIFT-1/link", f"{LIFT}/LIFT-2/link"
    async with town.centre() as heard:
        for topic in (forged, own):
            await asyncio.to_thread(vanish, town, "LIFT-1", topic)
        await eventually(lambda: own in heard.topics)
        assert heard.topics == [own]


@pytest.mark.parametrize(("user", "password"), [("LIFT-1", "guess"), ("nobody", "guess"), (None, None)])
async def test_nobody_signs_in_without_the_right_password(town: Town, user: str | None, password: str | None) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", town.port, username=user, password=password, timeout=5):
            pass


async def test_without_the_setting_there_is_no_login_for_all(tmp_path: Path) -> None:
    server = NatsServer(DataFolder(tmp_path / "centre"), BrokerOptions(port=0))
    try:
        port = urlsplit(await server.start()).port or 0
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", port, username="device", password="", timeout=5):
                pass
    finally:
        await server.stop(5)


async def test_accounts_come_and_go_while_the_broker_runs(town: Town) -> None:
    town.add("LIFT-9", Role.DEVICE)
    await town.server.tend()
    topic = f"{LIFT}/LIFT-9/status"
    async with town.centre() as heard:
        async with town.client("LIFT-9") as client:
            await client.publish(topic, b"{}", qos=1)
        await eventually(lambda: heard.topics == [topic])
        town.accounts.remove("LIFT-9", [Role.DEVICE])
        await town.server.tend()
        with pytest.raises(aiomqtt.MqttError):
            async with town.client("LIFT-9"):
                pass
        async with town.client("LIFT-1") as client:
            await client.publish(f"{LIFT}/LIFT-1/status", b"{}", qos=1)
        await eventually(lambda: len(heard.topics) == 2)


async def test_damaged_accounts_leave_the_running_broker_as_it_is(town: Town) -> None:
    town.accounts.path.write_text("{")
    await town.server.tend()
    async with town.centre() as heard, town.client("LIFT-1") as client:
        await client.publish(f"{LIFT}/LIFT-1/status", b"{}", qos=1)
        await eventually(lambda: len(heard.topics) == 1)


def test_the_file_is_private_and_holds_no_password(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    password = accounts.add("L1", Role.DEVICE)
    assert stat.S_IMODE(accounts.path.stat().st_mode) == 0o600
    assert len(password) >= 22
    assert password not in accounts.path.read_text()


def test_a_name_is_given_once_unless_replaced(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    first = accounts.add("L1", Role.DEVICE)
    before = accounts.path.read_text()
    with pytest.raises(RefusedError, match="has an account"):
        accounts.add("L1", Role.FIRM)
    assert accounts.path.read_text() == before
    assert accounts.add("L1", Role.DEVICE, replace=True) != first


@pytest.mark.parametrize(
    "name", ["", "device", "centre", "@centre", "a/b", "a.b", "a b", "+", "#", ">", "x" * 33, "电梯"]
)
def test_a_name_that_would_break_a_rule_is_refused(tmp_path: Path, name: str) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    with pytest.raises(RefusedError):
        accounts.add(name, Role.DEVICE)
    with pytest.raises(RefusedError):
        accounts.add("GATE", Role.GATEWAY, equipment=[name] if name not in ("", "device", "centre") else [])


def test_only_an_existing_account_of_its_sort_is_removed(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    accounts.add("fast", Role.FIRM)
    with pytest.raises(RefusedError, match="no account as device"):
        accounts.remove("fast", [Role.DEVICE])
    accounts.remove("fast", [Role.FIRM])
    assert accounts.read() == {}


def test_accounts_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    accounts.path.write_text(json.dumps({"format": 2, "accounts": []}))
    with pytest.raises(RefusedError, match="newer Tiwei"):
        accounts.add("L1", Role.DEVICE)
    assert json.loads(accounts.path.read_text())["format"] == 2


def test_the_centre_learns_whom_a_gateway_may_speak_for(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    lists = GatewayLists(accounts.path)
    assert lists.current() == {}
    accounts.add("GATE", Role.GATEWAY, equipment=["L2", "L1", "L1"])
    assert lists.current() == {"GATE": frozenset({"L1", "L2"})}
    accounts.add("GATE", Role.GATEWAY, equipment=["L3"], replace=True)
    assert lists.current() == {"GATE": frozenset({"L3"})}


@pytest.fixture
def mosquitto_with_accounts(tmp_path: Path) -> Iterator[tuple[int, Accounts, dict[str, str]]]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("NOT COVERED HERE: no system Mosquitto")
    accounts = Accounts(tmp_path / "accounts.json")
    passwords = {name: accounts.add(name, Role.DEVICE) for name in ("L1", "L2")}
    password_text, rules = mosquitto_files(accounts.read().values(), "the-centre's")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    (folder / "passwords").write_text(password_text)
    (folder / "acl").write_text(rules)
    port = choose("127.0.0.1", [])
    (folder / "conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\nuser root\n"
        f"password_file {folder}/passwords\nacl_file {folder}/acl\n"
    )
    child = subprocess.Popen([program, "-c", str(folder / "conf")], stderr=subprocess.DEVNULL)
    until(lambda: answers(port))
    yield port, accounts, passwords | {"centre": "the-centre's"}
    child.terminate()
    child.wait(10)


@pytest.mark.mosquitto
async def test_mosquitto_takes_the_same_accounts(
    mosquitto_with_accounts: tuple[int, Accounts, dict[str, str]],
) -> None:
    port, _, passwords = mosquitto_with_accounts

    def client(user: str) -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1", port, username=user, password=passwords[user], identifier=uuid4().hex)

    async with client("centre") as centre, client("L1") as device:
        heard = Heard(centre)
        await centre.subscribe("se/v1/+/+/+/status", 1)
        await device.publish(f"{LIFT}/L2/status", b"forged", qos=1)
        await device.publish(f"{LIFT}/L1/status", b"{}", qos=1)
        await eventually(lambda: heard.topics)
        assert heard.topics == [f"{LIFT}/L1/status"]
        await heard.end()


async def test_the_shared_broker_of_the_tests_lets_the_device_login_in(broker: RunningBroker) -> None:
    parts = urlsplit(broker.device_url)
    async with aiomqtt.Client("127.0.0.1", parts.port or 0, username=parts.username, password=parts.password):
        pass
