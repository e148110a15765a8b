"""uvicorn's WebSocket protocol with what ASGI has no word for: ending a connection that takes nothing any more.

`cut(code, reason)`, found in the connection's state, sends the close frame past everything that waits for room, and
aborts the transport when it cannot leave. This is the one file that reaches into uvicorn; tests/api holds it.
"""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

#: How long a close frame may take to leave, s.
LEAVE_S = 1.0
GOING_AWAY = 1001


class LiveProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    def handle_connect(self, event: Request) -> None:
        """Begin; the app's task runs only afterwards, and finds `cut`."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"]["cut"] = self.cut

    def cut(self, code: int, reason: str) -> None:
        """End the connection now: a close frame if it can leave within LEAVE_S, in any case the connection."""
        if self.close_sent or self.transport.is_closing():
            self.transport.abort()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.loop.call_later(LEAVE_S, self.transport.abort)

    def shutdown(self) -> None:
        """The process ends: whoever is connected is told that we go away."""
        if self.handshake_complete and not self.close_sent:
            self.cut(GOING_AWAY, "the server ends")
            self.transport.close()
        else:
            super().shutdown()
