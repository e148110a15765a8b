"""The report's figures of what lies in somebody's sight."""

from __future__ import annotations

from monitor.adapters.equipment_pages import IN_SIGHT
from monitor.adapters.figures import PostgresFigures
from monitor.adapters.pool import Database
from monitor.domain.access import Narrowed
from monitor.domain.figures import EquipmentFigures


class ScopedFigures:
    """As PostgresFigures, of a prefix of division codes and a firm."""

    def __init__(self, database: Database, sight: Narrowed) -> None:
        self._database = database
        self._sight = sight

    async def equipment_figures(self, from_ms: int, to_ms: int, division: str | None) -> tuple[EquipmentFigures, ...]:  # noqa: ARG002 the sight is narrowed by it already
        """The figures of every equipment in sight in [from_ms, to_ms), ordered by equipment_id."""
        found = await PostgresFigures(self._database).equipment_figures(from_ms, to_ms, None)
        if self._sight.prefix is None and self._sight.firm_id is None:
            return found
        async with self._database.session() as session:
            rows = await session.fetch(
                f"SELECT equipment_id FROM tiwei.equipment e WHERE {IN_SIGHT}",  # noqa: S608 - a constant
                self._sight.prefix,
                self._sight.firm_id,
            )
        seen = {row["equipment_id"] for row in rows}
        return tuple(one for one in found if one.equipment_id in seen)
