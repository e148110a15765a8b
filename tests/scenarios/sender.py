"""A sender that loses nothing: QoS 1 over a bare socket, everything unacknowledged is sent again after a loss."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from contextlib import suppress
from urllib.parse import unquote, urlsplit

_WINDOW = 2_000


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value.encode())) + value.encode()


class Sender:
    """Sends what `put` lays in, in that order, until the broker has acknowledged it. Run `run` as a task."""

    def __init__(self, url: str, name: str) -> None:
        self._parts = urlsplit(url)
        self._name = name
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._sent: deque[tuple[str, bytes]] = deque()
        self._first_id = 0
        self._news = asyncio.Event()
        #: Messages that the broker acknowledged.
        self.acknowledged = 0

    def put(self, topic: str, payload: bytes) -> None:
        self._waiting.append((topic, payload))
        self._news.set()

    @property
    def left(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return len(self._waiting) + len(self._sent)

    async def run(self) -> None:
        while True:
            with suppress(OSError, EOFError, asyncio.IncompleteReadError):
                await self._serve()
            await asyncio.sleep(0.1)

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        try:
            user, password = unquote(self._parts.username or ""), unquote(self._parts.password or "")
            body = _text("MQTT") + b"\x04\xc2\0\0" + _text(self._name) + _text(user) + _text(password)
            writer.write(b"\x10" + _length(len(body)) + body)
            if (await reader.readexactly(4))[3]:
                raise ConnectionError("refused")
            for place, message in enumerate(self._sent):
                writer.write(self._packet(self._first_id + place, message, again=True))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(writer))
                group.create_task(self._listen(reader))
        except* (OSError, EOFError) as error:
            raise ConnectionError(str(error)) from None
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            while self._waiting and len(self._sent) < _WINDOW:
                message = self._waiting.popleft()
                self._sent.append(message)
                writer.write(self._packet(self._first_id + len(self._sent) - 1, message, again=False))
            await writer.drain()
            self._news.clear()
            await self._news.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            (packet_id,) = struct.unpack(">H", (await reader.readexactly(4))[2:])
            # The broker acknowledges in the order of sending; after a restart it may begin anew.
            if self._sent and packet_id == self._first_id % 65_535 + 1:
                self._sent.popleft()
                self._first_id += 1
                self.acknowledged += 1
                self._news.set()

    def _packet(self, number: int, message: tuple[str, bytes], *, again: bool) -> bytes:
        topic, payload = message
        body = _text(topic) + struct.pack(">H", number % 65_535 + 1) + payload
        return bytes([0x32 | again << 3]) + _length(len(body)) + body
