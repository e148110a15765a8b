"""History in and out: readings by binary COPY, the rest as arrays."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.adapters import pgcopy
from monitor.adapters.pgtext import bigint, clean, clean_or_none, instant, json_text
from monitor.adapters.pool import Database, Session
from monitor.domain.commit import ActionRecord, CallRecord, EventRecord, LinkRecord, Measurement, RideRecord

_STAGING = """
CREATE TEMP TABLE IF NOT EXISTS staged_reading (LIKE tiwei.reading) ON COMMIT DELETE ROWS
"""
_FROM_STAGING = "INSERT INTO tiwei.reading SELECT * FROM staged_reading ON CONFLICT DO NOTHING"

# The LIMIT keeps this a look-up by index for each row asked for, whatever the planner believes.
_STORED_ALREADY = """
SELECT asked.place
FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
    WITH ORDINALITY AS asked (number, ts, seq, first_at, last_at, place)
CROSS JOIN LATERAL (
    SELECT FROM tiwei.reading r
    WHERE r.number = asked.number AND r.ts = asked.ts AND r.seq = asked.seq
      AND r.sampled_at BETWEEN asked.first_at AND asked.last_at
      AND r.sampled_at BETWEEN $6 AND $7
    LIMIT 1
) AS stored
"""

_MEASUREMENTS = """
INSERT INTO tiwei.measurement (number, sampled_at, received_at, ts, seq, broken_clock, quantities)
SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::boolean[],
    $7::jsonb[])
ON CONFLICT DO NOTHING
"""

_EVENTS = """
INSERT INTO tiwei.event (number, happened_at, received_at, ts, seq, code, vendor_code, state, kind, message, test)
SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::boolean[])
ON CONFLICT DO NOTHING
"""

_RIDES = """
INSERT INTO tiwei.ride (number, started_at, received_at, ts, rate_hz, x, y, z)
SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::double precision[],
    $6::bytea[], $7::bytea[], $8::bytea[])
ON CONFLICT DO NOTHING
"""

_LINKS = """
INSERT INTO tiwei.link_state (number, online, retained, received_at)
SELECT * FROM unnest($1::integer[], $2::boolean[], $3::boolean[], $4::timestamptz[])
ON CONFLICT (number) DO UPDATE
SET online = excluded.online, retained = excluded.retained, received_at = excluded.received_at
"""

_CALLS = """
INSERT INTO tiwei.call_event (call_id, event, ts, division, received_at, payload)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::jsonb[])
ON CONFLICT DO NOTHING
"""

_ACTIONS = """
INSERT INTO tiwei.firm_action (firm_id, key, ts, received_at, action, equipment_id, incident_id, payload)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::jsonb[])
ON CONFLICT DO NOTHING
"""


async def copy_readings(session: Session, rows: NDArray[np.void], *, staged: bool) -> None:
    """Store READING rows; part of a batch's transaction.

    Unstaged is fast and raises asyncpg.UniqueViolationError where a row is there already; staged leaves such rows out.
    The day of every row must have its partition.
    """
    if not len(rows):
        return
    stream = io.BytesIO(pgcopy.encode(rows))
    columns = pgcopy.READING_COLUMNS
    if not staged:
        await session.copy_to_table("reading", schema_name="tiwei", source=stream, columns=columns, format="binary")
        return
    await session.execute(_STAGING)
    await session.copy_to_table("staged_reading", source=stream, columns=columns, format="binary")
    await session.execute(_FROM_STAGING)


async def stored_already(
    session: Session, rows: NDArray[np.void], low_ms: NDArray[np.int64], high_ms: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """For each READING row whether one with its (number, ts, seq) is stored.

    `low_ms`, `high_ms`: for each row the bounds of `sampled_at - ts` within which it would have been stored.
    """
    first = [instant(int(ms)) for ms in rows["ts"] + low_ms]
    last = [instant(int(ms)) for ms in rows["ts"] + high_ms]
    found = await session.fetch(
        _STORED_ALREADY,
        rows["number"].tolist(),
        rows["ts"].tolist(),
        rows["seq"].tolist(),
        first,
        last,
        min(first),
        max(last),
    )
    result = np.zeros(len(rows), np.bool_)
    result[[row["place"] - 1 for row in found]] = True
    return result


async def store_measurements(session: Session, measurements: Sequence[Measurement]) -> None:
    """Store samples of `values` kinds; one that is there already is left out."""
    await session.execute(
        _MEASUREMENTS,
        [one.number for one in measurements],
        [instant(one.time_ms) for one in measurements],
        [instant(one.received_ms) for one in measurements],
        [bigint(one.ts) for one in measurements],
        [bigint(one.seq) for one in measurements],
        [one.broken_clock for one in measurements],
        [json_text(one.values) for one in measurements],
    )


async def store_events(session: Session, events: Sequence[EventRecord]) -> None:
    """Store coded events; one that is there already is left out."""
    await session.execute(
        _EVENTS,
        [one.number for one in events],
        [instant(one.time_ms) for one in events],
        [instant(one.received_ms) for one in events],
        [bigint(one.ts) for one in events],
        [bigint(one.seq) for one in events],
        [bigint(one.code) for one in events],
        [clean(one.vendor_code or "") for one in events],
        [clean(one.state) for one in events],
        [clean(one.kind) for one in events],
        [clean_or_none(one.text) for one in events],
        [one.test for one in events],
    )


async def store_rides(session: Session, rides: Sequence[RideRecord]) -> None:
    """Store vibration bursts; one that is there already is left out."""

    def octets(axis: NDArray[np.float32]) -> bytes:
        return axis.astype("<f4").tobytes()

    await session.execute(
        _RIDES,
        [one.number for one in rides],
        [instant(one.time_ms) for one in rides],
        [instant(one.received_ms) for one in rides],
        [bigint(one.ts) for one in rides],
        [one.rate_hz for one in rides],
        [octets(one.x) for one in rides],
        [octets(one.y) for one in rides],
        [octets(one.z) for one in rides],
    )


async def store_links(session: Session, links: Sequence[LinkRecord]) -> None:
    """Keep the last link message of each equipment; `links` are in the order of their receipt."""
    last = list({one.number: one for one in links}.values())
    await session.execute(
        _LINKS,
        [one.number for one in last],
        [one.online for one in last],
        [one.retained for one in last],
        [instant(one.received_ms) for one in last],
    )


async def store_calls(session: Session, calls: Sequence[CallRecord]) -> None:
    """Store progress of calls; unique by (call_id, event, ts)."""
    await session.execute(
        _CALLS,
        [clean(one.call_id) for one in calls],
        [clean(one.event) for one in calls],
        [bigint(one.ts) for one in calls],
        [clean(one.division) for one in calls],
        [instant(one.received_ms) for one in calls],
        [json_text(one.payload) for one in calls],
    )


async def store_actions(session: Session, actions: Sequence[ActionRecord]) -> None:
    """Store what firms' people did; unique by (firm_id, key)."""
    await session.execute(
        _ACTIONS,
        [clean(one.firm_id) for one in actions],
        [clean(one.key) for one in actions],
        [bigint(one.ts) for one in actions],
        [instant(one.received_ms) for one in actions],
        [clean(one.action) for one in actions],
        [clean_or_none(one.equipment_id) for one in actions],
        [clean_or_none(one.incident_id) for one in actions],
        [json_text(one.payload) for one in actions],
    )


async def fetch_readings(database: Database, number: int, from_ms: int, to_ms: int) -> NDArray[np.void]:
    """What is stored of one equipment in [from_ms, to_ms), as a READING array in the order of `time_ms`."""
    stream = io.BytesIO()
    async with database.session() as session:
        await session.copy_from_query(
            pgcopy.SELECT_READINGS,
            number,
            instant(from_ms),
            instant(to_ms),
            output=stream,
            format="binary",
        )
    return pgcopy.decode(stream.getvalue())
