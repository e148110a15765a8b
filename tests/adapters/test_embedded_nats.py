"""The embedded broker, the real one, on real folders."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt
import pytest

from monitor.adapters.accounts import Accounts, Role
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.log_reader import LogReader
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions, Tls
from monitor.domain.errors import RefusedError
from tests.waiting import eventually, works

Serve = Callable[..., NatsServer]
TOPIC = "se/v1/310115/lift/L1/status"
DEVICE = "tests-only-device"

KILLED_SUPERVISOR = """
import asyncio, os, signal, sys
from pathlib import Path
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions
from monitor.adapters.embedded import process
process.dies_with_us = lambda number: None  # as on a system whose kernel does not end orphans
folder = DataFolder(Path(sys.argv[1]))
folder.lock()
server = NatsServer(folder, BrokerOptions())
asyncio.run(server.start())
print(server._child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Makes brokers that are ended with the test, however it goes."""
    made: list[NatsServer] = []

    def make(name: str = "centre", **options: Any) -> NatsServer:
        chosen = replace(BrokerOptions(port=0, device_password=DEVICE), **options)
        made.append(NatsServer(DataFolder(tmp_path / name), chosen))
        return made[-1]

    yield make
    for one in made:
        asyncio.run(one.stop(5))


def client(url: str, name: str, user: str = "device", password: str = DEVICE) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", urlsplit(url).port or 0, username=user, password=password, identifier=name, clean_session=False
    )


def centre(url: str) -> aiomqtt.Client:
    parts = urlsplit(url)
    return client(url, "the-centre", unquote(parts.username or ""), unquote(parts.password or ""))


async def received(url: str, count: int) -> list[bytes]:
    """Payloads that wait for the centre's session."""
    got: list[bytes] = []
    async with centre(url) as one, asyncio.timeout(20):
        async for message in one.messages:
            assert isinstance(message.payload, bytes)
            got.append(message.payload)
            if len(got) == count:
                break
    return got


async def test_start_stop_start_keeps_messages_port_and_password(serve: Serve) -> None:
    server = serve()
    first = await server.start()
    assert server.alive()
    async with centre(first) as one:
        await one.subscribe(TOPIC, 1)
    async with client(first, "L1") as device:
        for number in range(50):
            await device.publish(TOPIC, str(number).encode(), qos=1)
    await server.stop(5)
    assert not server.alive()
    second = await server.start()
    assert second == first
    assert await received(second, 50) == [str(number).encode() for number in range(50)]


async def test_a_killed_broker_keeps_what_it_acknowledged(serve: Serve) -> None:
    server = serve()
    url = await server.start()
    async with centre(url) as one:
        await one.subscribe(TOPIC, 1)
    async with client(url, "L1") as device:
        for number in range(500):
            await device.publish(TOPIC, str(number).encode(), qos=1)
    assert server._child is not None
    os.kill(server._child.pid, signal.SIGKILL)
    await eventually(lambda: not server.alive())
    assert sorted(await received(await server.start(), 500), key=int) == [str(n).encode() for n in range(500)]


async def test_an_orphan_on_the_same_store_is_ended_first(serve: Serve, tmp_path: Path) -> None:
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED_SUPERVISOR, str(tmp_path / "centre")],
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    orphan = int(killed.stdout.split()[-1])
    assert works(orphan)
    server = serve()
    await server.start()
    assert not works(orphan)


async def test_it_listens_on_loopback_only_and_its_files_are_private(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    await server.start()
    assert server._child is not None
    listening = await asyncio.to_thread(_listening, server._child.pid)
    assert len(listening) == 2
    assert set(listening) == {"0100007F"}
    for name in ("nats.conf", "password", "log"):
        assert stat.S_IMODE((tmp_path / "centre/nats" / name).stat().st_mode) & 0o007 == 0


def _listening(pid: int) -> list[str]:
    """Addresses, as in /proc/net/tcp, that a process listens on."""
    sockets = {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return [row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]


async def test_two_centres_on_one_machine(serve: Serve) -> None:
    assert await serve("one").start() != await serve("two").start()


async def test_a_taken_port_that_was_asked_for_is_refused(serve: Serve) -> None:
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    server = serve(port=port)
    with pytest.raises(RefusedError, match=f"TIWEI_MQTT_PORT={port}"):
        await server.start()
    assert not server.alive()
    taken.close()


async def test_a_large_message_passes_and_one_beyond_every_bound_ends_only_its_sender(serve: Serve) -> None:
    server = serve()
    url = await server.start()
    async with centre(url) as one:
        await one.subscribe(TOPIC, 1)
    async with client(url, "L1") as device:
        await device.publish(TOPIC, b"x" * (2 * 2**20), qos=1)
    with pytest.raises(aiomqtt.MqttError):
        async with client(url, "L1") as device:
            await device.publish(TOPIC, b"x" * (9 * 2**20), qos=1, timeout=3)
    assert [len(one) for one in await received(url, 1)] == [2 * 2**20]
    assert server.alive()


async def test_the_secret_client_id_stays_out_of_our_log(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    url = await server.start()
    secret = DataFolder(tmp_path / "centre").secret("client_id")
    assert len(secret) == 32
    parts = urlsplit(url)
    async with client(url, f"{secret}-telemetry", "@centre", unquote(parts.password or "")) as one:
        await one.publish(TOPIC, b"not the centre's to publish", qos=1)

    async def told() -> str:
        await server.tend()
        return capsys.readouterr().out

    said = ""
    while "refused" not in said:
        said += await told()
        await asyncio.sleep(0.01)
    assert secret not in said
    assert "(the centre)" in said


async def test_many_accounts_are_taken_over_while_it_runs(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    url = await server.start()
    accounts = Accounts(tmp_path / "centre/accounts.json")
    accounts.add("GATE", Role.GATEWAY, equipment=[f"L{number}" for number in range(5_000)])
    password = accounts.add("L-NEW", Role.DEVICE)
    await server.tend()
    async with client(url, "L-NEW", "L-NEW", password):
        pass


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the name `broker.example` and its key."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker.example"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


async def test_with_a_certificate_it_speaks_tls_only(serve: Serve, certificates: Path) -> None:
    server = serve(host="0.0.0.0", tls=Tls(cert=certificates / "cert.pem", key=certificates / "key.pem"))
    url = await server.start()
    assert url.startswith("mqtts://")
    parts = urlsplit(url)
    trusted = aiomqtt.TLSParameters(ca_certs=str(certificates / "cert.pem"))
    async with aiomqtt.Client(
        "127.0.0.1", parts.port or 0, username="device", password=DEVICE, tls_params=trusted, tls_insecure=True
    ) as one:
        await one.publish(TOPIC, b"{}", qos=1)
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", parts.port or 0, username="device", password=DEVICE, timeout=1):
            pass


def test_a_log_is_read_over_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    reader = LogReader(log, 4)
    assert reader.lines() == []
    with log.open("a") as file:
        file.write("one\nhalf")
    assert reader.lines() == ["one"]
    with log.open("a") as file:
        file.write(" two\n")
    assert reader.lines() == ["half two"]
    log.rename(tmp_path / "log.1")
    log.write_text("three\n")
    assert reader.lines() == ["three"]
