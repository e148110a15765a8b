"""The API's description: what the routes say of themselves, and what the guard and the problems add to all of them.

`python -m api.openapi FILE` writes it, for the copy in the tests.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.guard import COOKIE, CSRF_HEADER
from api.problems import MEDIA_TYPE
from api.roles import COLUMNS, TABLE, Reach, Row

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
#: Problems that every guarded route may answer with.
_OF_ALL = {
    "401": "Nobody is signed in",
    "403": "The role, or what it may see, does not allow this",
    "422": "The request is not of the form asked for",
    "503": "The database cannot be reached now",
}
_OF_OPEN = {"403": "Another site's page sent this", "422": _OF_ALL["422"], "503": _OF_ALL["503"]}
_LIMITED = {"413": "The body is too large"}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once for each app."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "`tiwei token create`"},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": COOKIE,
                "description": f"`POST session` sets it; unsafe requests also need {CSRF_HEADER}",
            },
        }
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(operation, TABLE[method.upper(), path])
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], row: Row) -> None:
    responses = operation["responses"]
    usual = _OF_OPEN if row.open else _OF_ALL
    for status, says in {**usual, **(_LIMITED if "requestBody" in operation else {})}.items():
        responses.setdefault(status, {"description": says})
    for status, response in responses.items():
        if status >= "4":
            # The framework thinks of its own errors; ours are problems.
            given = response.get("content", {}).get("application/json", {}).get("schema", _PROBLEM)
            if given.get("$ref", "").endswith("/Ready"):
                continue
            schema = _PROBLEM if given.get("$ref", "").endswith("HTTPValidationError") else given
            response["content"] = {MEDIA_TYPE: {"schema": schema}}
    if not row.open:
        operation["security"] = [{"bearer": []}, {"session": []}]
        allowed = [role.value for role in COLUMNS if row.reach[role] is not Reach.NONE]
        operation["description"] = f"{operation.get('description', '')}\n\nFor: {', '.join(allowed)}.".strip()


def text(document: dict[str, Any]) -> str:
    """The document as it is kept."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _main() -> None:
    from api.app import create_app
    from api.parts import make_parts
    from monitor.settings import read_settings

    app = create_app(make_parts(read_settings(), "postgresql://nobody@localhost/nothing"))
    Path(sys.argv[1]).write_text(text(describe(app)), encoding="utf-8")


if __name__ == "__main__":
    _main()
