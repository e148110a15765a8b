"""The schema `tiwei`: numbered migrations, forward only, all or none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources

import asyncpg

from monitor.adapters.partitions import HISTORY, LOCKS, Partitions
from monitor.adapters.pool import Database, Session, database_errors
from monitor.adapters.server import Server, look, offer_timescale
from monitor.domain.errors import RefusedError

MIGRATION_LOCK = 1

_FILE = re.compile(r"(\d{4})_\w+\.sql")
_PARTITION_CLAUSE = re.compile(r"\) PARTITION BY RANGE \(\w+\);")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file, as written; its checksum is recorded when it is applied."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """Every migration of this version of the program, in order, numbered from 1 without a gap."""
    folder = resources.files("monitor.adapters") / "migrations"
    found = sorted(one.name for one in folder.iterdir() if _FILE.fullmatch(one.name))
    return tuple(Migration(version=int(name[:4]), name=name, text=(folder / name).read_text("utf-8")) for name in found)


async def migrate(database: Database, *, known: Sequence[Migration] | None = None) -> Server:
    """Bring the database to this version, in one transaction under an advisory lock; returns what the server is.

    Raises:
        RefusedError: the database is of a newer version, or an applied migration is not the one of this program,
            or the schema `tiwei` is somebody else's. Nothing was touched.
        UnavailableError: the database cannot be reached now; nothing was changed.
    """
    known = migrations() if known is None else known
    with database_errors():
        first = await database.alone("tiwei schema")
        with suppress(asyncpg.InterfaceError, OSError):
            try:
                await _refuse_foreign(first, known)
                await offer_timescale(first)
            finally:
                await first.close(timeout=5)
        connection = await database.alone("tiwei schema")
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCKS, MIGRATION_LOCK)
                await _refuse_foreign(connection, known)
                await _apply(connection, known)
            return await look(connection)
        finally:
            await connection.close(timeout=5)


async def _applied(session: Session) -> dict[int, tuple[str, str]]:
    """Version -> (name, checksum) of what the database has."""
    if await session.fetchval("SELECT to_regclass('tiwei.migration') IS NULL"):
        if await session.fetchval("SELECT to_regnamespace('tiwei') IS NOT NULL"):
            raise RefusedError("the schema `tiwei` of this database was not made by this program; it is left alone")
        return {}
    rows = await session.fetch("SELECT version, name, checksum FROM tiwei.migration")
    return {row["version"]: (row["name"], row["checksum"]) for row in rows}


async def _refuse_foreign(session: Session, known: Sequence[Migration]) -> None:
    """Raise unless what was applied is a beginning of `known`."""
    applied = await _applied(session)
    newest = known[-1].version
    if applied and max(applied) > newest:
        raise RefusedError(
            f"the database is of a newer version (schema {max(applied)}, this program knows {newest}); "
            "it was left untouched: start the newer program"
        )
    for one in known:
        if one.version in applied and applied[one.version][1] != one.checksum:
            name = applied[one.version][0]
            raise RefusedError(f"migration {name} was applied with other contents; the database was left untouched")


async def _apply(connection: asyncpg.Connection[asyncpg.Record], known: Sequence[Migration]) -> None:
    applied = await _applied(connection)
    due = [one for one in known if one.version not in applied]
    if not due:
        return
    if not applied:
        await connection.execute("CREATE SCHEMA tiwei")
        await connection.execute(
            "CREATE TABLE tiwei.migration (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
    server = await look(connection)
    for one in due:
        text = _PARTITION_CLAUSE.sub(");", one.text) if server.hypertables else one.text
        await connection.execute(text)
        await connection.execute(
            "INSERT INTO tiwei.migration (version, name, checksum) VALUES ($1, $2, $3)",
            one.version,
            one.name,
            one.checksum,
        )
    await _prepare_history(connection, server)


async def _prepare_history(connection: asyncpg.Connection[asyncpg.Record], server: Server) -> None:
    """Make hypertables of the history tables that are none yet, or their outermost native partitions."""
    if not server.hypertables:
        await Partitions(server).make_outermost(connection)
        return
    for table in HISTORY:
        await connection.execute(
            "SELECT public.create_hypertable($1::text::regclass, $2::text::name, chunk_time_interval => $3::interval,"
            " create_default_indexes => false, if_not_exists => true)",
            f"tiwei.{table.name}",
            table.column,
            table.grain.value,
        )
