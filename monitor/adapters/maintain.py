"""The upkeep of the database; see services/maintain for what is done when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from monitor.adapters import feed, rollups
from monitor.adapters.partitions import DAY_MS, HISTORY, LOCKS, HistoryTable, Partitions, drop_before
from monitor.adapters.pgtext import instant
from monitor.adapters.pool import Database
from monitor.adapters.quarantine import QuarantineBounds, trim
from monitor.adapters.server import Edition, Server, look

MAINTAIN_LOCK = 5

_READING, _MEASUREMENT, _EVENT, _RIDE, _ROLLUP = HISTORY

#: What TimescaleDB compresses: the table, what its compressed rows are grouped and ordered by.
_COMPRESSED = (
    ("reading", "number", "sampled_at, ts, seq"),
    ("measurement", "number", "sampled_at, ts, seq"),
)


class PostgresUpkeep:
    """Upkeep beside a monitor at work: no lock that a batch waits for is asked for longer than a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[PostgresTurn | None]:
        """See services.maintain.Upkeep."""
        async with self._database.session() as session:
            if not await session.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCKS, MAINTAIN_LOCK):
                yield None
                return
            try:
                yield PostgresTurn(session, await look(session))
            finally:
                if not session.is_closed():
                    await session.execute("SELECT pg_advisory_unlock($1, $2)", LOCKS, MAINTAIN_LOCK)


class PostgresTurn:
    """See services.maintain.Turn."""

    def __init__(self, session: PoolConnectionProxy[asyncpg.Record], server: Server) -> None:
        self._session = session
        self._server = server
        self._partitions = Partitions(server)

    async def make_ahead(self, now_ms: int) -> None:
        await self._partitions.make_ahead(self._session, now_ms)

    async def roll_up(self, until_ms: int) -> int:
        return await rollups.recompute(self._session, self._partitions, until_ms)

    async def drop_samples(self, before_ms: int) -> int | None:
        # Samples of an hour that is not rolled up yet stay until it is.
        oldest = await self._session.fetchval(
            "SELECT EXISTS (SELECT FROM tiwei.dirty_bucket WHERE hour < $1)", instant(before_ms)
        )
        return None if oldest else await self._drop((_READING, _MEASUREMENT, _RIDE), before_ms)

    async def drop_summaries(self, before_ms: int) -> int | None:
        return await self._drop((_EVENT, _ROLLUP), before_ms)

    async def _drop(self, tables: Iterable[HistoryTable], before_ms: int) -> int | None:
        dropped = 0
        try:
            for table in tables:
                dropped += await drop_before(self._session, self._server, table, before_ms // DAY_MS)
        except asyncpg.LockNotAvailableError:
            return None
        return dropped

    async def compress(self, after_days: int) -> None:
        if self._server.edition is not Edition.COMMUNITY:
            return
        for table, segment, order in _COMPRESSED:
            await self._compress(table, segment, order, after_days)

    async def _compress(self, table: str, segment: str, order: str, after_days: int) -> None:
        enabled = await self._session.fetchval(
            "SELECT compression_enabled FROM timescaledb_information.hypertables"
            " WHERE hypertable_schema = 'tiwei' AND hypertable_name = $1",
            table,
        )
        if not enabled:
            await self._session.execute(
                f"ALTER TABLE tiwei.{table} SET (timescaledb.compress,"
                f" timescaledb.compress_segmentby = '{segment}', timescaledb.compress_orderby = '{order}')"
            )
        planned = await self._session.fetchval(
            "SELECT (config ->> 'compress_after')::interval = make_interval(days => $2)"
            " FROM timescaledb_information.jobs"
            " WHERE hypertable_schema = 'tiwei' AND hypertable_name = $1 AND proc_name = 'policy_compression'",
            table,
            after_days,
        )
        if planned:
            return
        async with self._session.transaction():
            if planned is not None:
                await self._session.execute(
                    "SELECT public.remove_compression_policy($1::text::regclass)", f"tiwei.{table}"
                )
            await self._session.execute(
                "SELECT public.add_compression_policy($1::text::regclass, make_interval(days => $2))",
                f"tiwei.{table}",
                after_days,
            )

    async def trim(self, oldest_ms: int, messages: int, octets: int) -> None:
        await self._session.execute("DELETE FROM tiwei.quarantine WHERE received_at < $1", instant(oldest_ms))
        await trim(self._session, QuarantineBounds(messages=messages, octets=octets))
        await self._session.execute(
            "DELETE FROM tiwei.journal WHERE position <= (SELECT max(position) FROM tiwei.checkpoint)"
        )

    async def trim_feed(self, now_ms: int) -> None:
        await feed.trim(self._session, now_ms)
