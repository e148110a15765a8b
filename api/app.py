"""The app: routes behind the guard, problems, headers. Nothing is opened before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute

from api import live
from api.guard import RouteWithoutRowError, row_of
from api.headers import SecurityHeaders
from api.metrics import CountRequests
from api.parts import Parts
from api.problems import add_handlers
from api.roles import TABLE
from api.routes import audit, equipment, faults, health, incidents, pages, registry, reports, session
from monitor import __version__
from monitor.adapters.retry import until_reached, without_password
from monitor.adapters.schema import migrate

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    session.router,
    equipment.router,
    faults.router,
    incidents.router,
    reports.router,
    registry.router,
    audit.router,
    live.router,
    pages.router,
)


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
    app.add_middleware(CountRequests, metrics=parts.metrics)
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
    if missing := set(TABLE) - found:
        raise RouteWithoutRowError(f"api/roles.py names routes that are not there: {sorted(missing)}")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    working = asyncio.create_task(work(parts), name="background")
    app.state.working = working
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await parts.database.close()
        await parts.slow_database.close()


async def work(parts: Parts) -> None:
    """What goes on beside the requests, for ever; waits for the database as long as it takes.

    Raises:
        ExceptionGroup: something of it failed for good; the process must end.
        RefusedError: the database is none of ours.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(parts.hub.beat(), name="beat")
        group.create_task(parts.hub.watch_centre(), name="centre")
        where = without_password(parts.database.url)
        await until_reached("database", where, lambda: migrate(parts.database), most_s=5.0)
        parts.stored.set()
        group.create_task(parts.hub.follow(), name="feed")
        group.create_task(parts.watching.run(), name="watching")
