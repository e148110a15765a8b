"""The one door: every route is looked up in the table of roles before its body is read."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message

from api.parts import parts_of
from api.problems import ProblemError
from api.roles import TABLE, Reach, Row
from monitor.adapters.access_secrets import csrf_of, digest
from monitor.domain.access import Caller, Credential

COOKIE = "tiwei_session"
CSRF_HEADER = "X-CSRF-Token"
#: Octets of a body, unless a route says otherwise.
BODY_OCTETS = 64 * 1024
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class RouteWithoutRowError(Exception):
    """A route that the table of roles does not know: the app must not start."""


def row_of(method: str, path: str) -> Row:
    """The table's row of a route. Raises RouteWithoutRowError."""
    try:
        return TABLE[method, path]
    except KeyError:
        raise RouteWithoutRowError(f"{method} {path} does not stand in api/roles.py") from None


class GuardedRoute(APIRoute):
    """A route that answers only whom the table lets in. Made only where the table has a row for it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        # Not left to the framework, which reads a body before anybody asked who sends it.
        self._octets: int = options.pop("max_body_size", None) or BODY_OCTETS
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the door."""
        inner = super().get_route_handler()
        rows = {method: row_of(method, self.path) for method in self.methods or ()}

        async def guarded(request: Request) -> Response:
            row = rows[request.method]
            if not row.open:
                try:
                    request.state.caller = await let_in(request, row)
                except ProblemError as error:
                    if row.page and error.status == 401:
                        return RedirectResponse("/sign-in", status_code=303)
                    raise
            elif request.method not in _SAFE:
                check_origin(request)
            _bound(request, self._octets)
            return await inner(request)

        return guarded


def _bound(request: Request, octets: int) -> None:
    """Let no more than so many octets of the body in. Raises HTTPException (413), now or while it is read."""
    too_large = HTTPException(413, f"a body has {octets} octets at most here")
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared[:20]) > octets:
        raise too_large
    receive, read = request.receive, 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > octets:
            raise too_large
        return message

    request._receive = counted  # noqa: SLF001 - the framework hands this very request on


async def let_in(connection: HTTPConnection, row: Row) -> Caller:
    """Who asks, if the table lets them.

    Raises:
        ProblemError: 401 nobody is signed in, 403 the role may not, or the request may be forged.
    """
    caller = await sign_in_of(connection)
    if caller is None:
        raise ProblemError(
            401, "not-signed-in", "sign in, or send a bearer token", headers={"WWW-Authenticate": "Bearer"}
        )
    allow(caller, row)
    return caller


def allow(caller: Caller, row: Row) -> None:
    """Raises ProblemError (403) where the table denies the route to that role, or to that scope."""
    reach = row.reach.get(caller.role, Reach.NONE)
    if reach is Reach.NONE:
        raise ProblemError(403, "role-not-allowed", f"the role {caller.role} may not do this")
    if reach is Reach.WHOLE and not caller.scope.whole:
        raise ProblemError(403, "scope-not-allowed", "this is of the whole centre, of which you may see a part")


async def sign_in_of(connection: HTTPConnection) -> Caller | None:
    """Who is signed in by the bearer token (which goes first) or by the session's cookie; None: nobody.

    Raises:
        ProblemError: 403 the cookie came with an unsafe method and without the word against forgery.
    """
    parts = parts_of(connection)
    scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return await parts.tokens.caller(digest(token.strip()), parts.clock())
    secret = connection.cookies.get(COOKIE)
    if not secret:
        return None
    caller = await parts.access.caller(digest(secret), parts.clock(), used=True)
    if caller is not None and isinstance(connection, Request) and connection.method not in _SAFE:
        check_origin(connection)
        given = connection.headers.get(CSRF_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, csrf_of(secret).encode()):
            raise ProblemError(403, "csrf", f"the header {CSRF_HEADER} is missing or wrong; GET session tells it")
    return caller


async def holds_still(connection: HTTPConnection, credential: Credential) -> Caller | None:
    """Look again whether a session or token holds; None where it is over. Who watches live is not idle."""
    parts = parts_of(connection)
    if credential.kind == "token":
        return await parts.tokens.caller(credential.digest, parts.clock())
    return await parts.access.caller(credential.digest, parts.clock(), used=True)


def check_origin(connection: HTTPConnection, *, needed: bool = False) -> None:
    """Raises ProblemError (403) where another site's page sent this; `needed`: a browser always says whose."""
    origin = connection.headers.get("Origin")
    if origin is None and not needed:
        return
    if origin is None or not _same_host(origin, connection.headers.get("Host", "")):
        raise ProblemError(403, "foreign-origin", "the page that sent this is not of this centre")


def _same_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        default = {"http": 80, "https": 443}[parts.scheme]
        here = urlsplit(f"//{host}")
        ours, theirs = (here.hostname, here.port or default), (parts.hostname, parts.port or default)
    except (ValueError, KeyError):
        return False
    return ours == theirs
