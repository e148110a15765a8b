"""Signing in and out, and tickets for the WebSocket."""

from __future__ import annotations

import structlog
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer, iso
from api.guard import COOKIE
from api.parts import Have, Parts, Whence, Who
from api.problems import ProblemError
from api.routes import new_router
from api.schemas import Problem, Session, SignIn, Ticket
from monitor.adapters.access_audit import Deed
from monitor.adapters.access_secrets import csrf_of, digest, new_secret
from monitor.domain.access import Caller

router = new_router()
_log = structlog.get_logger(__name__)


@router.post("/session", response_model=Session, responses={401: {"model": Problem}, 429: {"model": Problem}})
async def sign_in(asked: SignIn, parts: Have, origin: Whence) -> Response:
    """Sign in; sets the session's cookie. A wrong name, a wrong password and a locked account look the same."""
    now = parts.clock()
    if wait := parts.throttle.wait_ms(origin, now):
        raise ProblemError(
            429,
            "too-many-attempts",
            "too many attempts to sign in from this address; wait",
            headers={"Retry-After": str(-(-wait // 1000))},
        )
    attempt = await parts.access.attempt(asked.name, now)
    deed = Deed(at_ms=now, origin=origin, action="sign_in")
    right = await parts.passwords.fits(asked.password, attempt.password_hash)
    if not right or attempt.account is None:
        why = "wrong_password" if attempt.account else "locked" if attempt.known else "unknown_name"
        failed = Deed(at_ms=now, origin=origin, action="sign_in", outcome="refused", detail={"why": why})
        await parts.access.failed(attempt, asked.name, failed)
        _log.warning("a sign-in failed", why=why, origin=origin)
        raise ProblemError(
            401,
            "sign-in-failed",
            "name or password is wrong, or the account is locked for some minutes after several failures",
        )
    secret = new_secret()
    caller = await parts.access.signed_in(attempt.account, digest(secret), deed)
    made = answer(_session(parts, caller, secret))
    made.set_cookie(
        COOKIE,
        secret,
        max_age=int(parts.settings.session_hours * 3600),
        path="/",
        secure=parts.secure,
        httponly=True,
        samesite="strict",
    )
    return made


@router.get("/session", response_model=Session)
async def who_is_signed_in(request: Request, parts: Have, caller: Who) -> Response:
    """Who is signed in."""
    return answer(_session(parts, caller, request.cookies.get(COOKIE)))


@router.delete("/session", status_code=204)
async def sign_out(parts: Have, caller: Who, origin: Whence) -> Response:
    """Sign out. A bearer token is not ended by this."""
    if caller.credential.kind == "session":
        deed = Deed(at_ms=parts.clock(), origin=origin, action="sign_out", actor=caller)
        await parts.access.sign_out(caller.credential.digest, deed)
    made = Response(status_code=204)
    made.delete_cookie(COOKIE, path="/", secure=parts.secure, httponly=True, samesite="strict")
    return made


@router.post("/live/ticket", response_model=Ticket)
async def ticket(parts: Have, caller: Who, origin: Whence) -> Response:
    """A ticket for one WebSocket, good once and for 30 s."""
    secret = new_secret()
    deed = Deed(at_ms=parts.clock(), origin=origin, action="live_ticket", actor=caller)
    expires_ms = await parts.tokens.issue_ticket(digest(secret), caller, deed)
    return answer({"ticket": secret, "expires_at": iso(expires_ms)})


def _session(parts: Parts, caller: Caller, secret: str | None) -> dict[str, object]:
    of_cookie = caller.credential.kind == "session" and secret is not None
    return {
        "name": caller.name,
        "role": caller.role,
        "division": caller.scope.division,
        "firm_id": caller.scope.firm_id,
        "csrf": csrf_of(secret) if of_cookie and secret else None,
        "expires_at": iso(caller.expires_ms),
        "timezone": parts.settings.timezone,
    }
