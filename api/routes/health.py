"""Whether this process lives, whether the centre is ready, and what the API offers."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.answers import answer
from api.metrics import exposition
from api.openapi import describe
from api.parts import Have
from api.routes import new_router
from api.schemas import Health, Ready
from monitor.adapters.vital_figures import vital_figures

router = new_router()


@router.get("/health/live", response_model=Health)
async def live() -> Response:
    """Whether this process answers; says nothing of the database."""
    return answer({"status": "ok"})


@router.get("/health/ready", response_model=Ready, responses={503: {"model": Ready}})
async def ready(parts: Have) -> Response:
    """Whether the centre works as a whole; 503 where it does not."""
    centre = parts.hub.centre
    well = centre.database_up and centre.monitor_up
    told = {
        "status": "ok" if well else "degraded",
        "database": "up" if centre.database_up else "down",
        "monitor": "up" if centre.monitor_up else "down",
    }
    return answer(told, 200 if well else 503)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(parts: Have) -> Response:
    """Figures of the whole centre for Prometheus."""
    found = await vital_figures(parts.database)
    hub = parts.hub
    text = exposition(parts.metrics, hub.centre, len(hub.clients), hub.position or 0, found)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """This API's description."""
    return answer(describe(request.app))
