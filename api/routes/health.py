"""Whether this process lives, whether the centre is ready, and what the API offers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer
from api.routes import new_router
from api.schemas import Health

router = new_router()


@router.get("/health/live", response_model=Health)
async def live() -> Response:
    """Whether this process answers; says nothing of the database."""
    return answer({"status": "ok"})


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """This API's description."""
    return answer(request.app.openapi())
