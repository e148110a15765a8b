"""Errors as RFC 9457 problem details: one shape for every answer that is no success."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from monitor.domain.errors import RefusedError, UnavailableError

MEDIA_TYPE = "application/problem+json"
#: Errors of one request told at once.
ERRORS_TOLD = 10

_log = structlog.get_logger(__name__)


class ProblemError(Exception):
    """A request that cannot be answered as asked. `slug` is short, stable and for programs; `detail` for people."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, detail
        self.headers, self.extra = dict(headers or {}), dict(extra or {})


def not_found() -> ProblemError:
    """There is no such thing, or it is out of sight: the same answer."""
    return ProblemError(404, "not-found", "there is nothing of that name in your sight")


def problem(
    status: int,
    slug: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """The answer itself."""
    body = {
        **(extra or {}),
        "type": f"urn:tiwei:problem:{slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Response(to_json(body), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def add_handlers(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem."""
    app.add_exception_handler(ProblemError, _of_problem)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(UnavailableError, _of_unavailable)
    app.add_exception_handler(RefusedError, _of_refused)
    app.add_exception_handler(Exception, _of_anything)


async def _of_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem(error.status, error.slug, error.detail, headers=error.headers, extra=error.extra)


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # a body that is not even text, to FastAPI; to the asker all one
        return problem(422, "invalid-request", "the request is not of the form asked for")
    slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem(error.status_code, slug, str(error.detail), headers=error.headers)


async def _of_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not sent back: it may be a password.
    errors = [
        {"at": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
        for one in error.errors()[:ERRORS_TOLD]
    ]
    return problem(422, "invalid-request", "the request is not of the form asked for", extra={"errors": errors})


async def _of_unavailable(_request: Request, error: Exception) -> Response:
    _log.warning("the database cannot be reached", why=str(error))
    return problem(503, "unavailable", "the database cannot be reached now; try again", headers={"Retry-After": "2"})


async def _of_refused(request: Request, error: Exception) -> Response:
    if request.app.state.parts.stored.is_set():
        return await _of_anything(request, error)
    # The database is there, and its tables are just being made.
    return await _of_unavailable(request, error)


async def _of_anything(request: Request, error: Exception) -> Response:
    _log.error("a request failed", method=request.method, route=_template(request), exc_info=error)
    return problem(500, "internal", "something went wrong on our side; it has been written down")


def _template(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path_format", "unknown"))
