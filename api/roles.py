"""Who may do what: one table of role x route x scope. What does not stand here is denied.

`s`  what lies in one's scope: one's division with all within it, one's firm; the rest does not exist (404)
`w`  the whole centre at once: for those of whom nothing is hidden
`o`  nothing of the centre's: about oneself, or the same for everybody
`-`  denied (403)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitor.domain.access import Role


class Reach(StrEnum):
    """What of the centre a role reaches by a route."""

    SCOPE = "s"
    WHOLE = "w"
    OWN = "o"
    NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One route. `open`: it answers without sign-in. `page`: who is not signed in is shown the way there, no 401."""

    method: str
    path: str
    reach: Mapping[Role, Reach]
    open: bool = False
    page: bool = False


#: Columns of the table.
COLUMNS = (Role.OPERATOR, Role.SHIFT_LEADER, Role.FIRM, Role.REGULATOR, Role.ADMINISTRATOR)


def _row(method: str, path: str, reach: str, *, page: bool = False) -> Row:
    return Row(
        method=method,
        path=path,
        reach=dict(zip(COLUMNS, map(Reach, reach.split()), strict=True)),
        page=page,
    )


def _open(method: str, path: str) -> Row:
    return Row(method=method, path=path, reach=dict.fromkeys(Role, Reach.OWN), open=True)


_V1 = "/api/v1"

_ROWS = (
    #                                                    operator
    #                                                    |  shift leader
    #                                                    |  |  firm
    #                                                    |  |  |  regulator
    #                                                    |  |  |  |  administrator
    _row("GET", f"{_V1}/fleet",                         "s  s  s  s  s"),
    _row("GET", f"{_V1}/equipment",                     "s  s  s  s  s"),
    _row("GET", f"{_V1}/equipment/{{equipment_id}}",    "s  s  s  s  s"),
    _row("GET", f"{_V1}/equipment/{{equipment_id}}/history", "s  s  s  s  s"),
    _row("GET", f"{_V1}/faults",                        "s  s  s  s  s"),
    _row("GET", f"{_V1}/incidents",                     "s  s  s  s  s"),
    _row("GET", f"{_V1}/incidents/{{incident_id}}",     "s  s  s  s  s"),
    _row("POST", f"{_V1}/incidents/{{incident_id}}/actions", "s  s  s  -  s"),
    _row("GET", f"{_V1}/reports/{{period}}",            "s  s  s  s  s"),
    _row("POST", f"{_V1}/registry/import",              "-  -  -  -  s"),
    _row("GET", f"{_V1}/audit",                         "-  -  -  -  s"),
    _row("GET", f"{_V1}/metrics",                       "w  w  -  w  w"),
    _row("GET", f"{_V1}/health/ready",                  "o  o  o  o  o"),
    _row("GET", f"{_V1}/openapi.json",                  "o  o  o  o  o"),
    _row("GET", f"{_V1}/session",                       "o  o  o  o  o"),
    _row("DELETE", f"{_V1}/session",                    "o  o  o  o  o"),
    _row("POST", f"{_V1}/live/ticket",                  "o  o  o  o  o"),
    _row("WS", f"{_V1}/live",                           "s  s  s  s  s"),
    _row("GET", "/",                                    "o  o  o  o  o", page=True),
    _row("GET", "/assets/{path:path}",                  "o  o  o  o  o"),
    _open("GET", f"{_V1}/health/live"),
    _open("POST", f"{_V1}/session"),
    _open("GET", "/sign-in"),
    _open("GET", "/favicon.ico"),
    _open("GET", "/favicon.svg"),
    _open("GET", "/assets/sign-in.css"),
    _open("GET", "/assets/sign-in.js"),
    _open("GET", "/assets/catalogue/{name}"),
)  # fmt: skip

TABLE: Mapping[tuple[str, str], Row] = {(row.method, row.path): row for row in _ROWS}

#: Steps of an incident and who may take them by the API. Firms claim; only the centre's people close.
ACTIONS: Mapping[str, frozenset[Role]] = {
    #                        operator leader firm regulator admin
    "dispatch":    frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR}),
    "accept":      frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR, Role.FIRM}),
    "arrive":      frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR, Role.FIRM}),
    "free":        frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR, Role.FIRM}),
    "note":        frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR, Role.FIRM}),
    "close":       frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR}),
    "false_alarm": frozenset({Role.OPERATOR, Role.SHIFT_LEADER, Role.ADMINISTRATOR}),
}  # fmt: skip
