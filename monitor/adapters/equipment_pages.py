"""Equipment as it is shown: the register, the state now, what is open; list by list, for whoever may see it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from monitor.adapters.pgtext import clean_or_none, milliseconds, utc_text
from monitor.adapters.pool import Database, Session
from monitor.domain.access import Scope
from monitor.domain.division import division_prefix
from monitor.domain.incident import Severity

#: In sight: $1 what divisions begin with, $2 the firm.
IN_SIGHT = "($1::text IS NULL OR starts_with(e.division, $1)) AND ($2::text IS NULL OR e.firm_id = $2)"

#: Columns of tiwei.latest, those of a State but for the instants and `silent`.
_PLAIN = (
    "service_mode",
    "car_status",
    "car_direction",
    "door_zone",
    "car_position",
    "door_closed",
    "passenger",
    "speed_mps",
    "position_m",
    "power",
    "load_kg",
    "run_count",
)

_SHOWN = f"""
SELECT e.*, l.sampled_at, l.received_at, l.silent, {", ".join(f"l.{name}" for name in _PLAIN)}, l.quantities,
       i.incident_id
FROM tiwei.equipment e
LEFT JOIN tiwei.latest l USING (number)
LEFT JOIN tiwei.incident i ON i.number = e.number AND i.closed_at IS NULL
"""  # noqa: S608 - names of columns only

_PAGE = f"""
{_SHOWN}
WHERE e.number > $3 AND {IN_SIGHT}
  AND ($5::text IS NULL OR starts_with(e.division, $5)) AND ($6::text IS NULL OR e.kind = $6)
  AND ($7::text IS NULL OR e.firm_id = $7)
  AND ($8::text IS NULL OR strpos(lower(e.equipment_id), lower($8)) > 0 OR starts_with(e.rescue_code, $8)
       OR strpos(lower(e.place ->> 'address'), lower($8)) > 0)
ORDER BY e.number LIMIT $4
"""
_ONE = f"{_SHOWN} WHERE {IN_SIGHT} AND e.equipment_id = $3"

_OPEN_FAULTS = """
SELECT number, fault_id, kind, since_at FROM tiwei.fault
WHERE number = ANY ($1::integer[]) AND cleared_at IS NULL AND NOT repeated ORDER BY raised_at, fault_id
"""

_FLEET = f"""
WITH seen AS MATERIALIZED (
    SELECT e.number, e.registered, l.silent, l.service_mode, l.car_status, l.passenger
    FROM tiwei.equipment e LEFT JOIN tiwei.latest l USING (number) WHERE {IN_SIGHT}
), wrong AS (
    SELECT s.number, bool_or(f.kind = 'offline') AS offline FROM seen s JOIN tiwei.fault f USING (number)
    WHERE f.cleared_at IS NULL AND NOT f.repeated GROUP BY s.number
)
SELECT
    (SELECT json_build_object(
        'total', count(*),
        'unregistered', count(*) FILTER (WHERE NOT registered),
        'never_heard', count(*) FILTER (WHERE silent IS NULL),
        'silent', count(*) FILTER (WHERE silent),
        'moving', count(*) FILTER (WHERE car_status = 1 AND NOT silent),
        'occupied', count(*) FILTER (WHERE passenger = 1 AND NOT silent)) FROM seen) AS counts,
    (SELECT json_object_agg(mode, n) FROM (
        SELECT coalesce(service_mode, 7)::text AS mode, count(*) AS n FROM seen WHERE NOT silent GROUP BY 1) m)
        AS modes,
    (SELECT json_build_object('with_open_faults', count(*), 'offline', count(*) FILTER (WHERE offline)) FROM wrong)
        AS faults,
    (SELECT json_object_agg(severity::text, n) FROM (
        SELECT i.severity, count(*) AS n FROM tiwei.incident i WHERE i.closed_at IS NULL
          AND ($1::text IS NULL OR starts_with(i.division, $1)) AND ($2::text IS NULL OR i.firm_id = $2)
        GROUP BY 1) v) AS incidents
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of the equipment is asked for; None: any. `words`: in the id, the address, or how a rescue code begins."""

    division: str | None = None
    kind: str | None = None
    firm_id: str | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One equipment as JSON, with its number, the cursor of lists."""

    number: int
    body: dict[str, Any]


class EquipmentPages:
    """Equipment for its readers. Every method raises UnavailableError where the database cannot be reached now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, scope: Scope, asked: Asked, limit: int, *, after: int = -1) -> list[Shown]:
        """The first `limit` with numbers above `after`, by number."""
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await shown_after(session, scope, asked, limit, after)

    async def one(self, scope: Scope, equipment_id: str) -> Shown | None:
        """One equipment; None where there is none in sight."""
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await session.fetch(_ONE, scope.prefix, scope.firm_id, clean_or_none(equipment_id))
            found = await _with_faults(session, rows)
        return found[0] if found else None

    async def numbers(self, scope: Scope, equipment_ids: Sequence[str]) -> dict[str, int]:
        """The numbers of those that are in sight."""
        async with self._database.session() as session:
            rows = await session.fetch(
                f"SELECT equipment_id, number FROM tiwei.equipment e"  # noqa: S608 - a constant
                f" WHERE {IN_SIGHT} AND equipment_id = ANY ($3::text[])",
                scope.prefix,
                scope.firm_id,
                [clean_or_none(one) for one in equipment_ids],
            )
        return {row["equipment_id"]: row["number"] for row in rows}

    async def fleet(self, scope: Scope) -> dict[str, Any]:
        """How many there are, and how they do. Modes and movement are those of who is not silent."""
        async with self._database.session() as session:
            row = await session.fetchrow(_FLEET, scope.prefix, scope.firm_id)
        assert row is not None
        modes, incidents = json.loads(row["modes"] or "{}"), json.loads(row["incidents"] or "{}")
        return {
            **json.loads(row["counts"]),
            "by_mode": {str(mode): modes.get(str(mode), 0) for mode in range(8)},
            **json.loads(row["faults"]),
            "open_incidents": {one.name.lower(): incidents.get(str(one.value), 0) for one in Severity},
        }


async def shown_after(session: Session, scope: Scope, asked: Asked, limit: int, after: int) -> list[Shown]:
    """As `EquipmentPages.page`, in a transaction of the caller's."""
    rows = await session.fetch(
        _PAGE,
        scope.prefix,
        scope.firm_id,
        after,
        limit,
        None if asked.division is None else division_prefix(asked.division),
        asked.kind,
        clean_or_none(asked.firm_id),
        clean_or_none(asked.words),
    )
    return await _with_faults(session, rows)


async def _with_faults(session: Session, rows: Sequence[asyncpg.Record]) -> list[Shown]:
    faults: dict[int, list[dict[str, Any]]] = {}
    for row in await session.fetch(_OPEN_FAULTS, [row["number"] for row in rows]):
        fault = {"fault_id": str(row["fault_id"]), "kind": row["kind"], "since_at": utc_text(_ms(row["since_at"]))}
        faults.setdefault(row["number"], []).append(fault)
    return [Shown(number=row["number"], body=_equipment_json(row, faults.get(row["number"], []))) for row in rows]


def _equipment_json(row: asyncpg.Record, open_faults: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "equipment_id": row["equipment_id"],
        "division": row["division"],
        "kind": row["kind"],
        "registered": row["registered"],
        "rescue_code": row["rescue_code"],
        "bottom_floor": row["bottom_floor"],
        "top_floor": row["top_floor"],
        "floor_height_m": row["floor_height_m"],
        "rated_speed_mps": row["rated_speed_mps"],
        "firm_id": row["firm_id"],
        "reports": row["reports"],
        "place": json.loads(row["place"]),
        "limits": json.loads(row["limits"]),
        "state": None if row["sampled_at"] is None else state_json(row, silent=row["silent"]),
        "open_faults": open_faults,
        "incident_id": None if row["incident_id"] is None else str(row["incident_id"]),
    }


def state_json(row: asyncpg.Record | Mapping[str, Any], *, silent: bool) -> dict[str, Any]:
    """A row with the columns of a sample as everybody gets it; floats with three decimals."""
    state: dict[str, Any] = {
        "sampled_at": utc_text(_ms(row["sampled_at"])),
        "received_at": utc_text(_ms(row["received_at"])),
        "silent": silent,
    }
    for name in _PLAIN:
        value = row[name]
        state[name] = round(value, 3) if isinstance(value, float) else value
    quantities = row["quantities"]
    state["quantities"] = None if quantities is None else json.loads(quantities)
    return state


def _ms(at: Any) -> int:
    return milliseconds(at)
