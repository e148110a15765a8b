"""The centre as of one moment, for a console that begins: what is open, all equipment in sight, the feed's position."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from monitor.adapters.cases import incident_json
from monitor.adapters.equipment_pages import Asked, shown_after
from monitor.adapters.fault_pages import FaultsAsked, faults_before
from monitor.adapters.faults import fault_json
from monitor.adapters.incident_pages import IncidentsAsked, incidents_before
from monitor.adapters.pgtext import FIRST_MS, LAST_MS
from monitor.adapters.pool import Database, Session
from monitor.domain.access import Scope

#: Equipment in one piece.
PIECE = 1_000
#: Open faults told at most, the newest.
FAULTS_AT_MOST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How it all stood at `position` of the feed; the equipment follows from `pieces`."""

    position: int
    incidents: Sequence[dict[str, Any]]
    faults: Sequence[dict[str, Any]]
    session: Session
    scope: Scope

    async def pieces(self) -> AsyncIterator[list[dict[str, Any]]]:
        """All equipment in sight, PIECE at once, without their limits."""
        after = -1
        while found := await shown_after(self.session, self.scope, Asked(), PIECE, after):
            for one in found:
                del one.body["limits"]
            yield [one.body for one in found]
            after = found[-1].number
            if len(found) < PIECE:
                return


@asynccontextmanager
async def snapshot(database: Database, scope: Scope) -> AsyncIterator[Snapshot]:
    """One moment of the centre, held while the context lasts."""
    async with (
        database.session() as session,
        session.transaction(isolation="repeatable_read", readonly=True),
    ):
        position = int(await session.fetchval("SELECT position FROM tiwei.change_head"))
        incidents = await incidents_before(session, scope, IncidentsAsked(open_only=True))
        asked = FaultsAsked(from_ms=FIRST_MS, to_ms=LAST_MS, open=True)
        faults = await faults_before(session, scope, asked, FAULTS_AT_MOST, None)
        yield Snapshot(
            position=position,
            incidents=[incident_json(one) for one in incidents],
            faults=[fault_json(one) for one in faults],
            session=session,
            scope=scope,
        )
