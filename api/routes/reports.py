"""The supervision report of a period (protocol §10)."""

from __future__ import annotations

import calendar
import re
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Path
from starlette.responses import Response

from api.answers import answer
from api.parts import Have, Parts, Who
from api.problems import ProblemError
from api.routes import new_router
from api.routes.asking import Division
from api.schemas import Problem, Report
from monitor.adapters.figures import PostgresFigures
from monitor.adapters.scoped_figures import ScopedFigures
from monitor.domain.errors import SettingsError
from monitor.services.report import period, report

router = new_router()

_NAMED = re.compile(r"(\d{4})(?:-(\d\d))?")
_Period = Annotated[
    str,
    Path(max_length=90, description="2026, 2026-11, 2026-11-23, or two of days and instants: 2026-11-01..2026-11-23"),
]


@router.get("/reports/{period}", response_model=Report, responses={422: {"model": Problem}})
async def report_of(period: _Period, parts: Have, caller: Who, division: Division = None) -> Response:
    """The report of a period, of what lies in sight; days and months are those of the centre."""
    sight = caller.scope.narrowed(division)
    if sight is None:
        raise ProblemError(404, "not-found", "that division does not lie in your sight")
    return answer(await _made(parts, period, sight_of=division or caller.scope.division, sight=sight))


async def _made(parts: Parts, name: str, *, sight_of: str | None, sight: Any) -> dict[str, Any]:
    begin, end = _bounds(name)
    try:
        asked = period(begin, end, sight_of, await _zone(parts))
    except SettingsError as error:
        raise ProblemError(422, "invalid-period", str(error)) from None
    async with parts.reporting:
        return await report(ScopedFigures(parts.slow_database, sight), asked)


def _bounds(name: str) -> tuple[str, str]:
    """A period's first and last day (or instant) as a person would write them."""
    if ".." in name:
        begin, _, end = name.partition("..")
        return begin, end
    if named := _NAMED.fullmatch(name):
        year, month = int(named[1]), named[2]
        if month is None:
            return f"{year:04d}-01-01", f"{year:04d}-12-31"
        if year and 1 <= int(month) <= 12:
            return f"{name}-01", f"{name}-{calendar.monthrange(year, int(month))[1]:02d}"
    return name, name


async def _zone(parts: Parts) -> ZoneInfo:
    """The centre's zone: the setting, else what the stored data came with."""
    settings = parts.settings
    stored = None if "timezone" in settings.model_fields_set else await PostgresFigures(parts.database).timezone()
    try:
        return settings.zone if stored is None else ZoneInfo(stored)
    except (ZoneInfoNotFoundError, ValueError):
        return settings.zone
