"""History by time: native partitions made ahead and on demand, dropped when too old; or TimescaleDB's chunks.

A native partition holds one UTC day, or one UTC month where the day is far from today (an old backlog, a recorded
stream). What is before 2000 or from 2100 on has a partition each, so that no time ever lacks one. The span of
a partition stands in its name: `reading_d20260131`, `reading_m201306`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum

import asyncpg

from monitor.adapters.pool import Session
from monitor.adapters.server import Server

DAY_MS = 86_400_000

#: Advisory locks are named by two numbers; ours share the first.
LOCKS = 0x7477
PARTITION_LOCK = 2

#: Days around today that get a partition of their own; further away whole months do.
DAYS_BACK = 3
DAYS_AHEAD = 8

_EPOCH = date(1970, 1, 1)
_FIRST = (date(2000, 1, 1) - _EPOCH).days
_END = (date(2100, 1, 1) - _EPOCH).days
_NAME = re.compile(r"\w+_(?:d(\d{4})(\d\d)(\d\d)|m(\d{4})(\d\d))")


class Grain(Enum):
    """How much of the time one part of a history table holds where it is up to date."""

    DAY = timedelta(days=1)
    MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryTable:
    """One table partitioned by `column`."""

    name: str
    column: str
    grain: Grain = Grain.DAY


HISTORY = (
    HistoryTable(name="reading", column="sampled_at"),
    HistoryTable(name="measurement", column="sampled_at"),
    HistoryTable(name="event", column="happened_at", grain=Grain.MONTH),
    HistoryTable(name="ride", column="started_at"),
    HistoryTable(name="rollup_hour", column="hour", grain=Grain.MONTH),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A partition's days since 1970, [first, end)."""

    name: str
    first: int
    end: int

    def bounds(self) -> tuple[str, str]:
        """First and end as literals of SQL."""
        return _literal(self.first), _literal(self.end)


def day_span(table: str, day: int) -> Span:
    """The partition of one day."""
    return Span(name=f"{table}_d{_date(day):%Y%m%d}", first=day, end=day + 1)


def month_span(table: str, day: int) -> Span:
    """The partition of the month that `day` is in."""
    first = _date(day).replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Span(name=f"{table}_m{first:%Y%m}", first=(first - _EPOCH).days, end=(following - _EPOCH).days)


def span_of(name: str) -> Span | None:
    """The span that a partition's name tells; None for the two outermost."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    year, month, day, month_year, month_month = found.groups()
    table = name.rsplit("_", 1)[0]
    if year is not None:
        return day_span(table, (date(int(year), int(month), int(day)) - _EPOCH).days)
    return month_span(table, (date(int(month_year), int(month_month), 1) - _EPOCH).days)


class Partitions:
    """Which days have a partition, as far as this process knows, and how to make one that is missing.

    On a server with hypertables every method does nothing.
    """

    def __init__(self, server: Server) -> None:
        self._native = not server.hypertables
        self._covered: dict[str, set[int]] = {table.name: set() for table in HISTORY}
        self._today = 0

    def set_today(self, now_ms: int) -> None:
        """Tell what day it is; partitions around it are made by the day."""
        self._today = now_ms // DAY_MS

    def missing(self, table: str, days: Iterable[int]) -> set[int]:
        """Those of `days` (since 1970) that may lack a partition."""
        if not self._native:
            return set()
        return {day for day in days if _FIRST <= day < _END} - self._covered[table]

    async def learn(self, session: Session) -> None:
        """Read from the catalogue what partitions there are."""
        if not self._native:
            return
        for table in HISTORY:
            spans = await spans_of(session, table.name)
            self._covered[table.name] = {day for span in spans for day in range(span.first, span.end)}

    async def ensure(self, connection: Session, table: HistoryTable, days: Iterable[int]) -> None:
        """Make what is missing for `days`, in a transaction of its own: never inside a batch's.

        A partition is made aside and attached: that waits for no reader and no writer of the table.
        """
        if not self.missing(table.name, days):
            return
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCKS, PARTITION_LOCK)
            covered: set[int] = set()
            for span in await spans_of(connection, table.name):
                covered.update(range(span.first, span.end))
            for day in sorted({day for day in days if _FIRST <= day < _END}):
                if day in covered:
                    continue
                span = self._span_for(table, day, covered)
                await _attach(connection, table.name, span)
                covered.update(range(span.first, span.end))
        self._covered[table.name] = covered

    def _span_for(self, table: HistoryTable, day: int, covered: set[int]) -> Span:
        month = month_span(table.name, day)
        if not covered.isdisjoint(range(month.first, month.end)):
            return day_span(table.name, day)  # its month has days already: a month's partition would overlap
        near = -DAYS_BACK <= day - self._today <= DAYS_AHEAD
        return day_span(table.name, day) if near and table.grain is Grain.DAY else month

    async def make_ahead(self, connection: Session, now_ms: int) -> None:
        """Make the partitions of today and the days to come."""
        self.set_today(now_ms)
        for table in HISTORY:
            await self.ensure(connection, table, range(self._today - 1, self._today + DAYS_AHEAD))

    async def make_outermost(self, connection: Session) -> None:
        """Make the partitions of what is before 2000 and from 2100 on; once, with the tables."""
        if not self._native:
            return
        for table in HISTORY:
            for name, bounds in (
                (f"{table.name}_past", f"FROM (MINVALUE) TO ('{_literal(_FIRST)}')"),
                (f"{table.name}_future", f"FROM ('{_literal(_END)}') TO (MAXVALUE)"),
            ):
                if await connection.fetchval("SELECT to_regclass($1::text) IS NULL", f"tiwei.{name}"):
                    await connection.execute(
                        f"CREATE TABLE tiwei.{name} PARTITION OF tiwei.{table.name} FOR VALUES {bounds}"
                    )


async def spans_of(session: Session, table: str) -> list[Span]:
    """Every native partition of `table` by the day or month, oldest first."""
    names = await session.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass($1::text)",
        f"tiwei.{table}",
    )
    spans = [span for row in names if (span := span_of(row["relname"])) is not None]
    return sorted(spans, key=lambda span: span.first)


async def drop_before(connection: Session, server: Server, table: HistoryTable, day: int) -> int:
    """Drop what lies wholly before `day` (since 1970); returns how many partitions or chunks went.

    Raises asyncpg.LockNotAvailableError where a reader is in the way: try again later.
    """
    if server.hypertables:
        async with _impatient(connection):
            chunks = await connection.fetch(
                "SELECT public.drop_chunks($1::text::regclass, older_than => $2::timestamptz)",
                f"tiwei.{table.name}",
                datetime.combine(_date(day), datetime.min.time(), UTC),
            )
        return len(chunks)
    old = [span for span in await spans_of(connection, table.name) if span.end <= day]
    for span in old:
        async with _impatient(connection):
            await connection.execute(f"DROP TABLE tiwei.{span.name}")
    return len(old)


@asynccontextmanager
async def _impatient(connection: Session) -> AsyncIterator[None]:
    """A transaction that takes a lock at once or not at all: while it waits for a reader, writers wait behind it."""
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '200ms'")
        yield


async def _attach(connection: Session, table: str, span: Span) -> None:
    first, end = span.bounds()
    try:
        await connection.execute(f"CREATE TABLE tiwei.{span.name} (LIKE tiwei.{table} INCLUDING ALL)")
    except asyncpg.DuplicateTableError as error:  # pragma: no cover - somebody made a table of our name by hand
        raise RuntimeError(f"tiwei.{span.name} exists and is no partition of tiwei.{table}") from error
    await connection.execute(
        f"ALTER TABLE tiwei.{table} ATTACH PARTITION tiwei.{span.name} FOR VALUES FROM ('{first}') TO ('{end}')"
    )


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def _literal(day: int) -> str:
    return f"{_date(day):%Y-%m-%d} 00:00:00+00"
