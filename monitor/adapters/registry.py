"""The registry table: equipment in and out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import asyncpg

from monitor.adapters.feed import Line, Topic, publish
from monitor.adapters.partitions import LOCKS
from monitor.adapters.pgtext import clean, clean_or_none, json_text
from monitor.adapters.pool import Database, Session
from monitor.domain.equipment import Equipment, EquipmentKind, Reports

REGISTRY_LOCK = 3

#: A change of more equipment than this is told as a change of "many": look again.
NAMED_AT_MOST = 1_000

_ALL = "SELECT * FROM tiwei.equipment ORDER BY number"
_CHANGED = "SELECT * FROM tiwei.equipment WHERE revision > $1 ORDER BY revision"
_LISTED = """
SELECT * FROM tiwei.equipment WHERE ($2::text IS NULL OR division = $2) AND (NOT $3 OR NOT registered)
ORDER BY number LIMIT $1
"""

# Only a monitor that never used another number for this identifier proposes one: an import may have given it a number
# meanwhile, under which nothing can have been stored yet, so the monitor's stands.
_INSERT_NEW = """
INSERT INTO tiwei.equipment (number, equipment_id, division, kind, registered, first_seen_at, revision)
SELECT n.number, n.equipment_id, n.division, n.kind, false, $5, 0
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[]) AS n (number, equipment_id, division, kind)
ON CONFLICT (equipment_id) DO UPDATE SET number = excluded.number, first_seen_at = excluded.first_seen_at
"""

_UPSERT = """
INSERT INTO tiwei.equipment AS e (equipment_id, division, kind, registered, rescue_code, bottom_floor, top_floor,
    floor_height_m, rated_speed_mps, firm_id, reports, profile, limits, overrides, place)
VALUES ($1, $2, $3, true, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13::jsonb, $14::jsonb)
ON CONFLICT (equipment_id) DO UPDATE SET
    division = excluded.division, kind = excluded.kind, registered = true, rescue_code = excluded.rescue_code,
    bottom_floor = excluded.bottom_floor, top_floor = excluded.top_floor, floor_height_m = excluded.floor_height_m,
    rated_speed_mps = excluded.rated_speed_mps, firm_id = excluded.firm_id, reports = excluded.reports,
    profile = excluded.profile, limits = excluded.limits, overrides = excluded.overrides, place = excluded.place,
    revision = nextval('tiwei.equipment_revision')
"""


def equipment_of(row: asyncpg.Record) -> Equipment:
    """A row of tiwei.equipment as a value."""
    return Equipment(
        number=row["number"],
        equipment_id=row["equipment_id"],
        division=row["division"],
        kind=EquipmentKind(row["kind"]),
        registered=row["registered"],
        rescue_code=row["rescue_code"],
        bottom_floor=row["bottom_floor"],
        top_floor=row["top_floor"],
        floor_height_m=row["floor_height_m"],
        rated_speed_mps=row["rated_speed_mps"],
        firm_id=row["firm_id"],
        reports=Reports(row["reports"]),
        profile=row["profile"],
        limits=tuple(json.loads(row["limits"])),
        overrides=json.loads(row["overrides"]),
        place=json.loads(row["place"]),
    )


async def all_equipment(session: Session) -> tuple[Equipment, ...]:
    """The whole registry, by number."""
    return tuple(equipment_of(row) for row in await session.fetch(_ALL))


async def insert_new(session: Session, new: Sequence[Equipment], seen: Any) -> None:
    """Store equipment that a monitor met for the first time; part of a batch's transaction."""
    await session.execute(
        _INSERT_NEW,
        [one.number for one in new],
        [clean(one.equipment_id) for one in new],
        [one.division for one in new],
        [one.kind.value for one in new],
        seen,
    )


def _row(one: Equipment) -> tuple[Any, ...]:
    return (
        clean(one.equipment_id),
        clean(one.division),
        one.kind.value,
        clean_or_none(one.rescue_code),
        one.bottom_floor,
        one.top_floor,
        one.floor_height_m,
        one.rated_speed_mps,
        clean_or_none(one.firm_id),
        one.reports.value,
        clean_or_none(one.profile),
        json_text(one.limits),
        json_text(one.overrides),
        json_text(one.place),
    )


def changed_line(equipment_ids: Sequence[str]) -> Line:
    """The feed's line of equipment that came or changed; an empty list says that it is many."""
    named = list(equipment_ids) if len(equipment_ids) <= NAMED_AT_MOST else []
    return Line(topic=Topic.REGISTRY, body={"equipment_ids": named})


class Registry:
    """The registry for importers and readers outside the monitor's batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def import_equipment(
        self, equipment: Iterable[Equipment], *, beside: Callable[[Session], Awaitable[None]] | None = None
    ) -> int:
        """Take in or replace equipment by its identifier, all or none; numbers are the database's, kept for ever.

        Returns how many were given. `number` and `registered` of the given values do not count. `beside` is part of
        the transaction, under the registry's lock and before anything is changed.
        """
        rows = [_row(one) for one in equipment]
        async with self._database.session() as session, session.transaction():
            await session.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCKS, REGISTRY_LOCK)
            if beside is not None:
                await beside(session)
            await session.executemany(_UPSERT, rows)
            await session.execute("SELECT pg_notify('tiwei_registry', '')")
            if rows:
                await publish(session, [changed_line([row[0] for row in rows])])
        return len(rows)

    async def equipment(self) -> tuple[Equipment, ...]:
        """The whole registry, by number."""
        async with self._database.session() as session:
            return await all_equipment(session)

    async def revision(self) -> int:
        """How far the registry has come: where `changed_since` may begin for who loads it afterwards."""
        async with self._database.session() as session:
            return int(await session.fetchval("SELECT coalesce(max(revision), 0) FROM tiwei.equipment"))

    async def changed_since(self, revision: int) -> tuple[int, tuple[Equipment, ...]]:
        """What was imported after `revision` (0: everything), and the revision to ask with next time."""
        async with self._database.session() as session:
            rows = await session.fetch(_CHANGED, revision)
        return (rows[-1]["revision"] if rows else revision), tuple(equipment_of(row) for row in rows)

    async def listed(
        self, limit: int, *, division: str | None = None, unregistered_only: bool = False
    ) -> tuple[Equipment, ...]:
        """Equipment by number; `unregistered_only`: what sends and no register knows."""
        async with self._database.session() as session:
            rows = await session.fetch(_LISTED, limit, division, unregistered_only)
        return tuple(equipment_of(row) for row in rows)
