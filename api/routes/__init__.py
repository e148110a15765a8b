"""The routes, one module for each subject. Who may use them stands in api/roles.py alone."""

from __future__ import annotations

from fastapi import APIRouter

from api.guard import GuardedRoute

V1 = "/api/v1"


def new_router(prefix: str = V1) -> APIRouter:
    """A router whose every route stands behind the guard."""
    return APIRouter(prefix=prefix, route_class=GuardedRoute)
