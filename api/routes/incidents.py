"""Incidents: lists, one with its timeline, and what people do about them."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from api.answers import answer, moment, page
from api.parts import Have, Parts, Whence, Who
from api.problems import ProblemError, not_found
from api.routes import new_router
from api.routes.asking import Cursor, Division, EquipmentId, Limit, Moment
from api.routes.faults import uuid_place
from api.schemas import Incident, IncidentAction, IncidentDetail, Page, Problem, StaleProblem
from monitor.adapters.access_audit import Deed
from monitor.adapters.cases import incident_json
from monitor.adapters.incident_actions import IncidentActions
from monitor.adapters.incident_pages import Incidents, IncidentsAsked, timeline_json
from monitor.adapters.pgtext import clean
from monitor.domain.incident import (
    NotForRoleError,
    StaleVersionError,
    Status,
    Step,
    StepRefusedError,
    TextNeededError,
)
from monitor.domain.respond import Action

router = new_router()

_REFUSED: dict[int | str, dict[str, Any]] = {
    403: {"model": Problem},
    404: {"model": Problem},
    409: {"model": StaleProblem},
}


@router.get("/incidents", response_model=Page[Incident])
async def incidents(
    parts: Have,
    caller: Who,
    is_open: Annotated[bool, Query(alias="open", description="only those that are open")] = False,
    status: Annotated[list[Status] | None, Query(max_length=7)] = None,
    division: Division = None,
    equipment_id: EquipmentId = None,
    begin: Annotated[Moment, Query(alias="from")] = None,
    to: Moment = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Incidents in sight, newest first; opened in [from, to)."""
    asked = IncidentsAsked(
        open_only=is_open,
        statuses=status,
        division=division,
        equipment_id=equipment_id,
        from_ms=None if begin is None else moment(begin, "from", parts.settings.zone),
        to_ms=None if to is None else moment(to, "to", parts.settings.zone, end=True),
    )
    found = await Incidents(parts.database).page(caller.scope, asked, limit + 1, before=uuid_place(cursor))
    return answer(
        page(found, limit, incident_json, lambda one: (one.incident.opened_at_ms, str(one.incident.incident_id)))
    )


@router.get("/incidents/{incident_id}", response_model=IncidentDetail, responses={404: {"model": Problem}})
async def one_incident(incident_id: uuid.UUID, parts: Have, caller: Who) -> Response:
    """One incident with its whole timeline."""
    found = await Incidents(parts.database).one(incident_id)
    if found is None or not caller.scope.covers(found.case.facts.division, found.case.facts.firm_id):
        raise not_found()
    return answer(timeline_json(found))


@router.post("/incidents/{incident_id}/actions", response_model=Incident, responses=_REFUSED)
async def act(incident_id: uuid.UUID, asked: IncidentAction, parts: Have, caller: Who, origin: Whence) -> Response:
    """Do something about an incident as it stands at `version`; the answer is the incident as it is then."""
    now = parts.clock()
    action = Action(
        step=Step(asked.action),
        version=asked.version,
        actor=caller.name,
        role=caller.role.value,
        text=clean(asked.text),
        occurred_ms=_when(asked, parts),
        detail=asked.detail(),
    )
    deed = Deed(
        at_ms=now,
        origin=origin,
        action="incident_action",
        actor=caller,
        subject=str(incident_id),
        detail={"step": asked.action, "version": asked.version},
    )
    try:
        case = await IncidentActions(parts.database).act(caller.scope, incident_id, action, deed)
    except StaleVersionError:
        present = await Incidents(parts.database).one(incident_id)
        raise ProblemError(
            409,
            "stale-version",
            "somebody else changed the incident meanwhile",
            extra={"incident": None if present is None else incident_json(present.case)},
        ) from None
    except StepRefusedError as error:
        raise _refused(error) from None
    if case is None:
        raise not_found()
    return answer(incident_json(case))


def _refused(error: StepRefusedError) -> ProblemError:
    if isinstance(error, NotForRoleError):
        return ProblemError(403, "step-not-allowed", str(error))
    if isinstance(error, TextNeededError):
        return ProblemError(422, "text-needed", str(error))
    return ProblemError(409, "step-not-possible", str(error))


def _when(asked: IncidentAction, parts: Parts) -> int | None:
    if asked.occurred_at is None:
        return None
    return moment(asked.occurred_at, "occurred_at", parts.settings.zone)
