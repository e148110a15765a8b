"""Incidents for readers: lists by the page, and one with its whole timeline."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from monitor.adapters.cases import Case, entry_json, entry_of, incident_json, with_faults
from monitor.adapters.pgtext import clean_or_none, instant
from monitor.adapters.pool import Database, Session
from monitor.domain.access import Scope
from monitor.domain.division import division_prefix
from monitor.domain.incident import Entry, Status

#: Open incidents told at once at most; a county has a few dozen.
OPEN_AT_MOST = 10_000

# What is not asked for is a constant to the planner, which leaves it out and finds the index of what is.
_PAGE = """
SELECT i.*, e.equipment_id, e.rescue_code, e.place ->> 'address' AS address
FROM tiwei.incident i JOIN tiwei.equipment e USING (number)
WHERE ($1::text IS NULL OR starts_with(i.division, $1)) AND ($2::text IS NULL OR i.firm_id = $2)
  AND (NOT $3 OR i.closed_at IS NULL) AND ($4::text[] IS NULL OR i.status = ANY ($4))
  AND ($5::text IS NULL OR starts_with(i.division, $5)) AND ($6::text IS NULL OR i.firm_id = $6)
  AND ($7::text IS NULL OR i.number = (SELECT number FROM tiwei.equipment WHERE equipment_id = $7))
  AND ($8::timestamptz IS NULL OR i.opened_at >= $8) AND ($9::timestamptz IS NULL OR i.opened_at < $9)
  AND ($10::timestamptz IS NULL OR (i.opened_at, i.incident_id) < ($10, $11::uuid))
ORDER BY i.opened_at DESC, i.incident_id DESC LIMIT $12
"""

_ONE = """
SELECT i.*, e.equipment_id, e.rescue_code, e.place ->> 'address' AS address
FROM tiwei.incident i JOIN tiwei.equipment e USING (number) WHERE i.incident_id = $1
"""

_TIMELINE = "SELECT * FROM tiwei.incident_entry WHERE incident_id = $1 ORDER BY place"

_OPEN_OF = "SELECT number, incident_id FROM tiwei.incident WHERE closed_at IS NULL AND number = ANY ($1::integer[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsAsked:
    """What of the incidents is asked for; None: any. Opened in [from_ms, to_ms); division and firm of the opening."""

    open_only: bool = False
    statuses: Collection[Status] | None = None
    division: str | None = None
    firm_id: str | None = None
    equipment_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """An incident and everything that was entered, in the order of entering."""

    case: Case
    entries: tuple[Entry, ...]


def timeline_json(timeline: Timeline) -> dict[str, Any]:
    """An incident with its `timeline`."""
    entries = [entry_json(place, entry) for place, entry in enumerate(timeline.entries, start=1)]
    return {**incident_json(timeline.case), "timeline": entries}


class Incidents:
    """Reads beside everybody at work and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, scope: Scope, asked: IncidentsAsked, limit: int, *, before: tuple[int, uuid.UUID] | None = None
    ) -> list[Case]:
        """The newest `limit` behind the place `before` (opened, ms; incident_id)."""
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await incidents_before(session, scope, asked, limit, before)

    async def open_now(self, scope: Scope) -> list[Case]:
        """Every open incident in sight, newest first."""
        return await self.page(scope, IncidentsAsked(open_only=True), OPEN_AT_MOST)

    async def one(self, incident_id: uuid.UUID) -> Timeline | None:
        """One with its whole timeline; None where there is none."""
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await session.fetch(_ONE, incident_id)
            if not rows:
                return None
            (case,) = await with_faults(session, rows)
            entries = await session.fetch(_TIMELINE, incident_id)
        return Timeline(case=case, entries=tuple(map(entry_of, entries)))

    async def open_of(self, numbers: Collection[int]) -> dict[int, uuid.UUID]:
        """The open incidents of equipments, by number; who has none is left out."""
        async with self._database.session() as session:
            rows = await session.fetch(_OPEN_OF, list(numbers))
        return {row["number"]: uuid.UUID(int=row["incident_id"].int) for row in rows}


async def incidents_before(
    session: Session,
    scope: Scope,
    asked: IncidentsAsked,
    limit: int = OPEN_AT_MOST,
    before: tuple[int, uuid.UUID] | None = None,
) -> list[Case]:
    """As `Incidents.page`, in a transaction of the caller's, of one moment (repeatable read)."""
    rows = await session.fetch(
        _PAGE,
        scope.prefix,
        clean_or_none(scope.firm_id),
        asked.open_only,
        None if asked.statuses is None else [status.value for status in asked.statuses],
        None if asked.division is None else division_prefix(asked.division),
        clean_or_none(asked.firm_id),
        clean_or_none(asked.equipment_id),
        None if asked.from_ms is None else instant(asked.from_ms),
        None if asked.to_ms is None else instant(asked.to_ms),
        None if before is None else instant(before[0]),
        None if before is None else before[1],
        limit,
    )
    return await with_faults(session, rows)
