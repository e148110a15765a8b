"""Equipment: the fleet in numbers, lists, one with its state, its history."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from api.answers import answer, iso, moment, page, read_cursor
from api.parts import Have, Who
from api.problems import ProblemError, not_found
from api.routes import new_router
from api.routes.asking import Cursor, Division, Firm, Limit
from api.schemas import Equipment, Fleet, HistorySample, Page, Problem
from monitor.adapters.equipment_pages import Asked, EquipmentPages
from monitor.adapters.reading_pages import ReadingPages
from monitor.domain.equipment import EquipmentKind

router = new_router()

HOUR_MS = 3_600_000
#: A history reaches over so much time at most, ms.
LONGEST_MS = 92 * 86_400_000
_Words = Annotated[str | None, Query(max_length=100, description="in the id or address, or how a rescue code begins")]
_From = Annotated[str | None, Query(alias="from", max_length=40, description="RFC 3339; an hour before `to`")]
_To = Annotated[str | None, Query(max_length=40, description="RFC 3339; now")]
_Many = Annotated[int, Query(ge=1, le=5_000)]


@router.get("/fleet", response_model=Fleet)
async def fleet(parts: Have, caller: Who) -> Response:
    """How many equipments there are in sight, and how they do."""
    counts = await EquipmentPages(parts.database).fleet(caller.scope)
    return answer({"at": iso(parts.clock()), **counts})


@router.get("/equipment", response_model=Page[Equipment])
async def equipment(
    parts: Have,
    caller: Who,
    division: Division = None,
    kind: EquipmentKind | None = None,
    firm: Firm = None,
    q: _Words = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Equipment in sight, in a fixed order."""
    place = read_cursor(cursor, int)
    asked = Asked(division=division, kind=kind and kind.value, firm_id=firm, words=q or None)
    pages = EquipmentPages(parts.database)
    after = -1 if place is None else max(-1, min(place[0], 2**31 - 1))
    found = await pages.page(caller.scope, asked, limit + 1, after=after)
    return answer(page(found, limit, lambda one: one.body, lambda one: (one.number,)))


@router.get("/equipment/{equipment_id}", response_model=Equipment, responses={404: {"model": Problem}})
async def one_equipment(equipment_id: str, parts: Have, caller: Who) -> Response:
    """One equipment, its state and what is open."""
    found = await EquipmentPages(parts.database).one(caller.scope, equipment_id)
    if found is None:
        raise not_found()
    return answer(found.body)


@router.get(
    "/equipment/{equipment_id}/history", response_model=Page[HistorySample], responses={404: {"model": Problem}}
)
async def history(
    equipment_id: str,
    parts: Have,
    caller: Who,
    begin: _From = None,
    to: _To = None,
    limit: _Many = 1_000,
    cursor: Cursor = None,
) -> Response:
    """Its samples in [from, to), by the corrected time; 92 days at most."""
    to_ms = parts.clock() if to is None else moment(to, "to", parts.settings.zone, end=True)
    from_ms = to_ms - HOUR_MS if begin is None else moment(begin, "from", parts.settings.zone)
    if not 0 <= to_ms - from_ms <= LONGEST_MS:
        raise ProblemError(422, "invalid-request", "from: before `to`, by 92 days at most")
    after = read_cursor(cursor, int, int, int)
    found = await ReadingPages(parts.database).history(
        caller.scope, equipment_id, from_ms, to_ms, limit + 1, after=after
    )
    if found is None:
        raise not_found()
    return answer(page(found, limit, lambda one: {**one.body, "ts": one.ts, "seq": one.seq}, lambda one: one.place))
