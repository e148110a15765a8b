"""What api/live_protocol.py takes for granted of uvicorn and websockets; fails when upstream changes."""

from __future__ import annotations

import asyncio
import socket

import pytest

from api.live_protocol import text_frame
from monitor.domain.access import Role
from tests.api.served import Served
from tests.api.test_crowd import stuck_socket
from tests.waiting import eventually


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
def test_a_frame_made_once_is_what_a_server_sends(size: int) -> None:
    octets = b"x" * size
    if size < 126:
        length = bytes([size])
    elif size < 65_536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    assert text_frame(octets) == b"\x81" + length + octets


def everything(stuck: socket.socket) -> None:
    while stuck.recv(1 << 20):
        pass


async def test_a_connection_that_takes_nothing_is_cut_within_seconds(own_api: Served) -> None:
    hub = own_api.parts.hub
    with stuck_socket(own_api, await own_api.token(Role.OPERATOR)) as stuck:
        await eventually(lambda: len(hub.clients) == 1)
        (client,) = hub.clients
        await eventually(lambda: client.position is not None)
        connection = client._connection
        connection.write_frame(text_frame(b"x" * 20_000_000))
        await eventually(lambda: not connection.writable.is_set())
        began = asyncio.get_running_loop().time()
        client.cut(4408, "too slow")
        assert client.over
        await eventually(lambda: not hub.clients, 5)
        assert asyncio.get_running_loop().time() - began < 4
        stuck.settimeout(5)
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(everything, stuck)


async def test_a_connection_that_takes_what_is_written_gets_the_reason(own_api: Served) -> None:
    async with own_api.listening() as listener:
        await listener.snapshot()
        (client,) = own_api.parts.hub.clients
        client.cut(4408, "too slow")
        assert await listener.closed(5) == (4408, "too slow")
    await eventually(lambda: not own_api.parts.hub.clients, 5)
