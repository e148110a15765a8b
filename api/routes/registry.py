"""The register taken in, as `tiwei registry import` does."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer
from api.parts import Have, Whence, Who
from api.problems import ProblemError
from api.routes import new_router
from api.schemas import Imported, Problem
from monitor.adapters.access_audit import Deed
from monitor.adapters.access_import import OutOfSightError, import_in_scope
from monitor.domain.errors import UnreadableError
from monitor.messages.registry import read

router = new_router()

OCTETS = 32 * 1024 * 1024
_KINDS = {
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "text/csv": "csv",
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "Equipment as the registry takes it: an array, an object with `registry`, lines, or CSV.",
        "content": {kind: {"schema": {"type": "string"}} for kind in _KINDS if kind != "application/json"}
        | {"application/json": {"schema": {"anyOf": [{"type": "object"}, {"type": "array"}]}}},
    }
}


@router.post(
    "/registry/import",
    response_model=Imported,
    responses={403: {"model": Problem}, 415: {"model": Problem}, 422: {"model": Problem}},
    openapi_extra=_BODY,
    max_body_size=OCTETS,
)
async def import_registry(request: Request, parts: Have, caller: Who, origin: Whence) -> Response:
    """Take in or replace equipment; all of it, or nothing."""
    kind = _KINDS.get(request.headers.get("Content-Type", "").partition(";")[0].strip().lower())
    if kind is None:
        raise ProblemError(415, "unknown-format", f"the registry is sent as one of {', '.join(_KINDS)}")
    content = await request.body()
    try:
        equipment = await asyncio.to_thread(read, content, kind)
    except UnreadableError as error:
        raise ProblemError(422, "unreadable-registry", f"nothing was imported: {error.detail}") from None
    deed = Deed(
        at_ms=parts.clock(),
        origin=origin,
        action="registry_import",
        actor=caller,
        detail={"equipment": len(equipment), "format": kind},
    )
    try:
        imported = await import_in_scope(parts.database, caller.scope, equipment, deed)
    except OutOfSightError as error:
        raise ProblemError(403, "out-of-scope", f"nothing was imported: {error}") from None
    return answer({"imported": imported})
