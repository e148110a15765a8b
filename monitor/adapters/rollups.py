"""Hourly rollups: recomputed from the samples where they are marked dirty, and read for any period.

See migrations/0005_rollups.sql for what a row tells.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta

import asyncpg

from monitor.adapters.marks import HOUR_MS
from monitor.adapters.partitions import DAY_MS, HISTORY, Partitions
from monitor.adapters.pgtext import instant, milliseconds
from monitor.adapters.pool import Session

HOUR = timedelta(hours=1)

#: Hours recomputed in one transaction, and equipment and span of one statement: bound memory and the time of a lock.
HOURS_AT_ONCE = 500
EQUIPMENT_AT_ONCE = 2_000
RUN = timedelta(days=8)

_ROLLUP = HISTORY[4]

_DUE = """
SELECT hour, array_agg(mark_id) AS marks, bool_or(numbers IS NULL) AS whole
FROM tiwei.dirty_bucket WHERE hour < $1 GROUP BY hour ORDER BY hour LIMIT $2
"""

# Samples are never taken away but by retention: a rollup that counts more of them than are left stays as it is.
_KEEP_FULLER = """
ON CONFLICT (number, hour) DO UPDATE SET
    samples = excluded.samples, first_at = excluded.first_at, last_at = excluded.last_at,
    last_mode = excluded.last_mode, known_ms = excluded.known_ms, normal_ms = excluded.normal_ms,
    believed_known_ms = excluded.believed_known_ms, believed_normal_ms = excluded.believed_normal_ms
WHERE excluded.samples >= rollup_hour.samples
"""

_ROLL_SOME = """
INSERT INTO tiwei.rollup_hour
SELECT s.* FROM (
    SELECT d.hour, array_agg(DISTINCT n.number) AS numbers
    FROM tiwei.dirty_bucket d CROSS JOIN LATERAL unnest(d.numbers) AS n (number)
    WHERE d.hour = ANY ($1::timestamptz[]) GROUP BY d.hour
) AS dirty
CROSS JOIN LATERAL tiwei.summarise(dirty.hour, dirty.hour + interval '1 hour', dirty.numbers, $2, $3) AS s
"""

_ROLL_HOUR = "INSERT INTO tiwei.rollup_hour SELECT s.* FROM tiwei.summarise($1, $2, $3, $1, $2) AS s\n"

_SEEN = """
UPDATE tiwei.equipment e SET last_seen_at = seen.last_at
FROM (
    SELECT number, max(last_at) AS last_at FROM tiwei.rollup_hour WHERE hour = ANY ($1::timestamptz[]) GROUP BY number
) AS seen
WHERE e.number = seen.number AND (e.last_seen_at IS NULL OR e.last_seen_at < seen.last_at)
"""


async def recompute(connection: Session, partitions: Partitions, until_ms: int) -> int:
    """Recompute some of the dirty hours that begin before `until_ms`, oldest first, in one transaction.

    Returns how many hours were done; call again until that is 0. One at a time (the caller holds a lock). A batch that
    is committed meanwhile is not waited for and keeps its marks.
    """
    if not (hours := await connection.fetch(_DUE, instant(until_ms), HOURS_AT_ONCE)):
        return 0
    days = {milliseconds(row["hour"]) // DAY_MS for row in hours}
    await partitions.ensure(connection, _ROLLUP, days)
    async with connection.transaction(isolation="repeatable_read"):
        # Again: what this transaction recomputes and takes away is what it sees.
        hours = await connection.fetch(_DUE, instant(until_ms), HOURS_AT_ONCE)
        await _roll(connection, hours)
        await connection.execute(
            "DELETE FROM tiwei.dirty_bucket WHERE mark_id = ANY ($1::bigint[])",
            [mark for row in hours for mark in row["marks"]],
        )
    return len(hours)


async def _roll(connection: Session, hours: list[asyncpg.Record]) -> None:
    some = [row["hour"] for row in hours if not row["whole"]]
    whole = [row["hour"] for row in hours if row["whole"]]
    for run in _runs(some):
        await connection.execute(_ROLL_SOME + _KEEP_FULLER, run, run[0], run[-1] + HOUR)
    if whole:
        rows = await connection.fetch("SELECT number FROM tiwei.equipment ORDER BY number")
        numbers = [row["number"] for row in rows]
        for hour in whole:
            for part in _parts(numbers):
                await connection.execute(_ROLL_HOUR + _KEEP_FULLER, hour, hour + HOUR, part)
    await connection.execute(_SEEN, some + whole)


def _runs(hours: list[datetime]) -> Iterator[list[datetime]]:
    """Ordered hours in groups that lie within a few partitions each."""
    while hours:
        count = bisect_left(hours, hours[0] + RUN)
        yield hours[:count]
        hours = hours[count:]


def _parts(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), EQUIPMENT_AT_ONCE):
        yield numbers[start : start + EQUIPMENT_AT_ONCE]


def whole_hours(from_ms: int, to_ms: int) -> tuple[int, int, int, int]:
    """[from, to) as pieces: [from, a) and [b, to) of an hour, and the whole hours [first, end); ms since 1970.

    Returns (a, first, end, b). What there is none of is empty.
    """
    first, end = -(-from_ms // HOUR_MS) * HOUR_MS, to_ms // HOUR_MS * HOUR_MS
    if first > end:  # both in one hour
        return to_ms, first, first, to_ms
    return first, first, end, end


_SOME = """
SELECT s.* FROM (
    SELECT d.hour, array_agg(DISTINCT n.number) AS numbers
    FROM tiwei.dirty_bucket d CROSS JOIN LATERAL unnest(d.numbers) AS n (number)
    WHERE d.hour = ANY ($1::timestamptz[]) AND n.number = ANY ($4::integer[]) GROUP BY d.hour
) AS dirty
CROSS JOIN LATERAL tiwei.summarise(dirty.hour, dirty.hour + interval '1 hour', dirty.numbers, $2, $3) AS s
"""

_PIECE = "SELECT s.* FROM tiwei.summarise($1, $2, $3, $1, $2) AS s"

# How long the service mode is known in [$1, $2), and is 1. Segments are hours or pieces of hours: from the rollups
# where they are up to date, else made from the samples just before (the arrays from $6 on). Between the last sample of
# one segment and the first of the next the mode holds: without limit for a source of changes, for 120 s else. After the
# last sample of all nothing is known.
_DURATIONS = """
WITH asked AS MATERIALIZED (
    SELECT number, reports, CASE reports WHEN 'changes' THEN '-infinity' ELSE $1::timestamptz - interval '120 s' END
               AS believed_since
    FROM tiwei.equipment WHERE $3::text IS NULL OR division = $3
), dirty AS MATERIALIZED (
    SELECT hour, bool_or(numbers IS NULL) AS whole FROM tiwei.dirty_bucket WHERE hour >= $4 AND hour < $5 GROUP BY hour
), dirty_some AS MATERIALIZED (
    SELECT DISTINCT d.hour, n.number
    FROM tiwei.dirty_bucket d CROSS JOIN LATERAL unnest(d.numbers) AS n (number)
    JOIN dirty ON dirty.hour = d.hour AND NOT dirty.whole
), summarised AS (
    SELECT r.number, r.first_at, r.last_at, r.last_mode, r.known_ms, r.normal_ms, r.believed_known_ms,
           r.believed_normal_ms
    FROM tiwei.rollup_hour r
    WHERE r.hour >= $4 AND r.hour < $5
      AND NOT EXISTS (SELECT FROM dirty WHERE dirty.hour = r.hour AND dirty.whole)
      AND NOT EXISTS (SELECT FROM dirty_some WHERE dirty_some.hour = r.hour AND dirty_some.number = r.number)
    UNION ALL
    SELECT * FROM unnest($6::integer[], $7::timestamptz[], $8::timestamptz[], $9::smallint[], $10::integer[],
                         $11::integer[], $12::integer[], $13::integer[])
), before AS (
    SELECT asked.number,
           CASE WHEN raw.sampled_at >= rolled.last_at OR rolled.last_at IS NULL THEN raw.sampled_at
                ELSE rolled.last_at END AS last_at,
           CASE WHEN raw.sampled_at >= rolled.last_at OR rolled.last_at IS NULL THEN raw.service_mode
                ELSE rolled.last_mode END AS last_mode
    FROM asked
    LEFT JOIN LATERAL (
        -- Two, because a bound that the planner knows leaves all other partitions out.
        (SELECT r.sampled_at, r.service_mode FROM tiwei.reading r
         WHERE asked.reports = 'changes' AND r.number = asked.number AND r.sampled_at < $1
         ORDER BY r.sampled_at DESC, r.ts DESC, r.seq DESC LIMIT 1)
        UNION ALL
        (SELECT r.sampled_at, r.service_mode FROM tiwei.reading r
         WHERE asked.reports <> 'changes' AND r.number = asked.number AND r.sampled_at < $1
           AND r.sampled_at >= $1::timestamptz - interval '120 s'
         ORDER BY r.sampled_at DESC, r.ts DESC, r.seq DESC LIMIT 1)
    ) AS raw ON true
    LEFT JOIN LATERAL (
        SELECT r.last_at, r.last_mode FROM tiwei.rollup_hour r
        WHERE r.number = asked.number AND r.hour <= $1::timestamptz - interval '1 hour'
          AND r.hour >= asked.believed_since - interval '1 hour'
        ORDER BY r.hour DESC LIMIT 1
    ) AS rolled ON true
), after AS (
    SELECT asked.number FROM asked
    CROSS JOIN LATERAL (
        (SELECT FROM tiwei.rollup_hour r WHERE r.number = asked.number AND r.hour >= $2 LIMIT 1)
        UNION ALL
        (SELECT FROM tiwei.reading r WHERE r.number = asked.number AND r.sampled_at >= $2 LIMIT 1)
        LIMIT 1
    ) AS later
), chained AS (
    SELECT s.*, lead(s.first_at) OVER (PARTITION BY s.number ORDER BY s.first_at) AS next_at
    FROM (
        SELECT * FROM summarised
        UNION ALL
        SELECT number, last_at, last_at, last_mode, 0, 0, 0, 0 FROM before WHERE last_at IS NOT NULL
    ) AS s
), held AS (
    SELECT chained.*, asked.reports = 'changes' AS unlimited,
           greatest(0, extract(epoch FROM least(
               coalesce(next_at, CASE WHEN after.number IS NOT NULL THEN $2::timestamptz ELSE last_at END),
               CASE WHEN asked.reports <> 'changes' THEN last_at + interval '120 s' END
           ) - greatest(last_at, $1)) * 1000)::bigint AS gap_ms
    FROM chained JOIN asked USING (number) LEFT JOIN after USING (number)
)
SELECT number,
       sum(CASE WHEN unlimited THEN known_ms ELSE believed_known_ms END
           + CASE WHEN tiwei.known_mode(last_mode) THEN gap_ms ELSE 0 END)::bigint AS known_ms,
       sum(CASE WHEN unlimited THEN normal_ms ELSE believed_normal_ms END
           + CASE WHEN last_mode = 1 THEN gap_ms ELSE 0 END)::bigint AS normal_ms
FROM held GROUP BY number
"""


_SEGMENT = (
    "number",
    "first_at",
    "last_at",
    "last_mode",
    "known_ms",
    "normal_ms",
    "believed_known_ms",
    "believed_normal_ms",
)


async def durations(session: Session, from_ms: int, to_ms: int, division: str | None) -> dict[int, tuple[int, int]]:
    """Equipment number -> (ms in a known service mode, ms of them in mode 1) in [from_ms, to_ms).

    Equipment without any is left out. To be called in a transaction with one snapshot. What retention has taken
    away counts by the whole hour.
    """
    head, first, end, tail = (instant(ms) for ms in whole_hours(from_ms, to_ms))
    rows = await session.fetch(
        "SELECT number FROM tiwei.equipment WHERE $1::text IS NULL OR division = $1 ORDER BY number", division
    )
    numbers = [row["number"] for row in rows]
    segments = await _from_samples(session, first, end, numbers)
    for begin, stop in ((instant(from_ms), head), (tail, instant(to_ms))):
        segments += await _piece(session, begin, stop, numbers)
    rows = await session.fetch(
        _DURATIONS,
        instant(from_ms),
        instant(to_ms),
        division,
        first,
        end,
        *([row[name] for row in segments] for name in _SEGMENT),
    )
    return {row["number"]: (row["known_ms"], row["normal_ms"]) for row in rows}


async def _from_samples(session: Session, first: datetime, end: datetime, numbers: list[int]) -> list[asyncpg.Record]:
    """The rollup rows of the dirty hours of [first, end), made anew and not stored."""
    dirty = await session.fetch(
        "SELECT hour, bool_or(numbers IS NULL) AS whole FROM tiwei.dirty_bucket"
        " WHERE hour >= $1 AND hour < $2 GROUP BY hour ORDER BY hour",
        first,
        end,
    )
    found: list[asyncpg.Record] = []
    for run in _runs([row["hour"] for row in dirty if not row["whole"]]):
        found += await session.fetch(_SOME, run, run[0], run[-1] + HOUR, numbers)
    for row in dirty:
        if row["whole"]:
            found += await _piece(session, row["hour"], row["hour"] + HOUR, numbers)
    return found


async def _piece(session: Session, begin: datetime, stop: datetime, numbers: list[int]) -> list[asyncpg.Record]:
    """The rollup rows of [begin, stop), at most an hour, made from the samples."""
    found: list[asyncpg.Record] = []
    if begin < stop:
        for part in _parts(numbers):
            found += await session.fetch(_PIECE, begin, stop, part)
    return found


async def dirty_hours(session: Session) -> list[datetime]:
    """The hours whose rollup is not up to date."""
    rows = await session.fetch("SELECT DISTINCT hour FROM tiwei.dirty_bucket ORDER BY hour")
    return [row["hour"] for row in rows]
