"""What people do about incidents by the API: the action, its audit and its line of the feed, whole or not at all."""

from __future__ import annotations

import uuid

from monitor.adapters.access_audit import Deed, record
from monitor.adapters.cases import Case
from monitor.adapters.feed import publish
from monitor.adapters.incidents import act
from monitor.adapters.pool import Database
from monitor.domain.access import Scope
from monitor.domain.respond import Action


class IncidentActions:
    """Actions of whoever is signed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def act(self, scope: Scope, incident_id: uuid.UUID, action: Action, deed: Deed) -> Case | None:
        """Take an action; the incident as it is now, or None where there is none in sight.

        Raises what `respond.on_action` raises: then nothing was changed.
        """
        async with self._database.session() as session, session.transaction():
            # Whose it is stands fixed from its opening: looked at before the lock, which is for those whose it is.
            whose = await session.fetchrow(
                "SELECT division, firm_id FROM tiwei.incident WHERE incident_id = $1", incident_id
            )
            if whose is None or not scope.covers(whose["division"], whose["firm_id"]):
                return None
            acted = await act(session, incident_id, action, deed.at_ms)
            if acted is None:
                return None
            await record(session, deed)
            await publish(session, acted.lines)
        return acted.case
