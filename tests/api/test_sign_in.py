"""Signing in by session: what is kept of it, who is locked out, what ends it, and forged requests."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from api import live
from api.guard import COOKIE
from api.throttle import ADDRESSES, BURST, EACH_MS, Throttle
from monitor.adapters.access import FAILURES, LOCK_MS
from monitor.adapters.access_audit import Deed
from monitor.adapters.access_tokens import TICKET_MS
from monitor.domain.access import Role, Scope
from monitor.domain.errors import RefusedError
from tests.api.served import PASSWORD, Served
from tests.waiting import eventually_told

pytestmark = pytest.mark.asyncio(loop_scope="module")
MINUTE_MS = 60_000


def deed(api: Served, action: str = "user_add") -> Deed:
    return Deed(at_ms=api.clock(), origin="tests", action=action)


@pytest_asyncio.fixture(loop_scope="module")
async def name(api: Served, request: pytest.FixtureRequest) -> str:
    """An account of this test's own; no test is throttled by the ones before."""
    api.parts.throttle._buckets.clear()
    found = f"wang.{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    await api.parts.access.add(found, Role.OPERATOR, Scope(), PASSWORD, deed(api))
    return found


class Browser:
    """Cookies, the word against forgery, and where it comes from."""

    def __init__(self, api: Served) -> None:
        self.api = api
        self.cookie: str | None = None
        self.csrf = ""
        self.set_cookie = ""

    async def sign_in(self, name: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        answer = await self.api.ask(
            "session", None, method="POST", json={"name": name, "password": password}, headers=headers
        )
        if answer.status_code == 200:
            self.csrf, self.set_cookie = answer.json()["csrf"], answer.headers["set-cookie"]
            self.cookie = self.set_cookie.partition("=")[2].partition(";")[0]
        return answer

    async def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        cookie = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        return await self.api.ask(path, None, method=method, headers=cookie | headers)


@pytest.fixture
def browser(api: Served) -> Browser:
    return Browser(api)


async def values(api: Served, query: str, *arguments: Any) -> list[Any]:
    async with api.database.session() as session:
        return [row[0] for row in await session.fetch(query, *arguments)]


async def test_a_session_is_a_strict_cookie_of_which_only_the_hash_is_kept(
    api: Served, browser: Browser, name: str
) -> None:
    told = (await browser.sign_in(name)).json()
    assert (told["name"], told["role"], told["timezone"]) == (name, "operator", "Asia/Shanghai")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in browser.set_cookie.split(";")}
    assert (await browser.ask("session")).json() == told
    assert browser.cookie is not None
    assert await values(api, "SELECT token_hash FROM tiwei.session WHERE name = $1", name) == [
        hashlib.sha256(browser.cookie.encode()).digest()
    ]
    (hashed,) = await values(api, "SELECT password_hash FROM tiwei.account WHERE name = $1", name)
    assert hashed.startswith("$argon2id$")
    assert (await browser.ask("session", "DELETE", **{"X-CSRF-Token": browser.csrf})).status_code == 204
    assert (await browser.ask("session")).status_code == 401


async def test_wrong_name_wrong_password_and_locked_look_the_same(api: Served, browser: Browser, name: str) -> None:
    unknown = await browser.sign_in("nobody.at.all")
    wrong = await browser.sign_in(name, "wrong-password-1")
    assert (unknown.status_code, unknown.json()) == (wrong.status_code, wrong.json())
    for _ in range(FAILURES):
        await browser.sign_in(name, "wrong-password-1")
    locked = await browser.sign_in(name)
    assert (locked.status_code, locked.json()) == (wrong.status_code, wrong.json())
    why = await values(api, "SELECT detail ->> 'why' FROM tiwei.audit WHERE outcome = 'refused' ORDER BY audit_id DESC")
    assert why[:2] == ["locked", "locked"]
    assert why[FAILURES + 2] == "unknown_name"
    assert "nobody.at.all" not in json.dumps(await values(api, "SELECT detail::text FROM tiwei.audit"))


async def test_each_further_lock_is_twice_as_long(api: Served, browser: Browser, name: str) -> None:
    try:
        for lock_ms in (LOCK_MS, 2 * LOCK_MS, 4 * LOCK_MS):
            for _ in range(FAILURES):
                assert (await browser.sign_in(name, "wrong-password-1")).status_code == 401
            api.clock.ahead_ms += lock_ms - 5_000
            assert (await browser.sign_in(name)).status_code == 401
            api.clock.ahead_ms += 5_000
        assert (await browser.sign_in(name)).status_code == 200
        assert await values(api, "SELECT failed FROM tiwei.account WHERE name = $1", name) == [0]
    finally:
        api.clock.ahead_ms = 0


async def test_of_many_attempts_at_once_only_a_few_are_looked_at(api: Served, browser: Browser, name: str) -> None:
    guesses = [browser.sign_in(name, f"guess-number-{n}") for n in range(BURST - 1)]
    assert {answer.status_code for answer in await asyncio.gather(*guesses)} == {401}
    looked = await values(
        api,
        "SELECT count(*) FROM tiwei.audit WHERE detail ->> 'name' = $1 AND detail ->> 'why' = 'wrong_password'",
        name,
    )
    assert looked == [FAILURES]
    assert (await browser.sign_in(name)).status_code == 401


async def test_an_address_that_tries_too_often_waits(browser: Browser, name: str) -> None:
    answers = await asyncio.gather(*(browser.sign_in("x" * 60, "p") for _ in range(BURST)))
    assert {answer.status_code for answer in answers} == {401}
    throttled = await browser.sign_in(name)
    assert throttled.status_code == 429
    assert 0 < int(throttled.headers["retry-after"]) <= EACH_MS / 1000


async def test_the_throttle_is_bounded_and_counts_a_network_of_ipv6_as_one() -> None:
    throttle = Throttle()
    for n in range(BURST):
        assert throttle.wait_ms(f"2001:db8::{n:x}", 0) == 0
    assert throttle.wait_ms("2001:db8::ffff", 0) > 0
    assert throttle.wait_ms("2001:db8:0:1::1", 0) == 0
    assert throttle.wait_ms("2001:db8::ffff", EACH_MS) == 0
    for n in range(2 * ADDRESSES):
        throttle.wait_ms(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0)
    assert len(throttle._buckets) == ADDRESSES


async def test_a_session_ends_when_it_is_idle_and_in_any_case(api: Served, browser: Browser, name: str) -> None:
    try:
        await browser.sign_in(name)
        for _ in range(3):
            api.clock.ahead_ms += 29 * MINUTE_MS
            assert (await browser.ask("session")).status_code == 200
        api.clock.ahead_ms += 31 * MINUTE_MS
        assert (await browser.ask("session")).status_code == 401
        await browser.sign_in(name)
        for _ in range(25):
            api.clock.ahead_ms += 28 * MINUTE_MS
            assert (await browser.ask("session")).status_code == 200
        api.clock.ahead_ms += 21 * MINUTE_MS
        assert (await browser.ask("session")).status_code == 401
    finally:
        api.clock.ahead_ms = 0


async def test_who_watches_live_is_not_idle_and_who_leaves_is(
    api: Served, browser: Browser, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.1)
    await browser.sign_in(name)
    headers = {"Cookie": f"{COOKIE}={browser.cookie}", "Origin": api.url}

    async def seen() -> datetime:
        (found,) = await values(api, "SELECT seen_at FROM tiwei.session WHERE name = $1", name)
        assert isinstance(found, datetime)
        return found

    try:
        async with websockets.connect(api.ws_url, additional_headers=headers):
            for _ in range(3):
                before = await seen()
                api.clock.ahead_ms += 29 * MINUTE_MS
                await eventually_told(partial(later, seen, before))
        assert (await browser.ask("session")).status_code == 200
        api.clock.ahead_ms += 31 * MINUTE_MS
        assert (await browser.ask("session")).status_code == 401
    finally:
        api.clock.ahead_ms = 0


async def later(seen: Callable[[], Awaitable[datetime]], than: datetime) -> bool:
    return await seen() > than


async def test_who_is_disabled_or_gets_another_password_is_signed_out(api: Served, browser: Browser, name: str) -> None:
    await browser.sign_in(name)
    await api.parts.access.set_password(name, "another-password", deed(api, "user_password"))
    assert (await browser.ask("session")).status_code == 401
    assert (await browser.sign_in(name)).status_code == 401
    assert (await browser.sign_in(name, "another-password")).status_code == 200
    await api.parts.access.disable(name, deed(api, "user_disable"))
    assert (await browser.ask("session")).status_code == 401
    assert (await browser.sign_in(name, "another-password")).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-CSRF-Token": "0" * 64}, 403),
        ({"X-CSRF-Token": "right", "Origin": "https://elsewhere.example"}, 403),
        ({"X-CSRF-Token": "right", "Origin": "null"}, 403),
        ({"X-CSRF-Token": "right", "Origin": "here"}, 200),
        ({"X-CSRF-Token": "right"}, 200),
    ],
)
async def test_forged_requests_of_a_session_are_refused(
    api: Served, browser: Browser, name: str, headers: dict[str, str], status: int
) -> None:
    await browser.sign_in(name)
    words = {"right": browser.csrf, "here": api.url}
    answer = await browser.ask("live/ticket", "POST", **{key: words.get(one, one) for key, one in headers.items()})
    assert answer.status_code == status


async def test_a_foreign_page_cannot_sign_somebody_in(browser: Browser, name: str) -> None:
    assert (await browser.sign_in(name, Origin="https://elsewhere.example")).status_code == 403


async def test_a_ticket_is_good_once_and_not_for_long(api: Served, browser: Browser, name: str) -> None:
    await browser.sign_in(name)

    async def ticket() -> str:
        answer = await browser.ask("live/ticket", "POST", **{"X-CSRF-Token": browser.csrf})
        return f"{api.ws_url}?ticket={answer.json()['ticket']}"

    url = await ticket()
    async with websockets.connect(url):
        pass
    stale = await ticket()
    for used in (url, f"{api.ws_url}?ticket=nonsense"):
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(used)
    try:
        api.clock.ahead_ms = TICKET_MS + 1
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(stale)
    finally:
        api.clock.ahead_ms = 0


@pytest.mark.parametrize(
    ("origin", "status"), [("here", 101), (None, 403), ("https://elsewhere.example", 403), ("null", 403)]
)
async def test_a_websocket_by_cookie_needs_our_own_page(
    api: Served, browser: Browser, name: str, origin: str | None, status: int
) -> None:
    await browser.sign_in(name)
    cookie = {"Cookie": f"{COOKIE}={browser.cookie}"}
    where = api.url if origin == "here" else origin
    headers = cookie | ({} if where is None else {"Origin": where})
    if status == 101:
        async with websockets.connect(api.ws_url, additional_headers=headers):
            return
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(api.ws_url, additional_headers=headers)
    assert refused.value.response.status_code == status


async def test_tokens_end_by_time_and_by_revocation(api: Served) -> None:
    tokens = api.parts.tokens
    ends = api.clock() + MINUTE_MS
    for secret, expires_ms in (("one", ends), ("other", None)):
        await tokens.create(
            hashlib.sha256(secret.encode()).digest(),
            "t",
            Role.REGULATOR,
            Scope(),
            expires_ms=expires_ms,
            deed=deed(api),
        )

    async def status(secret: str) -> int:
        return (await api.ask("session", None, headers={"Authorization": f"Bearer {secret}"})).status_code

    assert [await status("one"), await status("other"), await status("third")] == [200, 200, 401]
    newest = (await tokens.listed())[-1]
    await tokens.revoke(newest.token_id, deed(api, "token_revoke"))
    try:
        api.clock.ahead_ms = MINUTE_MS + 1
        assert [await status("one"), await status("other")] == [401, 401]
    finally:
        api.clock.ahead_ms = 0


async def test_accounts_that_cannot_be_are_refused(api: Served, name: str) -> None:
    access = api.parts.access
    for wrong, role, scope in (
        ("", Role.OPERATOR, Scope()),
        ("a b", Role.OPERATOR, Scope()),
        (name, Role.OPERATOR, Scope()),
        ("firm", Role.FIRM, Scope()),
        ("far", Role.OPERATOR, Scope(division="31")),
    ):
        with pytest.raises(RefusedError):
            await access.add(wrong, role, scope, PASSWORD, deed(api))
    with pytest.raises(RefusedError, match="12 to 256"):
        await access.add("brief", Role.OPERATOR, Scope(), "short", deed(api))


async def test_the_audit_tells_who_did_what_and_is_only_added_to(api: Served, browser: Browser, name: str) -> None:
    await browser.sign_in(name)
    await browser.ask("live/ticket", "POST", **{"X-CSRF-Token": browser.csrf})
    await browser.ask("session", "DELETE", **{"X-CSRF-Token": browser.csrf})
    lines = (await api.got(f"audit?actor={name}"))["items"]
    assert [line["action"] for line in lines] == ["sign_out", "live_ticket", "sign_in"]
    assert {(line["role"], line["origin"], line["outcome"]) for line in lines} == {("operator", "127.0.0.1", "done")}
    assert PASSWORD not in json.dumps(await values(api, "SELECT audit::text FROM tiwei.audit"))
    for statement in ("UPDATE tiwei.audit SET actor = 'x'", "DELETE FROM tiwei.audit", "TRUNCATE tiwei.audit"):
        with pytest.raises(RefusedError, match="only added to"):
            await values(api, statement)
