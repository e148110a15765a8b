"""The app as it is served: uvicorn in this process on a free port, on a real database with a few lifts and faults."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import Cookie, CookieJar
from pathlib import Path
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from api.app import create_app
from api.parts import Parts, make_parts
from api.serve import Server, server_config
from monitor.adapters.access_audit import Deed
from monitor.adapters.access_secrets import digest, new_secret
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.store import PostgresStore
from monitor.domain.access import Role, Scope
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.fault import FaultKind
from monitor.settings import Settings
from tests.adapters.casework import SHANGHAI, Centre, lift, raised
from tests.adapters.test_store import NOW
from tests.waiting import eventually

PASSWORD = "tests-only-password"
WHOLE = Scope()
#: What each role is tried with; firms have a firm.
SCOPES = {role: Scope(firm_id="F1") if role is Role.FIRM else WHOLE for role in Role}
LIFTS = (
    lift(1),
    lift(2, "310101", "F2"),
    lift(3, "310104"),
    Equipment(number=4, equipment_id="BOILER-4", division="310104", kind=EquipmentKind.BOILER, firm_id="F3"),
)


class NoCookies(CookieJar):
    """Takes none."""

    def set_cookie(self, cookie: Cookie) -> None:
        """Leave it."""


class Clock:
    """The wall clock, which can be put forward."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


@dataclass(kw_only=True)
class Served:
    """An app that is served, and who may ask it."""

    url: str
    parts: Parts
    clock: Clock
    server: Server
    database: Database
    #: Keeps no cookies: each request is somebody's of its own.
    client: httpx.AsyncClient
    centre: Centre | None = None
    _tokens: dict[tuple[Role, Scope], str] = field(default_factory=dict)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws") + "/api/v1/live"

    async def token(self, role: Role, scope: Scope | None = None) -> str:
        """A bearer token of that role, made once."""
        key = (role, SCOPES[role] if scope is None else scope)
        if key not in self._tokens:
            self._tokens[key] = new_secret()
            deed = Deed(at_ms=self.clock(), origin="tests", action="token_create")
            await self.parts.tokens.create(digest(self._tokens[key]), "", *key, expires_ms=None, deed=deed)
        return self._tokens[key]

    async def headers(self, role: Role, scope: Scope | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self.token(role, scope)}"}

    async def ask(
        self, path: str, role: Role | None = Role.ADMINISTRATOR, scope: Scope | None = None, **more: Any
    ) -> httpx.Response:
        """GET (or `method`) below /api/v1 as somebody of that role."""
        method = more.pop("method", "GET")
        headers = {} if role is None else await self.headers(role, scope)
        where = path if path.startswith("/") else f"/api/v1/{path}"
        return await self.client.request(method, where, headers=headers | more.pop("headers", {}), **more)

    async def got(self, path: str, role: Role = Role.ADMINISTRATOR, scope: Scope | None = None) -> Any:
        """The JSON of a success."""
        answer = await self.ask(path, role, scope)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @asynccontextmanager
    async def listening(
        self, role: Role = Role.OPERATOR, scope: Scope | None = None, cursor: int | None = None
    ) -> AsyncIterator[Listener]:
        """A listener of the live feed."""
        url = self.ws_url if cursor is None else f"{self.ws_url}?cursor={cursor}"
        async with websockets.connect(
            url, additional_headers=await self.headers(role, scope), compression=None, max_size=None
        ) as socket_:
            yield Listener(socket_)


class Listener:
    """What one WebSocket hears; beats apart from the rest."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.beats: list[dict[str, Any]] = []

    async def next(self, seconds: float = 10) -> dict[str, Any]:
        """The next message that is no beat."""
        async with asyncio.timeout(seconds):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                if message["type"] != "beat":
                    return message
                self.beats.append(message)

    async def beat(self, seconds: float = 10) -> dict[str, Any]:
        """The next beat."""
        async with asyncio.timeout(seconds):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                if message["type"] == "beat":
                    return message

    async def snapshot(self) -> dict[str, Any]:
        """The whole of a snapshot."""
        head = await self.next()
        assert head["type"] == "snapshot"
        while (message := await self.next())["type"] == "equipment":
            head["equipment"] += message["equipment"]
        assert message == {"type": "ready", "cursor": head["cursor"]}
        return head

    async def closed(self, seconds: float = 15) -> tuple[int | None, str]:
        """Code and reason of the end, whatever comes before."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    await self.connection.recv()
            except websockets.ConnectionClosed:
                return self.connection.close_code, self.connection.close_reason or ""


@asynccontextmanager
async def served(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """The app on that database, its schema ready."""
    chosen = Settings(data_dir=folder, **settings)
    clock = Clock()
    parts = make_parts(chosen, database_url, clock)
    app = create_app(parts)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.setblocking(False)
        server = Server(server_config(app, chosen))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually(lambda: server.started or task.done())
        database = Database(database_url, connections=12)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = httpx.AsyncClient(base_url=url, timeout=30, verify=False, cookies=NoCookies())
        try:
            yield Served(url=url, parts=parts, clock=clock, server=server, database=database, client=client)
        finally:
            await client.aclose()
            server.should_exit = True
            await task
            await database.close()


@asynccontextmanager
async def at_work(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """The same with a monitor's store, four equipments, and an open entrapment of LIFT-1."""
    async with served(database_url, folder, **settings) as api:
        store = PostgresStore(api.database, zone=SHANGHAI)
        await store.acquire()
        await Registry(api.database).import_equipment(LIFTS)
        await store.load(NOW)
        api.centre = Centre(api.database, store)
        await api.centre.batch(raised(FaultKind.ENTRAPMENT), raised(FaultKind.OFFLINE, number=2))
        await eventually(lambda: api.parts.hub.position not in (None, 0) and api.parts.hub.centre.database_up)
        try:
            yield api
        finally:
            await store.close()
