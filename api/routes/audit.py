"""What people and programs did."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from api.answers import answer, iso, page, read_cursor
from api.parts import Have, Who
from api.routes import new_router
from api.routes.asking import Cursor, Limit
from api.schemas import AuditLine, Page
from monitor.adapters import access_audit

router = new_router()
_Word = Annotated[str | None, Query(max_length=64)]


@router.get("/audit", response_model=Page[AuditLine])
async def audit(
    parts: Have, caller: Who, action: _Word = None, actor: _Word = None, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Deeds of those in sight, newest first."""
    place = read_cursor(cursor, int)
    before = None if place is None else place[0]
    found = await parts.audit.page(caller.scope, limit + 1, before=before, action=action, actor=actor)
    return answer(page(found, limit, _json, lambda one: (one.audit_id,)))


def _json(line: access_audit.AuditLine) -> dict[str, Any]:
    fields = asdict(line)
    return {"audit_id": fields.pop("audit_id"), "at": iso(fields.pop("at_ms")), **fields}
