"""Samples of single equipments: their history page by page, and what was just committed of those that are watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from monitor.adapters.equipment_pages import IN_SIGHT, state_json
from monitor.adapters.pgtext import clean, instant, milliseconds
from monitor.adapters.pool import Database
from monitor.domain.access import Scope
from monitor.domain.equipment import EquipmentKind

#: Kinds whose samples have the columns of tiwei.reading; those of the others are quantities, in tiwei.measurement.
WITH_STATE = (EquipmentKind.LIFT, EquipmentKind.ESCALATOR, EquipmentKind.WALKWAY)

_READING = """
r.number, r.sampled_at, r.received_at, r.ts, r.seq, r.run_count, r.car_position, r.speed_mps, r.position_m, r.load_kg,
r.service_mode, r.car_status, r.car_direction, r.door_zone, r.door_closed, r.passenger, r.power,
NULL::jsonb AS quantities
"""
_MEASUREMENT = """
r.number, r.sampled_at, r.received_at, r.ts, r.seq, NULL::bigint AS run_count, NULL::integer AS car_position,
NULL::real AS speed_mps, NULL::real AS position_m, NULL::real AS load_kg, NULL::smallint AS service_mode,
NULL::smallint AS car_status, NULL::smallint AS car_direction, NULL::smallint AS door_zone,
NULL::smallint AS door_closed, NULL::smallint AS passenger, NULL::smallint AS power, r.quantities
"""
_TABLES = {True: (_READING, "tiwei.reading"), False: (_MEASUREMENT, "tiwei.measurement")}


def _history_of(state: bool) -> str:
    columns, table = _TABLES[state]
    return f"""
SELECT {columns} FROM {table} r
WHERE r.number = $1 AND r.sampled_at >= $2 AND r.sampled_at < $3 AND (r.sampled_at, r.ts, r.seq) > ($2, $4, $5)
ORDER BY r.sampled_at, r.ts, r.seq LIMIT $6
"""  # noqa: S608 - constants


# [$4, $5) is what all the pieces lie in: it lets the planner leave partitions out before it knows the pieces.
def _watched_of(state: bool) -> str:
    columns, table = _TABLES[state]
    return f"""
SELECT r.* FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) AS asked (number, from_at, to_at)
CROSS JOIN LATERAL (
    SELECT {columns} FROM {table} r
    WHERE r.number = asked.number AND r.sampled_at >= asked.from_at AND r.sampled_at < asked.to_at
      AND r.sampled_at >= $4 AND r.sampled_at < $5
    ORDER BY r.sampled_at DESC, r.ts DESC, r.seq DESC LIMIT $6
) AS r
ORDER BY r.number, r.sampled_at, r.ts, r.seq
"""  # noqa: S608 - constants


_HISTORY = {state: _history_of(state) for state in (True, False)}
_WATCHED = {state: _watched_of(state) for state in (True, False)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample as JSON, and its place among those of its equipment: corrected time (ms), `ts`, `seq`."""

    number: int
    time_ms: int
    ts: int
    seq: int
    body: dict[str, Any]

    @property
    def place(self) -> tuple[int, int, int]:
        """What orders and names it."""
        return self.time_ms, self.ts, self.seq


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is looked at of one equipment: corrected times in [from_ms, to_ms). `state`: its kind has tiwei.reading."""

    number: int
    state: bool
    from_ms: int
    to_ms: int


class ReadingPages:
    """Samples for readers. Every method raises UnavailableError where the database cannot be reached now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(
        self,
        scope: Scope,
        equipment_id: str,
        from_ms: int,
        to_ms: int,
        limit: int,
        *,
        after: tuple[int, int, int] | None = None,
    ) -> list[Sample] | None:
        """The first `limit` samples in [from_ms, to_ms) behind the place `after`; None: no such equipment in sight."""
        async with self._database.session() as session:
            row = await session.fetchrow(
                f"SELECT number, kind FROM tiwei.equipment e WHERE {IN_SIGHT} AND e.equipment_id = $3",  # noqa: S608
                scope.prefix,
                scope.firm_id,
                clean(equipment_id),
            )
            if row is None:
                return None
            begin, ts, seq = after or (from_ms, -(2**63), -(2**63))
            rows = await session.fetch(
                _HISTORY[row["kind"] in WITH_STATE],
                row["number"],
                instant(max(begin, from_ms)),
                instant(to_ms),
                ts,
                seq,
                limit,
            )
        return [_sample(one) for one in rows]

    async def shown_at(self, numbers: Sequence[int]) -> Mapping[int, tuple[bool, int | None]]:
        """Of each number whether its kind has tiwei.reading, and when it was last sampled as shown (ms)."""
        async with self._database.session() as session:
            rows = await session.fetch(
                "SELECT e.number, e.kind, l.sampled_at FROM tiwei.equipment e LEFT JOIN tiwei.latest l USING (number)"
                " WHERE e.number = ANY ($1::integer[])",
                list(numbers),
            )
        return {
            row["number"]: (row["kind"] in WITH_STATE, row["sampled_at"] and milliseconds(row["sampled_at"]))
            for row in rows
        }

    async def watched(self, windows: Sequence[Window], limit: int) -> list[Sample]:
        """The newest `limit` samples in each window, by number and place."""
        found = []
        async with self._database.session() as session:
            for state in (True, False):
                chosen = [one for one in windows if one.state is state]
                if chosen:
                    found += await session.fetch(
                        _WATCHED[state],
                        [one.number for one in chosen],
                        [instant(one.from_ms) for one in chosen],
                        [instant(one.to_ms) for one in chosen],
                        instant(min(one.from_ms for one in chosen)),
                        instant(max(one.to_ms for one in chosen)),
                        limit,
                    )
        return [_sample(one) for one in found]


def _sample(row: asyncpg.Record) -> Sample:
    return Sample(
        number=row["number"],
        time_ms=milliseconds(row["sampled_at"]),
        ts=row["ts"],
        seq=row["seq"],
        body=state_json(row, silent=False),
    )
