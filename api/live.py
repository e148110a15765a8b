"""`WS live`: a snapshot, then every change as it is committed; resumes from a cursor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import structlog
from starlette.websockets import WebSocket

from api.client import Client
from api.guard import COOKIE, allow, check_origin, holds_still, row_of, sign_in_of
from api.live_protocol import STATE_KEY
from api.parts import Parts, parts_of
from api.problems import ProblemError, problem
from api.routes import V1, new_router
from api.watching import MOST_WATCHED
from monitor.adapters.access_secrets import digest
from monitor.adapters.equipment_pages import EquipmentPages
from monitor.domain.access import Caller
from monitor.domain.errors import RefusedError, UnavailableError

router = new_router()

SIGNED_OUT = 4401
NOT_ALLOWED = 4403
#: The sign-in is looked at again so often, s.
CHECK_S = 30.0
_LONGEST_ID = 64
_BIGINT = 2**63
_log = structlog.get_logger(__name__)


@router.websocket("/live")
async def live(websocket: WebSocket) -> None:
    """One listener, from its coming to its going."""
    parts = parts_of(websocket)
    try:
        caller = await _let_in(websocket, parts)
    except ProblemError as error:
        refusal = problem(error.status, error.slug, error.detail, headers=error.headers)
        await websocket.send_denial_response(refusal)
        return
    except (UnavailableError, RefusedError):
        await websocket.send_denial_response(problem(503, "unavailable", "the database cannot be reached now"))
        return
    await websocket.accept()
    client = Client(websocket.scope["state"][STATE_KEY], caller.scope)
    parts.hub.greet(client)
    try:
        await _until_one_ends(
            _hear(websocket, parts, client),
            _check(websocket, parts, client, caller),
            client.drain(),
            _bring_up(parts, client, _cursor(websocket)),
        )
    finally:
        parts.hub.leave(client)
        parts.watching.leave(client)


async def _let_in(websocket: WebSocket, parts: Parts) -> Caller:
    """Who listens. Raises ProblemError."""
    ticket = websocket.query_params.get("ticket")
    if ticket is not None:
        credential = await parts.tokens.redeem_ticket(digest(ticket), parts.clock())
        caller = None if credential is None else await holds_still(websocket, credential)
    else:
        if "Authorization" not in websocket.headers and COOKIE in websocket.cookies:
            # A browser lets any page open a WebSocket with our cookie; only its Origin tells whose page it was.
            check_origin(websocket, needed=True)
        caller = await sign_in_of(websocket)
    if caller is None:
        raise ProblemError(
            401, "not-signed-in", "sign in, or come with a ticket", headers={"WWW-Authenticate": "Bearer"}
        )
    allow(caller, row_of("WS", f"{V1}/live"))
    if len(parts.hub.clients) >= parts.settings.http_live_clients:
        raise ProblemError(503, "too-many-listeners", "as many as may be are listening already")
    return caller


def _cursor(websocket: WebSocket) -> int | None:
    """Where to resume; None, and for what is none, from the beginning."""
    text = websocket.query_params.get("cursor", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        return None
    return int(text) if int(text) < _BIGINT else None


async def _until_one_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Do it all until the first of it has ended, and raise what that raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _bring_up(parts: Parts, client: Client, cursor: int | None) -> None:
    await parts.hub.bring_up(client, cursor)
    if not client.over:
        await asyncio.Event().wait()


async def _hear(websocket: WebSocket, parts: Parts, client: Client) -> None:
    """What the listener says, until it goes."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        ids = _watched(message.get("text") or "")
        if ids is None:
            client.cut(1008, 'only {"watch": [up to 20 equipment_ids]} is understood')
            return
        try:
            parts.watching.watch(client, await EquipmentPages(parts.database).numbers(client.scope, ids))
        except UnavailableError:
            _log.info("what is to be watched could not be looked up")


def _watched(text: str) -> list[str] | None:
    """The list of a watch message; None for anything else."""
    try:
        ids = json.loads(text)["watch"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(ids, list) or len(ids) > MOST_WATCHED:
        return None
    return ids if all(isinstance(one, str) and len(one) <= _LONGEST_ID for one in ids) else None


async def _check(websocket: WebSocket, parts: Parts, client: Client, caller: Caller) -> None:
    """Look at the sign-in again now and then, and when it should end; cut off whose sign-in holds no more."""
    while True:
        await asyncio.sleep(_pause_s(caller, parts.clock()))
        try:
            present = await holds_still(websocket, caller.credential)
        except UnavailableError:
            # Nobody can tell now; what ends by the clock ends all the same.
            present = caller if caller.expires_ms is None or caller.expires_ms > parts.clock() else None
        if present is None:
            client.cut(SIGNED_OUT, "the sign-in is over")
            return
        if (present.role, present.scope) != (caller.role, caller.scope):
            client.cut(NOT_ALLOWED, "what you may see has changed")
            return
        caller = present


def _pause_s(caller: Caller, now_ms: int) -> float:
    if caller.expires_ms is None:
        return CHECK_S
    return min(CHECK_S, max(0.2, (caller.expires_ms - now_ms) / 1000 + 0.05))
