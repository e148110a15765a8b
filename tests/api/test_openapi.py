"""The description: the copy that is kept, and every route tried by it with made-up input."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from api.app import create_app
from api.openapi import describe, text
from api.parts import make_parts
from api.roles import TABLE
from monitor.domain.access import Role
from monitor.settings import read_settings
from tests.api.served import Served

KEPT = Path(__file__).with_name("openapi.json")
RENEW = f"{Path(sys.executable).name} -m api.openapi tests/api/openapi.json"
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"


def test_the_description_is_the_one_that_is_kept(tmp_path: Path) -> None:
    app = create_app(make_parts(read_settings(data_dir=tmp_path), "postgresql://nobody@localhost/nothing"))
    document = describe(app)
    assert text(document) == KEPT.read_text("utf-8"), f"if that is wanted: {RENEW}"
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    api = {key for key in TABLE if key[1].startswith("/api/v1/") and key[0] != "WS"}
    assert described == api - {("GET", "/api/v1/openapi.json")}
    assert "HTTPValidationError" not in json.dumps(document)


async def test_no_input_of_any_kind_is_an_error_of_ours(own_api: Served, tmp_path: Path) -> None:
    token = await own_api.token(Role.ADMINISTRATOR)
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", str(KEPT), "--url", own_api.url),
        *("--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--max-examples", "8"),
        *("--phases", "examples,coverage,fuzzing", "--seed", "96333", "--request-timeout", "10", "--no-color"),
        # Which is 503 on purpose where no monitor is alive, as here.
        *("--exclude-path", "/api/v1/health/ready", "--workers", "3"),
        *("--suppress-health-check", "all", "--continue-on-failure", "--generation-database", "none"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    print(f"schemathesis took {time.monotonic() - began:.0f} s")
    assert process.returncode == 0, said.decode()
