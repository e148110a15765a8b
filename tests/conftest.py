"""Real parts for the tests: a PostgreSQL and a broker started once, a fresh database for every test that asks."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions
from monitor.adapters.embedded.ports import choose
from monitor.adapters.embedded.postgres import PostgresServer
from tests.waiting import until

#: Password of the login `device` on the brokers of the tests.
DEVICE_PASSWORD = "tests-only-device"
#: Nobody's power fails during a test.
FAST = {"fsync": "off", "shared_buffers": "128MB", "max_connections": "100"}
SYSTEM_POSTGRES = Path("/usr/lib/postgresql/15/bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBroker:
    """A broker for tests: URLs of the centre's login and of the login `device`, and the server itself."""

    url: str
    device_url: str
    server: NatsServer | None = None


def _started(folder: DataFolder, programs: Path | None = None) -> Iterator[str]:
    server = PostgresServer(folder, programs=programs, extra=FAST)
    url = asyncio.run(server.start())
    yield url
    asyncio.run(server.stop(5))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the embedded PostgreSQL (a superuser's)."""
    yield from _started(DataFolder(tmp_path_factory.mktemp("postgres")))


@pytest.fixture(scope="session")
def system_postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the machine's own PostgreSQL, started by the same code. Mark the test `system_postgres`."""
    if not (SYSTEM_POSTGRES / "postgres").is_file():
        pytest.skip(f"NOT COVERED HERE: no system PostgreSQL in {SYSTEM_POSTGRES}")
    yield from _started(DataFolder(tmp_path_factory.mktemp("system-postgres")), SYSTEM_POSTGRES)


def _run_sql(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def new_database(server_url: str, template: str = "template1") -> str:
    """Make a database of its own on that server; returns its URL."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _run_sql(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{server_url.rpartition('/')[0]}/{name}"


def drop_database(server_url: str, url: str) -> None:
    """Drop a database of `new_database`, whoever is still connected to it."""
    _run_sql(server_url, f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of this test's own."""
    url = new_database(postgres_server)
    yield url
    drop_database(postgres_server, url)


@pytest.fixture
def system_database_url(system_postgres_server: str) -> Iterator[str]:
    """URL of an empty database on the machine's own PostgreSQL."""
    url = new_database(system_postgres_server)
    yield url
    drop_database(system_postgres_server, url)


@pytest.fixture(scope="session")
def _broker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    folder = DataFolder(tmp_path_factory.mktemp("broker"))
    server = NatsServer(folder, BrokerOptions(port=0, device_password=DEVICE_PASSWORD))
    url = asyncio.run(server.start())
    place = url.rpartition("@")[2]
    yield RunningBroker(url=url, device_url=f"mqtt://device:{DEVICE_PASSWORD}@{place}", server=server)
    asyncio.run(server.stop(5))


@pytest.fixture
def broker(_broker_server: RunningBroker) -> RunningBroker:
    """The embedded broker, shared by all tests: use client ids and equipment ids of your own."""
    return _broker_server


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """An embedded broker of this test's own, for those that stop or kill it."""
    folder = DataFolder(tmp_path / "broker")
    server = NatsServer(folder, BrokerOptions(port=0, device_password=DEVICE_PASSWORD))
    url = asyncio.run(server.start())
    place = url.rpartition("@")[2]
    yield RunningBroker(url=url, device_url=f"mqtt://device:{DEVICE_PASSWORD}@{place}", server=server)
    asyncio.run(server.stop(5))


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A Mosquitto that lets everybody in. Mark the test `mosquitto`."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("NOT COVERED HERE: no system Mosquitto")
    port = choose("127.0.0.1", [])
    conf = tmp_path_factory.mktemp("mosquitto") / "mosquitto.conf"
    conf.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
    )
    child = subprocess.Popen([program, "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: answers(port), 10)
    yield RunningBroker(url=f"mqtt://127.0.0.1:{port}", device_url=f"mqtt://127.0.0.1:{port}")
    child.send_signal(signal.SIGTERM)
    child.wait(10)


def answers(port: int) -> bool:
    """Whether a server takes connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
