"""`tiwei api`, `tiwei user` and `tiwei token` as they are run: processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import websockets

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.postgres import PostgresServer
from tests.conftest import FAST
from tests.waiting import until

PASSWORD = "tests-only-password"
END_S = 5.0


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIWEI_")}
    return clean | {"TIWEI_DATA_DIR": str(folder / "data")} | more


class Process:
    """One `tiwei api`."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self._out, self._err = folder / f"{time.monotonic_ns()}.out", folder / f"{time.monotonic_ns()}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "api", *words], stdout=out, stderr=err, env=environment(folder, **env)
            )

    @property
    def log(self) -> str:
        return self._err.read_text()

    def url(self) -> str:
        """Where it listens, once it does."""
        until(lambda: self._out.read_text().endswith("\n") or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.log
        line = json.loads(self._out.read_text())
        assert line["ready"] == "http"
        return str(line["url"])

    def end(self) -> float:
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - began


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*words: str, **env: str) -> Process:
        started.append(Process(tmp_path, *words, **env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(30)


def tiwei(folder: Path, url: str, *words: str, said: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *words],
        env=environment(folder, TIWEI_DATABASE_URL=url),
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def status(url: str, path: str, **headers: str) -> int:
    return httpx.get(f"{url}/api/v1/{path}", headers=headers, verify=False).status_code


def test_from_a_password_to_a_page_and_to_the_end_in_time(
    api: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    one = api(TIWEI_DATABASE_URL=database_url)
    tiwei(tmp_path, database_url, "user", "add", "wang", "--role", "operator", "--password-stdin", said=PASSWORD + "\n")
    url = one.url()
    with httpx.Client(base_url=url) as client:
        told = client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD}).json()
        assert client.get("/api/v1/fleet").json()["total"] == 0
        assert "text/html" in client.get("/").headers["content-type"]
        cookie = client.cookies["tiwei_session"]
    assert told["role"] == "operator"

    async def listen() -> tuple[int | None, float]:
        headers = {"Cookie": f"tiwei_session={cookie}", "Origin": url}
        where = url.replace("http", "ws") + "/api/v1/live"
        async with websockets.connect(where, additional_headers=headers) as connection:
            while json.loads(await connection.recv())["type"] != "ready":
                pass
            began = time.monotonic()
            one.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(END_S):
                await connection.wait_closed()
            return connection.close_code, began

    code, began = asyncio.run(listen())
    assert code == 1001
    one.process.wait(END_S)
    assert time.monotonic() - began < END_S
    assert one.process.returncode == 0
    assert PASSWORD not in one.log
    assert cookie not in one.log
    assert "Traceback" not in one.log
    assert '"level": "error"' not in one.log


def test_it_ends_in_time_whatever_hangs_on_it(api: Callable[..., Process], database_url: str) -> None:
    one = api(TIWEI_DATABASE_URL=database_url)
    host, _, port = one.url().removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert one.end() < END_S
    assert one.process.returncode == 0


def test_accounts_and_tokens_are_made_shown_once_listed_and_ended(
    api: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    made = tiwei(tmp_path, database_url, "user", "add", "li", "--role", "firm", "--firm", "F1")
    (password,) = made.stdout.splitlines()
    assert len(password) > 24
    for words in (("user", "add", "li", "--role", "operator"), ("token", "create", "--role", "firm")):
        assert "Traceback" not in tiwei(tmp_path, database_url, *words, status=1).stderr
    right = ("--role", "regulator", "--division", "310000", "--days", "30", "--label", "report robot")
    (token,) = tiwei(tmp_path, database_url, "token", "create", *right).stdout.splitlines()
    url = api(TIWEI_DATABASE_URL=database_url).url()
    until(lambda: status(url, "fleet", Authorization=f"Bearer {token}") == 200, 20)
    assert status(url, "audit", Authorization=f"Bearer {token}") == 403
    shown = tiwei(tmp_path, database_url, "token", "list").stdout
    assert "report robot" in shown
    assert token not in shown
    tiwei(tmp_path, database_url, "token", "revoke", "1")
    assert status(url, "fleet", Authorization=f"Bearer {token}") == 401
    answer = httpx.post(f"{url}/api/v1/session", json={"name": "li", "password": password})
    assert answer.json()["firm_id"] == "F1"
    tiwei(tmp_path, database_url, "user", "disable", "li")
    assert "disabled" in tiwei(tmp_path, database_url, "user", "list").stdout
    assert httpx.post(f"{url}/api/v1/session", json={"name": "li", "password": password}).status_code == 401
    assert "no account" in tiwei(tmp_path, database_url, "user", "password", "nobody", status=1).stderr


def test_it_starts_without_the_database_and_comes_to_work_when_it_does(
    api: Callable[..., Process], tmp_path: Path
) -> None:
    server = PostgresServer(DataFolder(tmp_path / "late"), extra=FAST)
    database_url = asyncio.run(server.start())
    asyncio.run(server.stop(5))
    one = api(TIWEI_DATABASE_URL=database_url)
    url = one.url()
    assert status(url, "health/live") == 200
    assert status(url, "fleet", Authorization="Bearer x") == 503
    until(lambda: "cannot be reached" in one.log)
    assert asyncio.run(server.start()) == database_url
    try:
        until(lambda: status(url, "fleet", Authorization="Bearer x") == 401, 30)
        assert "Traceback" not in one.log
        assert one.end() < END_S
    finally:
        asyncio.run(server.stop(5))


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"TIWEI_HTTP_HOST": "0.0.0.0"}, "TIWEI_HTTP_TLS_CERT_FILE"),
        ({"TIWEI_HTTP_TLS_CERT_FILE": "/nowhere"}, "go together"),
        ({"TIWEI_HTTP_TLS_CERT_FILE": "/nowhere", "TIWEI_HTTP_TLS_KEY_FILE": "/nowhere"}, "TIWEI_HTTP_TLS_CERT_FILE"),
        ({"TIWEI_DATABASE_URL": ""}, "TIWEI_DATABASE_URL"),
    ],
)
def test_wrong_and_insecure_settings_end_it_in_one_line(
    api: Callable[..., Process], env: dict[str, str], told: str
) -> None:
    one = api(**{"TIWEI_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"} | env)
    assert one.process.wait(20) == 2
    assert told in one.log
    assert len(one.log.splitlines()) == 1


def test_an_address_that_is_taken_and_a_database_of_tomorrow_end_it(
    api: Callable[..., Process], database_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        one = api(TIWEI_DATABASE_URL=database_url, TIWEI_HTTP_PORT=str(taken.getsockname()[1]))
        assert one.process.wait(20) == 1
        assert "cannot be listened on" in one.log

    async def tomorrow() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "CREATE SCHEMA IF NOT EXISTS tiwei; DROP TABLE IF EXISTS tiwei.migration;"
            "CREATE TABLE tiwei.migration (version integer, name text, checksum text);"
            "INSERT INTO tiwei.migration VALUES (9999, 'x', 'x')"
        )
        await connection.close()

    asyncio.run(tomorrow())
    two = api(TIWEI_DATABASE_URL=database_url)
    assert two.process.wait(20) == 1
    assert "newer version" in two.log
    assert "Traceback" not in two.log


def certificate(folder: Path) -> dict[str, str]:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=centre.example"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return {
        "TIWEI_HTTP_TLS_CERT_FILE": str(folder / "cert.pem"),
        "TIWEI_HTTP_TLS_KEY_FILE": str(folder / "key.pem"),
    }


@pytest.mark.parametrize("way", ["tls", "proxy", "demo"])
def test_it_may_be_reached_from_afar_with_tls_behind_a_proxy_or_in_a_demo(
    api: Callable[..., Process], database_url: str, tmp_path: Path, way: str
) -> None:
    more: dict[str, Any] = {"tls": certificate(tmp_path), "proxy": {"TIWEI_HTTP_BEHIND_PROXY": "true"}, "demo": {}}
    words = ["--demo"] if way == "demo" else []
    one = api(*words, TIWEI_DATABASE_URL=database_url, TIWEI_HTTP_HOST="0.0.0.0", **more[way])
    url = one.url().replace("0.0.0.0", "127.0.0.1")
    assert url.startswith("https://" if way == "tls" else "http://")
    tiwei(tmp_path, database_url, "user", "add", "wang", "--role", "operator", "--password-stdin", said=PASSWORD + "\n")
    forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"} if way == "proxy" else {}
    body = {"name": "wang", "password": PASSWORD}
    answer = httpx.post(f"{url}/api/v1/session", json=body, headers=forwarded, verify=False)
    assert answer.status_code == 200
    assert ("Secure" in answer.headers["set-cookie"]) == (way != "demo")
    assert ("strict-transport-security" in answer.headers) == (way != "demo")

    async def origin() -> str:
        connection = await asyncpg.connect(database_url)
        found = await connection.fetchval("SELECT origin FROM tiwei.audit WHERE action = 'sign_in'")
        await connection.close()
        return str(found)

    assert asyncio.run(origin()) == ("203.0.113.7" if way == "proxy" else "127.0.0.1")
