"""Hourly rollups: recomputed from the samples where they are marked dirty, and read for any period.

See migrations/0005_rollups.sql for what a row tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import asyncpg

from monitor.adapters.marks import HOUR_MS
from monitor.adapters.partitions import DAY_MS, HISTORY, Partitions
from monitor.adapters.pgtext import instant, milliseconds
from monitor.adapters.pool import Session

HOUR = timedelta(hours=1)

#: Hours recomputed in one transaction, and equipment in one statement: both bound memory and the time of a lock.
HOURS_AT_ONCE = 500
EQUIPMENT_AT_ONCE = 2_000

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
CROSS JOIN LATERAL tiwei.summarise(dirty.hour, dirty.hour + interval '1 hour', dirty.numbers) AS s
"""

_ROLL_HOUR = "INSERT INTO tiwei.rollup_hour SELECT s.* FROM tiwei.summarise($1, $2, $3) AS s\n"

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
    if some:
        await connection.execute(_ROLL_SOME + _KEEP_FULLER, some)
    if whole:
        rows = await connection.fetch("SELECT number FROM tiwei.equipment ORDER BY number")
        numbers = [row["number"] for row in rows]
        for hour in whole:
            for part in _parts(numbers):
                await connection.execute(_ROLL_HOUR + _KEEP_FULLER, hour, hour + HOUR, part)
    await connection.execute(_SEEN, some + whole)


def _parts(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), EQUIPMENT_AT_ONCE):
        yield numbers[start : start + EQUIPMENT_AT_ONCE]


def whole_hours(from_ms: int, to_ms: int) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """[from, to) as its whole hours [first, end) and the pieces of hours at its edges; ms since 1970."""
    first, end = -(-from_ms // HOUR_MS) * HOUR_MS, to_ms // HOUR_MS * HOUR_MS
    if first >= end:
        return (first, first), [(from_ms, to_ms)]
    return (first, end), [(a, b) for a, b in ((from_ms, first), (end, to_ms)) if a < b]


# How long the service mode is known in [$1, $2), and is 1. Segments are hours or pieces of hours: from the rollups
# where they are up to date, else from the samples. Between the last sample of one segment and the first of the next the
# mode holds: without limit for a source of changes, for 120 s else. After the last sample of all nothing is known.
_DURATIONS = """
WITH asked AS MATERIALIZED (
    SELECT number, reports, CASE reports WHEN 'changes' THEN '-infinity' ELSE $1::timestamptz - interval '120 s' END
               AS believed_since
    FROM tiwei.equipment WHERE $3::text IS NULL OR division = $3
), everybody AS MATERIALIZED (
    SELECT coalesce(array_agg(number), '{}') AS numbers FROM asked
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
    SELECT s.number, s.first_at, s.last_at, s.last_mode, s.known_ms, s.normal_ms, s.believed_known_ms,
           s.believed_normal_ms
    FROM (
        SELECT hour AS from_at, hour + interval '1 hour' AS to_at, everybody.numbers FROM dirty, everybody WHERE whole
        UNION ALL
        SELECT hour, hour + interval '1 hour', array_agg(number) FROM dirty_some GROUP BY hour
        UNION ALL
        SELECT edge.from_at, edge.to_at, everybody.numbers
        FROM unnest($6::timestamptz[], $7::timestamptz[]) AS edge (from_at, to_at), everybody
    ) AS piece
    CROSS JOIN LATERAL tiwei.summarise(piece.from_at, piece.to_at, piece.numbers) AS s
), before AS (
    SELECT asked.number,
           CASE WHEN raw.sampled_at >= rolled.last_at OR rolled.last_at IS NULL THEN raw.sampled_at
                ELSE rolled.last_at END AS last_at,
           CASE WHEN raw.sampled_at >= rolled.last_at OR rolled.last_at IS NULL THEN raw.service_mode
                ELSE rolled.last_mode END AS last_mode
    FROM asked
    LEFT JOIN LATERAL (
        SELECT r.sampled_at, r.service_mode FROM tiwei.reading r
        WHERE r.number = asked.number AND r.sampled_at < $1 AND r.sampled_at >= asked.believed_since
        ORDER BY r.sampled_at DESC, r.ts DESC, r.seq DESC LIMIT 1
    ) AS raw ON true
    LEFT JOIN LATERAL (
        SELECT r.last_at, r.last_mode FROM tiwei.rollup_hour r
        WHERE r.number = asked.number AND r.hour <= $1::timestamptz - interval '1 hour'
          AND r.hour >= asked.believed_since - interval '1 hour'
        ORDER BY r.hour DESC LIMIT 1
    ) AS rolled ON true
), after AS (
    SELECT asked.number FROM asked
    WHERE EXISTS (SELECT FROM tiwei.reading r WHERE r.number = asked.number AND r.sampled_at >= $2)
       OR EXISTS (SELECT FROM tiwei.rollup_hour r WHERE r.number = asked.number AND r.hour >= $2)
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


async def durations(session: Session, from_ms: int, to_ms: int, division: str | None) -> dict[int, tuple[int, int]]:
    """Equipment number -> (ms in a known service mode, ms of them in mode 1) in [from_ms, to_ms).

    Equipment without any is left out. To be called in a transaction with one snapshot. What retention has taken
    away counts by the whole hour.
    """
    (first, end), edges = whole_hours(from_ms, to_ms)
    rows = await session.fetch(
        _DURATIONS,
        instant(from_ms),
        instant(to_ms),
        division,
        instant(first),
        instant(end),
        [instant(a) for a, _ in edges],
        [instant(b) for _, b in edges],
    )
    return {row["number"]: (row["known_ms"], row["normal_ms"]) for row in rows}


async def dirty_hours(session: Session) -> list[datetime]:
    """The hours whose rollup is not up to date."""
    rows = await session.fetch("SELECT DISTINCT hour FROM tiwei.dirty_bucket ORDER BY hour")
    return [row["hour"] for row in rows]
