"""The registry imported by somebody who may not see everything, with its audit."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.adapters.access_audit import Deed, record
from monitor.adapters.pool import Database, Session
from monitor.adapters.registry import Registry
from monitor.domain.access import Scope
from monitor.domain.equipment import Equipment
from monitor.domain.errors import RefusedError


class OutOfSightError(RefusedError):
    """Some of the equipment does not lie in the scope; nothing was changed."""


async def import_in_scope(database: Database, scope: Scope, equipment: Sequence[Equipment], deed: Deed) -> int:
    """Take in equipment, all or none; returns how many.

    Raises:
        OutOfSightError: some of it lies outside the scope, as given or as it stands in the register.
    """
    outside = [one.equipment_id for one in equipment if not scope.covers(one.division, one.firm_id)]
    if outside:
        raise OutOfSightError(f"{len(outside)} of it would lie outside your scope, {outside[0]} for one")

    async def beside(session: Session) -> None:
        rows = await session.fetch(
            "SELECT equipment_id, division, firm_id FROM tiwei.equipment WHERE equipment_id = ANY ($1::text[])",
            [one.equipment_id for one in equipment],
        )
        foreign = [row["equipment_id"] for row in rows if not scope.covers(row["division"], row["firm_id"])]
        if foreign:
            raise OutOfSightError(f"{len(foreign)} of it are another division's or firm's, {foreign[0]} for one")
        await record(session, deed)

    return await Registry(database).import_equipment(equipment, beside=beside)
