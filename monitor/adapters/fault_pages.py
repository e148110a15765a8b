"""Faults page by page, for whoever may see them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from monitor.adapters.faults import FaultLine, fault_line
from monitor.adapters.pgtext import clean_or_none, instant
from monitor.adapters.pool import Database, Session
from monitor.domain.access import Scope
from monitor.domain.division import division_prefix

_PAGE = """
SELECT f.*, e.equipment_id, e.division FROM tiwei.fault f JOIN tiwei.equipment e USING (number)
WHERE ($1::text IS NULL OR starts_with(e.division, $1)) AND ($2::text IS NULL OR e.firm_id = $2)
  AND ($3::boolean IS NULL OR (f.cleared_at IS NULL) = $3)
  AND ($4::text IS NULL OR starts_with(e.division, $4))
  AND ($5::text IS NULL OR e.equipment_id = $5) AND ($6::text IS NULL OR f.kind = $6)
  AND f.raised_at >= $7 AND f.raised_at < $8
  AND ($9::timestamptz IS NULL OR (f.raised_at, f.fault_id) < ($9, $10))
ORDER BY f.raised_at DESC, f.fault_id DESC LIMIT $11
"""
# What is open is little, scattered in years of what is over: the planner shall see that only that is asked for.
_PAGE_OPEN = _PAGE.replace(
    "($3::boolean IS NULL OR (f.cleared_at IS NULL) = $3)", "($3::boolean AND f.cleared_at IS NULL)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsAsked:
    """What of the faults is asked for; None: any. Raised in [from_ms, to_ms)."""

    from_ms: int
    to_ms: int
    open: bool | None = None
    division: str | None = None
    equipment_id: str | None = None
    kind: str | None = None


class FaultPages:
    """Faults for their readers, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, scope: Scope, asked: FaultsAsked, limit: int, *, before: tuple[int, uuid.UUID] | None = None
    ) -> list[FaultLine]:
        """The newest `limit` behind the place `before` (raised, ms; fault_id)."""
        async with self._database.session() as session:
            return await faults_before(session, scope, asked, limit, before)


async def faults_before(
    session: Session, scope: Scope, asked: FaultsAsked, limit: int, before: tuple[int, uuid.UUID] | None
) -> list[FaultLine]:
    """As `FaultPages.page`, in a transaction of the caller's."""
    rows = await session.fetch(
        _PAGE_OPEN if asked.open else _PAGE,
        scope.prefix,
        scope.firm_id,
        asked.open,
        None if asked.division is None else division_prefix(asked.division),
        clean_or_none(asked.equipment_id),
        asked.kind,
        instant(asked.from_ms),
        instant(asked.to_ms),
        None if before is None else instant(before[0]),
        None if before is None else before[1],
        limit,
    )
    return [fault_line(row) for row in rows]
