"""What the database server is: looked at once, then the same tables and queries on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import asyncpg

from monitor.adapters.pool import Session
from monitor.domain.errors import RefusedError

#: date_bin and the rest of what the queries use.
OLDEST_VERSION = 140_000


class Edition(StrEnum):
    """What keeps the history."""

    PLAIN = "plain"  # native partitions
    APACHE = "apache"  # TimescaleDB without compression and policies: hypertables
    COMMUNITY = "community"  # TimescaleDB with them


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One database as found. `version` as PostgreSQL counts: 150013 is 15.13."""

    version: int
    edition: Edition
    timescale_version: str | None = None

    @property
    def hypertables(self) -> bool:
        """Whether TimescaleDB keeps the history, not native partitions."""
        return self.edition is not Edition.PLAIN


async def look(session: Session) -> Server:
    """Find out what `session` is connected to.

    TimescaleDB counts where its extension is installed in this database and the history is not already kept in
    native partitions: what a database began with, it stays with.

    Raises:
        RefusedError: a PostgreSQL older than 14.
    """
    version = int(await session.fetchval("SELECT current_setting('server_version_num')"))
    if version < OLDEST_VERSION:
        raise RefusedError(f"PostgreSQL {version // 10000} is too old: 14 or newer is needed")
    timescale = await session.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    native = await session.fetchval(
        "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('tiwei.reading')",
    )
    if timescale is None or native:
        return Server(version=version, edition=Edition.PLAIN)
    licence = await session.fetchval("SELECT current_setting('timescaledb.license', true)")
    edition = Edition.COMMUNITY if licence == "timescale" else Edition.APACHE
    return Server(version=version, edition=edition, timescale_version=timescale)


async def offer_timescale(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Install the TimescaleDB extension into a new database where the server has it; else change nothing.

    The connection may be lost by the attempt (a server that has the files but does not preload the library ends the
    session), so it must be one of its own.
    """
    wanted = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb' AND installed_version IS NULL)"
        " AND to_regclass('tiwei.reading') IS NULL"
    )
    if not wanted:
        return
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        # Not preloaded, or not ours to install: the native way is whole.
        return
