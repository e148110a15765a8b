"""The embedded PostgreSQL, the real one, on real folders."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitor.adapters.embedded import ports
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.postgres import PostgresServer
from monitor.domain.errors import RefusedError, UnavailableError
from tests.conftest import FAST, SYSTEM_POSTGRES
from tests.waiting import eventually, works

Serve = Callable[..., PostgresServer]

KILLED_SUPERVISOR = """
import asyncio, os, signal, sys
from pathlib import Path
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.postgres import PostgresServer
folder = DataFolder(Path(sys.argv[1]))
folder.lock()
server = PostgresServer(folder)
asyncio.run(server.start())
print(server._child.pid, flush=True)
if sys.argv[2] == "both":
    os.kill(server._child.pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes servers that are ended with the test, however it goes."""
    made: list[PostgresServer] = []

    def make(folder: DataFolder | Path, **options: Any) -> PostgresServer:
        made.append(PostgresServer(folder if isinstance(folder, DataFolder) else DataFolder(folder), **options))
        return made[-1]

    yield make
    for one in made:
        asyncio.run(one.stop(5))


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _store(url: str, number: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
    await connection.execute("INSERT INTO kept VALUES ($1)", number)
    await connection.close()


async def test_start_stop_start_keeps_data_port_and_password(tmp_path: Path, serve: Serve) -> None:
    server = serve(tmp_path / "centre")
    first = await server.start()
    assert server.alive()
    await _store(first, 1)
    await server.stop(5)
    assert not server.alive()
    second = await server.start()
    assert second == first
    assert await _value(second, "SELECT sum(number) FROM kept") == 1


async def test_durability_and_sign_in_are_not_weakened(tmp_path: Path, serve: Serve) -> None:
    server = serve(tmp_path / "centre")
    url = await server.start()
    assert await _value(url, "SHOW fsync") == "on"
    assert await _value(url, "SHOW synchronous_commit") == "on"
    assert await _value(url, "SHOW listen_addresses") == "127.0.0.1"
    assert await _value(url, "SHOW data_checksums") == "on"
    assert await _value(url, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(url.split(":")[2].split("@")[0], "guess"))


async def test_secrets_are_private(tmp_path: Path, serve: Serve) -> None:
    folder = DataFolder(tmp_path / "centre")
    server = serve(folder)
    await server.start()
    await server.stop(5)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "postgres/password").stat().st_mode) == 0o600
    assert not (folder.path / "postgres/initial").exists()


async def test_a_killed_server_starts_again_with_its_data(tmp_path: Path, serve: Serve) -> None:
    server = serve(tmp_path / "centre")
    url = await server.start()
    await _store(url, 7)
    assert server._child is not None
    os.kill(server._child.pid, signal.SIGKILL)
    await eventually(lambda: not server.alive())
    again = await server.start()
    assert await _value(again, "SELECT sum(number) FROM kept") == 7


@pytest.mark.parametrize("who", ["supervisor", "both"])
async def test_after_a_kill_of_the_supervisor_the_next_one_starts(tmp_path: Path, who: str, serve: Serve) -> None:
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED_SUPERVISOR, str(tmp_path / "centre"), who],
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL
    folder = DataFolder(tmp_path / "centre")
    folder.lock()
    server = serve(folder)
    url = await server.start()
    assert await _value(url, "SELECT 1") == 1
    assert not works(int(killed.stdout.split()[-1]))
    folder.unlock()


async def test_a_stale_pid_of_another_process_is_no_obstacle(tmp_path: Path, serve: Serve) -> None:
    server = serve(tmp_path / "centre")
    await server.start()
    await server.stop(5)
    user = 65534 if os.geteuid() == 0 else None
    other = await asyncio.create_subprocess_exec("/bin/sleep", "60", user=user)
    mark = tmp_path / "centre/postgres/cluster/postmaster.pid"
    mark.write_text(f"{other.pid}\n/nowhere\n1\n5432\n\n127.0.0.1\n  1 1\nready\n")
    await server.start()
    assert other.returncode is None
    other.kill()
    await other.wait()


async def test_two_centres_on_one_machine(tmp_path: Path, serve: Serve) -> None:
    servers = [serve(tmp_path / name, extra=FAST) for name in ("one", "two")]
    urls = [await one.start() for one in servers]
    assert len({url.rpartition("@")[2] for url in urls}) == 2


async def test_a_taken_port_that_was_asked_for_is_refused(tmp_path: Path, serve: Serve) -> None:
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    server = serve(tmp_path / "centre", port=port)
    with pytest.raises(RefusedError, match=f"{port} is taken"):
        await server.start()
    assert not server.alive()
    taken.close()


async def test_a_taken_remembered_port_is_left_for_another(tmp_path: Path, serve: Serve) -> None:
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    folder = DataFolder(tmp_path / "centre")
    folder.subfolder("postgres")
    ports.remember(folder.path / "postgres/port", port)
    server = serve(folder)
    assert f":{port}/" not in await server.start()
    taken.close()


def test_one_folder_serves_one_centre(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "centre")
    first.lock()
    with pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}"):
        DataFolder(tmp_path / "centre").lock()
    first.unlock()
    DataFolder(tmp_path / "centre").lock()


def test_a_folder_of_a_newer_tiwei_is_refused_untouched(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    folder.mkdir()
    (folder / "format").write_text("2\n")
    before = sorted(folder.iterdir())
    with pytest.raises(RefusedError, match="newer Tiwei"):
        DataFolder(folder)
    assert sorted(folder.iterdir()) == before


async def test_a_database_of_another_version_is_refused_untouched(tmp_path: Path, serve: Serve) -> None:
    folder = DataFolder(tmp_path / "centre")
    cluster = folder.subfolder("postgres") / "cluster"
    cluster.mkdir()
    if os.geteuid() == 0:
        os.chown(cluster, 65534, 65534)
    (cluster / "PG_VERSION").write_text("99\n")
    with pytest.raises(RefusedError, match="PostgreSQL 99"):
        await serve(folder).start()
    assert sorted(one.name for one in cluster.iterdir()) == ["PG_VERSION"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of others")
async def test_folders_of_another_user_are_refused_untouched(tmp_path: Path, serve: Serve) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)
    with pytest.raises(RefusedError, match="belongs to 12345"):
        DataFolder(foreign)
    assert not list(foreign.iterdir())
    folder = DataFolder(tmp_path / "own")
    cluster = folder.subfolder("postgres") / "cluster"
    cluster.mkdir()
    os.chown(cluster, 12345, 12345)
    with pytest.raises(RefusedError, match="belongs to 12345"):
        await serve(folder).start()
    assert not list(cluster.iterdir())


@pytest.mark.system_postgres
async def test_a_system_postgres_starts_by_the_same_code(system_postgres_server: str) -> None:
    assert "PostgreSQL 15" in str(await _value(system_postgres_server, "SELECT version()"))


@pytest.mark.skipif(not SYSTEM_POSTGRES.is_dir(), reason="no system PostgreSQL")
@pytest.mark.system_postgres
async def test_a_half_made_cluster_is_made_again(tmp_path: Path, serve: Serve) -> None:
    folder = DataFolder(tmp_path / "centre")
    draft = folder.subfolder("postgres") / "draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("15\n")
    server = serve(folder, programs=SYSTEM_POSTGRES, extra=FAST)
    assert await _value(await server.start(), "SELECT 1") == 1
    assert not draft.exists()
