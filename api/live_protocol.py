"""uvicorn's WebSocket protocol with what ASGI has no word for.

A frame that is the same for hundreds of clients is made once and written as it is; whether a client takes what is
written can be seen; and a connection that takes nothing any more can be ended: `cut` sends the close frame past
everything that waits for room, and aborts when even that cannot leave. The connection stands in the state of the
WebSocket's scope. This is the one file that reaches into uvicorn; tests/api/test_live_protocol.py holds it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import suppress
from typing import Protocol

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

#: How long a close frame may take to leave, s.
LEAVE_S = 1.0
GOING_AWAY = 1001
NO_ANSWER = 1011
#: Where the scope's state has the connection.
STATE_KEY = "live_connection"


class Connection(Protocol):
    """What the hub needs of a connection."""

    writable: asyncio.Event

    @property
    def over(self) -> bool: ...
    def write_frame(self, frame: bytes) -> None: ...
    def cut(self, code: int, reason: str) -> None: ...


def text_frame(octets: bytes) -> bytes:
    """A whole unmasked text frame, as a server sends it without compression."""
    return Frame(Opcode.TEXT, octets).serialize(mask=False)


class LiveProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    def handle_connect(self, event: Request) -> None:
        """Begin; the app's task runs only afterwards, and finds us."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"][STATE_KEY] = self

    async def send(self, message: ASGISendEvent) -> None:
        """As upstream, which takes a refused handshake for one that nobody answered, and logs an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    @property
    def over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def write_frame(self, frame: bytes) -> None:
        """Write a frame of `text_frame`, waiting for nothing; `writable` says whether that is wise."""
        if not self.over:
            self.transport.write(frame)

    def cut(self, code: int, reason: str) -> None:
        """End the connection now: a close frame if it can leave within LEAVE_S, the connection in any case."""
        if self.disconnected:
            return
        if self.over:
            self._abort()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # Upstream closes the transport when the app's task is over, unless a timer waits for the peer's close frame.
        self.close_timer = self.loop.call_later(LEAVE_S, self._abort)

    def _abort(self) -> None:
        """Let go at once, in the kernel too, which would otherwise keep offering what nobody takes."""
        with suppress(OSError), socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """A ping was not answered."""
        self.pong_timer = None
        self.pending_ping_payload = None
        self.cut(NO_ANSWER, "a ping was not answered")

    def shutdown(self) -> None:
        """The process ends: whoever is connected is told that we go away."""
        if self.handshake_complete and not self.over:
            self.cut(GOING_AWAY, "the server ends")
        else:
            super().shutdown()
