"""Every route as each role and as nobody, in sight and out of it: made from the table itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import websockets
from fastapi import APIRouter

from api.app import check_table
from api.guard import GuardedRoute, RouteWithoutRowError
from api.roles import COLUMNS, TABLE, Reach, Row
from monitor.domain.access import Role, Scope
from tests.api.served import SCOPES, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = tuple(TABLE.values())
GUARDED = [row for row in ROWS if not row.open]
ELSEWHERE = {role: Scope(division="650000", firm_id="F9" if role is Role.FIRM else None) for role in Role}
#: Bodies that would be understood, so that only the role decides.
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/incidents/{incident_id}/actions": {"json": {"action": "note", "version": 99, "text": "x"}},
    "/api/v1/registry/import": {"json": []},
    "/api/v1/session": {"json": {"name": "nobody", "password": "wrong"}},
}
#: What a success looks like where it is not 200.
FINE = {
    ("POST", "/api/v1/incidents/{incident_id}/actions"): 409,  # let in: only the version is old
    ("DELETE", "/api/v1/session"): 204,
    ("GET", "/api/v1/health/ready"): 503,  # no monitor is alive in these tests
    ("POST", "/api/v1/session"): 401,
}
#: Routes of one thing that lies in a scope: out of it there is no such thing.
THINGS = [
    row for row in GUARDED if row.method != "WS" and ("{equipment_id}" in row.path or "{incident_id}" in row.path)
]


def named(row: Row) -> str:
    return f"{row.method} {row.path}"


async def where(api: Served, row: Row) -> str:
    """The route with things that are there."""
    assert api.centre is not None
    incident = str((await api.centre.only()).incident.incident_id)
    return (
        row.path.replace("{equipment_id}", "LIFT-1")
        .replace("{incident_id}", incident)
        .replace("{period}", "2026-11")
        .replace("{path:path}", "vendor/preact.js")
        .replace("{name}", "zh.json")
    )


async def asked(api: Served, row: Row, role: Role | None, scope: Scope | None = None) -> httpx.Response:
    path = await where(api, row)
    return await api.ask(path, role, scope, method=row.method, **BODIES.get(row.path, {}))


@pytest.mark.parametrize("row", [row for row in GUARDED if row.method != "WS"], ids=named)
async def test_nobody_is_let_in_without_sign_in(api: Served, row: Row) -> None:
    answer = await asked(api, row, None)
    if row.page:
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        return
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:tiwei:problem:not-signed-in"


@pytest.mark.parametrize("row", [row for row in ROWS if row.open], ids=named)
async def test_what_is_open_answers_nobody(api: Served, row: Row) -> None:
    answer = await asked(api, row, None)
    assert answer.status_code == FINE.get((row.method, row.path), 200)
    assert "not-signed-in" not in answer.text


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.parametrize("row", [row for row in GUARDED if row.method != "WS"], ids=named)
async def test_each_role_by_each_route(api: Served, row: Row, role: Role) -> None:
    answer = await asked(api, row, role)
    reach = row.reach[role]
    if reach is Reach.NONE or (reach is Reach.WHOLE and not SCOPES[role].whole):
        assert (answer.status_code, answer.json()["status"]) == (403, 403)
        assert answer.json()["type"] in {
            "urn:tiwei:problem:role-not-allowed",
            "urn:tiwei:problem:scope-not-allowed",
        }
    else:
        assert answer.status_code == FINE.get((row.method, row.path), 200), answer.text


@pytest.mark.parametrize(
    ("row", "role"),
    [(row, role) for row in THINGS for role in COLUMNS if row.reach[role] is not Reach.NONE],
    ids=lambda one: named(one) if isinstance(one, Row) else str(one),
)
async def test_out_of_sight_there_is_nothing(api: Served, row: Row, role: Role) -> None:
    for scope in (ELSEWHERE[role], Scope(division="320500", firm_id="F9")):
        answer = await asked(api, row, role, scope)
        assert answer.status_code == 404, answer.text
    inside = await asked(api, row, role, Scope(division="320000", firm_id="F1"))
    assert inside.status_code == FINE.get((row.method, row.path), 200)


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.parametrize("row", [row for row in GUARDED if Reach.WHOLE in row.reach.values()], ids=named)
async def test_the_whole_is_for_those_of_whom_nothing_is_hidden(api: Served, row: Row, role: Role) -> None:
    assert (await asked(api, row, role, Scope(division="320500", firm_id="F1"))).status_code == 403


@pytest.mark.parametrize("role", COLUMNS)
async def test_lists_hold_what_is_in_sight(api: Served, role: Role) -> None:
    async def ids(path: str, scope: Scope) -> set[str]:
        return {one["equipment_id"] for one in (await api.got(path, role, scope))["items"]}

    near, far = Scope(division="310000", firm_id="F1"), ELSEWHERE[role]
    assert await ids("equipment", near) == {"LIFT-3"}
    assert await ids("equipment", Scope(division="310101", firm_id="F2")) == {"LIFT-2"}
    assert await ids("equipment", far) == set()
    assert await ids("faults", Scope(division="320500", firm_id="F1")) == {"LIFT-1"}
    assert await ids("faults", far) == set()
    assert await ids("incidents", Scope(division="320000", firm_id="F1")) == {"LIFT-1"}
    assert await ids("incidents", near) == set()
    assert (await api.got("fleet", role, near))["total"] == 1
    assert (await api.got("fleet", role, far))["total"] == 0


async def test_a_narrower_wish_never_widens_the_sight(api: Served) -> None:
    own = Scope(division="310100", firm_id=None)
    items = (await api.got("equipment?division=000000", Role.OPERATOR, own))["items"]
    assert {one["equipment_id"] for one in items} == {"LIFT-2", "LIFT-3", "BOILER-4"}
    assert (await api.got("equipment?division=320500", Role.OPERATOR, own))["items"] == []
    assert (await api.got("faults?division=320500", Role.OPERATOR, own))["items"] == []
    assert (await api.ask("reports/2026?division=320500", Role.REGULATOR, own)).status_code == 404
    found = await api.got("reports/2026-11", Role.REGULATOR, own)
    assert [one["equipment_id"] for one in found["equipment"]] == ["BOILER-4", "LIFT-2", "LIFT-3"]


async def test_the_live_feed_is_for_those_who_are_signed_in(api: Served) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(api.ws_url)
    assert refused.value.response.status_code == 401
    for role in COLUMNS:
        async with api.listening(role) as listener:
            seen = {one["equipment_id"] for one in (await listener.snapshot())["equipment"]}
        assert seen == ({"LIFT-1", "LIFT-3"} if role is Role.FIRM else {"LIFT-1", "LIFT-2", "LIFT-3", "BOILER-4"})


async def test_a_route_without_a_row_keeps_the_app_from_starting() -> None:
    async def endpoint() -> None: ...

    with pytest.raises(RouteWithoutRowError, match="/api/v1/forgotten"):
        GuardedRoute("/api/v1/forgotten", endpoint)
    unguarded = APIRouter()
    unguarded.get("/api/v1/forgotten")(endpoint)
    with pytest.raises(RouteWithoutRowError):
        check_table(unguarded.routes)
    with pytest.raises(RouteWithoutRowError, match="not there"):
        check_table([])
