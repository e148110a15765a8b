"""The console's files. Without sign-in only the sign-in page and what it needs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from api.parts import Have
from api.problems import not_found
from api.routes import new_router

router = new_router(prefix="")

#: No script but ours, no frame, no form that leaves.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".md": "text/plain",
}


@router.get("/", include_in_schema=False)
async def console(request: Request, parts: Have) -> Response:
    """The console."""
    return _file(parts.console, "index.html", request)


@router.get("/sign-in", include_in_schema=False)
async def sign_in_page(request: Request, parts: Have) -> Response:
    """The sign-in page."""
    return _file(parts.console, "sign-in.html", request)


@router.get("/favicon.ico", include_in_schema=False)
@router.get("/favicon.svg", include_in_schema=False)
async def icon(request: Request, parts: Have) -> Response:
    """The icon in the browser's tab."""
    return _file(parts.console, "favicon.svg", request)


@router.get("/assets/sign-in.css", include_in_schema=False)
async def sign_in_style(request: Request, parts: Have) -> Response:
    """The style of the sign-in page."""
    return _file(parts.console, "sign-in.css", request)


@router.get("/assets/sign-in.js", include_in_schema=False)
async def sign_in_script(request: Request, parts: Have) -> Response:
    """The script of the sign-in page."""
    return _file(parts.console, "sign-in.js", request)


@router.get("/assets/catalogue/{name}", include_in_schema=False)
async def catalogue(name: str, request: Request, parts: Have) -> Response:
    """The words of one language."""
    return _file(parts.console / "catalogue", name, request)


@router.get("/assets/{path:path}", include_in_schema=False)
async def asset(path: str, request: Request, parts: Have) -> Response:
    """A file of the console."""
    return _file(parts.console, path, request)


def _file(folder: Path, name: str, request: Request) -> Response:
    """A file below `folder`; the browser asks each time and is told when it has it already."""
    kind = _TYPES.get(Path(name).suffix.lower())
    try:
        found = (folder / name).resolve(strict=True)
        if kind is None or not found.is_relative_to(folder.resolve()) or not found.is_file():
            raise not_found()
        content = found.read_bytes()
    except (OSError, ValueError, RuntimeError):
        raise not_found() from None
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
