"""Faults, newest first."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from api.answers import answer, moment, page, read_cursor
from api.parts import Have, Who
from api.problems import ProblemError
from api.routes import new_router
from api.routes.asking import Cursor, Division, EquipmentId, Limit, Moment
from api.schemas import Fault, Page
from monitor.adapters.fault_pages import FaultPages, FaultsAsked
from monitor.adapters.faults import fault_json
from monitor.adapters.pgtext import FIRST_MS, LAST_MS
from monitor.domain.fault import FaultKind

router = new_router()


@router.get("/faults", response_model=Page[Fault])
async def faults(
    parts: Have,
    caller: Who,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    division: Division = None,
    equipment_id: EquipmentId = None,
    kind: FaultKind | None = None,
    begin: Annotated[Moment, Query(alias="from")] = None,
    to: Moment = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Faults in sight, by when they were raised: in [from, to)."""
    asked = FaultsAsked(
        from_ms=FIRST_MS if begin is None else moment(begin, "from", parts.settings.zone),
        to_ms=LAST_MS if to is None else moment(to, "to", parts.settings.zone, end=True),
        open=is_open,
        division=division,
        equipment_id=equipment_id,
        kind=kind and kind.value,
    )
    found = await FaultPages(parts.database).page(caller.scope, asked, limit + 1, before=uuid_place(cursor))
    return answer(page(found, limit, fault_json, lambda one: (one.raised_ms, str(one.fault_id))))


def uuid_place(cursor: str | None) -> tuple[int, uuid.UUID] | None:
    """The place of a list that is ordered by an instant and a UUID. Raises ProblemError (422)."""
    place = read_cursor(cursor, int, str)
    if place is None:
        return None
    try:
        return place[0], uuid.UUID(place[1])
    except ValueError:
        raise ProblemError(422, "invalid-cursor", "that cursor is none of this list's") from None
