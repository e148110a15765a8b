"""The report's figures from the database, as of one moment."""

from __future__ import annotations

from monitor.adapters.pgtext import instant
from monitor.adapters.pool import Database
from monitor.adapters.rollups import durations
from monitor.domain.fault import FaultKind
from monitor.domain.figures import COUNTED, EquipmentFigures

_EQUIPMENT = """
SELECT number, equipment_id FROM tiwei.equipment WHERE $1::text IS NULL OR division = $1
ORDER BY equipment_id COLLATE "C"
"""

_FAULTS = """
SELECT number, count(*) FILTER (WHERE kind = ANY ($3::text[])) AS raised,
       count(*) FILTER (WHERE kind = $4) AS entrapments
FROM tiwei.fault WHERE raised_at >= $1 AND raised_at < $2 AND NOT repeated
GROUP BY number
"""


class PostgresFigures:
    """Reads beside a monitor at work and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def equipment_figures(self, from_ms: int, to_ms: int, division: str | None) -> tuple[EquipmentFigures, ...]:
        """The figures of every equipment (of one division) in [from_ms, to_ms), ordered by equipment_id."""
        async with (
            self._database.session() as session,
            session.transaction(isolation="repeatable_read", readonly=True),
        ):
            equipment = await session.fetch(_EQUIPMENT, division)
            faults = await session.fetch(
                _FAULTS,
                instant(from_ms),
                instant(to_ms),
                sorted(kind.value for kind in COUNTED),
                FaultKind.ENTRAPMENT.value,
            )
            held = await durations(session, from_ms, to_ms, division)
        counts = {row["number"]: (row["raised"], row["entrapments"]) for row in faults}
        return tuple(
            EquipmentFigures(
                equipment_id=row["equipment_id"],
                faults_raised=counts.get(row["number"], (0, 0))[0],
                entrapments=counts.get(row["number"], (0, 0))[1],
                known_ms=held.get(row["number"], (0, 0))[0],
                normal_ms=held.get(row["number"], (0, 0))[1],
            )
            for row in equipment
        )
