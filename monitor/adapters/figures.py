"""The report's figures from the database, as of one moment."""

from __future__ import annotations

from monitor.adapters.pgtext import instant
from monitor.adapters.pool import Database, Session
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
            counts = await self.fault_counts(session, from_ms, to_ms)
            held = await durations(session, from_ms, to_ms, division)
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

    async def fault_counts(self, session: Session, from_ms: int, to_ms: int) -> dict[int, tuple[int, int]]:
        """Equipment number -> (faults, entrapments among them) raised in [from_ms, to_ms); who has none is left out."""
        rows = await session.fetch(
            _FAULTS,
            instant(from_ms),
            instant(to_ms),
            sorted(kind.value for kind in COUNTED),
            FaultKind.ENTRAPMENT.value,
        )
        return {row["number"]: (row["raised"], row["entrapments"]) for row in rows}

    async def timezone(self) -> str | None:
        """The zone of the months and days of what is stored, where one was given with it."""
        async with self._database.session() as session:
            zone = await session.fetchval("SELECT timezone FROM tiwei.centre")
        return None if zone is None else str(zone)

    async def set_timezone(self, zone: str) -> None:
        """Keep the zone of the months and days of what is stored."""
        async with self._database.session() as session:
            await session.execute("UPDATE tiwei.centre SET timezone = $1", zone)
