"""Many who listen, one that takes nothing; a database that goes and comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
import websockets

from api import client as client_module
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.postgres import PostgresServer
from monitor.adapters.feed import Line, Topic, publish
from monitor.domain.access import Role
from tests.api.served import Listener, Served, served
from tests.conftest import FAST
from tests.waiting import eventually, eventually_told

CLIENTS = 200
CHANGES = 40
#: Octets of one change, so that together they are more than a stuck listener's and the kernel's buffers hold.
OCTETS = 256 * 1024


async def tell(api: Served, body: str) -> None:
    async with api.database.session() as session, session.transaction():
        await publish(session, [Line(topic=Topic.FAULT, body=body)])


def stuck_socket(api: Served, token: str) -> socket.socket:
    """A WebSocket that never reads anything, not even the answer to its handshake."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    one.sendall(
        f"GET /api/v1/live HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    return one


async def hear(connection: websockets.ClientConnection, lags: list[float], wanted: int) -> None:
    heard = 0
    while heard < wanted:
        text = await connection.recv()
        if '"topic":"fault"' in str(text[:120]):
            lags.append(time.time() - json.loads(text)["body"]["sent"])
            heard += 1


async def test_of_200_listeners_one_that_is_stuck_hurts_nobody(
    own_api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_OCTETS", 1024 * 1024)
    api = own_api
    headers, hub = await api.headers(Role.OPERATOR), api.parts.hub
    token = await api.token(Role.OPERATOR)
    lags: list[float] = []
    async with AsyncExitStack() as stack:
        with stuck_socket(api, token):
            await eventually(lambda: len(hub.clients) == 1)
            (stuck,) = hub.clients
            connections = [
                await stack.enter_async_context(
                    websockets.connect(api.ws_url, additional_headers=headers, compression=None, max_size=None)
                )
                for _ in range(CLIENTS - 1)
            ]
            hearing = [asyncio.create_task(hear(one, lags, CHANGES)) for one in connections]
            await eventually(lambda: all(one.position is not None for one in hub.clients), 30)
            for number in range(CHANGES):
                # Small for most of the time, with something big in between that fills the stuck one's buffers.
                filler = "x" * (OCTETS if number % 2 else 0)
                await tell(api, json.dumps({"sent": time.time(), "n": number, "filler": filler}))
            await asyncio.gather(*hearing)
            assert len(lags) == (CLIENTS - 1) * CHANGES
            await eventually(lambda: stuck not in hub.clients, 30)
            assert len(hub.clients) == CLIENTS - 1
            assert stuck.over
    ordered = sorted(lags)
    print(f"lag p50 {statistics.median(ordered):.3f} s, p99 {ordered[int(0.99 * len(ordered))]:.3f} s")
    assert ordered[int(0.99 * len(ordered))] < 5


async def test_no_more_listeners_than_may_be(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path, http_live_clients=2) as api:
        await eventually(lambda: api.parts.hub.position is not None)
        async with api.listening(), api.listening():
            await eventually(lambda: len(api.parts.hub.clients) == 2)
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with api.listening():
                    pass
            assert refused.value.response.status_code == 503


@pytest_asyncio.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    server = PostgresServer(DataFolder(tmp_path / "own"), extra=FAST)
    yield server
    await server.stop(5)


async def test_a_database_that_goes_and_comes_back_is_said_and_nothing_is_missed(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    url = await own_server.start()
    async with served(url, tmp_path) as api:
        await eventually(lambda: api.parts.hub.centre.database_up and api.parts.hub.position is not None)
        await tell(api, '{"n": 1}')
        await api.token(Role.ADMINISTRATOR)
        async with api.listening() as listener:
            seen = (await listener.snapshot())["cursor"]
            await own_server.stop(5)
            await until_beat(listener, "down")
            away = await api.ask("equipment")
            assert (away.status_code, away.json()["type"]) == (503, "urn:tiwei:problem:unavailable")
            assert (await api.ask("health/live", None)).status_code == 200
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with api.listening():
                    pass
            assert refused.value.response.status_code == 503
            assert await own_server.start() == url

            async def told() -> bool:
                try:
                    await tell(api, '{"n": 2}')
                except Exception:  # noqa: BLE001 - the pool of the test finds back like everybody's
                    return False
                return True

            await eventually_told(told, 20)
            message = await listener.next()
            assert (message["cursor"], message["body"]) == (seen + 1, {"n": 2})
            await until_beat(listener, "up")
            assert (await api.ask("equipment")).status_code == 200


async def until_beat(listener: Listener, database: str) -> None:
    while (await listener.beat())["centre"]["database"] != database:
        pass
