"""Databases on every kind of server: the embedded PostgreSQL, and TimescaleDB where there is one.

`TIWEI_TEST_TIMESCALE_DSN` names a TimescaleDB server on which databases may be made; without it the system's PostgreSQL
is started with TimescaleDB where that is installed (deploy/timescaledb/build-apache.sh).
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.postgres import PostgresServer
from monitor.adapters.pool import Database

#: Nobody's power fails during a test.
HYPERTABLES = {
    "fsync": "off",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "0",
}


def timescale_programs() -> Path | None:
    """The bin folder of a system PostgreSQL that has TimescaleDB; None where none has."""
    for bin_folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (bin_folder.parent / "lib" / "timescaledb.so").exists():
            return bin_folder
    return None


@pytest.fixture(scope="session")
def hypertable_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a TimescaleDB server, or a loud skip."""
    if dsn := os.environ.get("TIWEI_TEST_TIMESCALE_DSN"):
        yield dsn
        return
    programs = timescale_programs()
    if programs is None:
        pytest.skip(
            "NOT COVERED HERE: no TimescaleDB; set TIWEI_TEST_TIMESCALE_DSN"
            " or run deploy/timescaledb/build-apache.sh as root"
        )
    server = PostgresServer(DataFolder(tmp_path_factory.mktemp("timescale")), programs=programs, extra=HYPERTABLES)
    yield asyncio.run(server.start())
    asyncio.run(server.stop(10))


@pytest.fixture(params=["plain", pytest.param("timescale", marks=pytest.mark.timescale)])
def each_server(request: pytest.FixtureRequest) -> str:
    """The URL of a server; runs the test on every kind there is."""
    fixture = {"plain": "postgres_server", "timescale": "hypertable_server"}[request.param]
    return str(request.getfixturevalue(fixture))


@pytest_asyncio.fixture
async def each_url(each_server: str) -> AsyncIterator[str]:
    """The URL of an empty database on every kind of server."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(each_server)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield f"{each_server.rpartition('/')[0]}/{name}"
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def each_database(each_url: str) -> AsyncIterator[Database]:
    """An empty database on every kind of server."""
    found = Database(each_url)
    yield found
    await found.close()
