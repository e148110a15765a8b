"""MQTT 3.1.1 for senders only: QoS 1 with many messages in flight, a will, and a connection that comes back.

Why not a library: one process has to stand for 100,000 terminals, and a client that costs 30 µs a message cannot.
Everything a terminal needs is CONNECT, PUBLISH, PUBACK and PING; a packet is some bytes in front of the payload.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

CONNACK, PUBACK, PINGRESP = 0x20, 0x40, 0xD0
PINGREQ, DISCONNECT = b"\xc0\x00", b"\xe0\x00"
RETAIN, DUP = 0x01, 0x08
PUBLISH_QOS1 = 0x32

KEEP_ALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
#: Back-off between attempts to connect, doubled each time, with as much jitter.
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 20.0

#: How often troubles are told, s.
TROUBLES_EVERY_S = 5.0

REASONS = {1: "wrong protocol version", 2: "client id rejected", 3: "unavailable", 4: "bad login", 5: "not authorised"}


class RefusedConnectionError(Exception):
    """The broker answered and said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where to connect and as whom."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None

    @classmethod
    def at(
        cls, url: str, *, user: str | None = None, password: str | None = None, ca_file: str | None = None
    ) -> Broker:
        """From `mqtt[s]://[user:password@]host[:port]`; `user` and `password` win. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"not an MQTT address: {parts.scheme}://{parts.hostname or ''}")
        secure = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=parts.port or (8883 if secure else 1883),
            user=user or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            tls=ssl.create_default_context(cafile=ca_file) if secure else None,
        )


class Will(NamedTuple):
    topic: str
    payload: bytes
    retain: bool = True


def _text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(raw)) + raw


def varint(length: int) -> bytes:
    """The remaining length of a packet."""
    out = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)


def connect_packet(broker: Broker, client_id: str, will: Will | None) -> bytes:
    """CONNECT with a clean session: whoever only sends has nothing kept for him."""
    flags = 0x02
    body = _text(client_id)
    if will is not None:
        flags |= 0x04 | 0x08 | (0x20 if will.retain else 0)
        body += _text(will.topic) + _text(will.payload)
    if broker.user is not None:
        flags |= 0x80
        body += _text(broker.user)
        if broker.password is not None:
            flags |= 0x40
            body += _text(broker.password)
    head = _text("MQTT") + bytes((4, flags)) + struct.pack(">H", KEEP_ALIVE_S)
    return b"\x10" + varint(len(head) + len(body)) + head + body


def publish_packet(topic: bytes, payload: bytes, packet_id: int, *, retain: bool = False, dup: bool = False) -> bytes:
    first = PUBLISH_QOS1 | (RETAIN if retain else 0) | (DUP if dup else 0)
    length = 4 + len(topic) + len(payload)
    return b"".join(
        (bytes((first,)), varint(length), struct.pack(">H", len(topic)), topic, struct.pack(">H", packet_id), payload)
    )


class Session(asyncio.Protocol):
    """One connection: says hello, hands out acknowledgements, keeps itself alive, tells when it is lost."""

    def __init__(self, hello: bytes, on_acks: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop = loop
        self._hello = hello
        self._on_acks = on_acks
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ping: asyncio.TimerHandle | None = None
        self._heard = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._hello)
        self._keep_alive()

    def write(self, packets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packets)

    def close(self) -> None:
        """Leave politely: the broker does not publish the will."""
        self.write(DISCONNECT)
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Vanish: the broker publishes the will."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ping is not None:
            self._ping.cancel()
        if not self.accepted.done():
            self.accepted.set_exception(ConnectionError(str(exc or "closed before it was accepted")))
        if not self.lost.done():
            self.lost.set_result(None)
        self.writable.set()

    def _keep_alive(self) -> None:
        if self._loop.time() - self._heard > 1.5 * KEEP_ALIVE_S:
            self.abort()
            return
        if self.accepted.done():
            self.write(PINGREQ)
        self._ping = self._loop.call_later(KEEP_ALIVE_S / 3, self._keep_alive)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        buffer = self._buffer
        buffer += data
        if self.accepted.done() and len(buffer) % 4 == 0 and buffer[::4] == b"\x40" * (len(buffer) // 4):
            # nothing but acknowledgements, as nearly always
            self._on_acks(bytes(buffer))
            buffer.clear()
            return
        acks = bytearray()
        while len(buffer) >= 2 and len(buffer) >= 2 + buffer[1]:
            packet = bytes(buffer[: 2 + buffer[1]])
            del buffer[: len(packet)]
            if packet[0] == PUBACK:
                acks += packet
            elif packet[0] == CONNACK and not self.accepted.done():
                self._accept(packet[3])
        if acks:
            self._on_acks(bytes(acks))

    def _accept(self, code: int) -> None:
        if code:
            self.accepted.set_exception(RefusedConnectionError(REASONS.get(code, f"reason {code}")))
        else:
            self.accepted.set_result(None)


async def open_session(
    broker: Broker, client_id: str, on_acks: Callable[[bytes], None], will: Will | None = None
) -> Session:
    """An accepted connection. Raises OSError, TimeoutError or RefusedConnectionError."""
    loop = asyncio.get_running_loop()
    hello = connect_packet(broker, client_id, will)
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        transport, session = await loop.create_connection(
            lambda: Session(hello, on_acks), broker.host, broker.port, ssl=broker.tls
        )
        try:
            await session.accepted
        except BaseException:
            transport.abort()
            raise
    return session


class Connecting(Protocol):
    """Whoever keeps a connection: `trouble` says why there is none, and is empty while there is one."""

    trouble: str


async def tell_troubles(connecting: Sequence[Connecting], tell: Callable[[str], None]) -> None:
    """Say every few seconds what keeps connections waiting, until cancelled."""
    while True:
        await asyncio.sleep(TROUBLES_EVERY_S)
        troubles = [one.trouble for one in connecting if one.trouble]
        if troubles:
            tell(f"{len(troubles)} of {len(connecting)} connections wait for the broker: {troubles[0]}")


class Message(NamedTuple):
    topic: bytes
    payload: bytes
    retain: bool


class Publisher:
    """Messages of one sender to one broker, each at least once, in order, whatever the connection does.

    At most `in_flight` messages are unacknowledged; at most `limit` wait here while there is no way. When full, the
    oldest goes and is counted in `dropped`, as a terminal with a full memory does.
    """

    def __init__(
        self, broker: Broker, client_id: str, *, will: Will | None = None, in_flight: int = 200, limit: int = 100_000
    ) -> None:
        self.client_id = client_id
        self.will = will
        self.trouble = ""
        self.sent = self.acked = self.dropped = self.reconnects = 0
        self._broker = broker
        self._in_flight_limit = in_flight
        self._limit = limit
        self._waiting: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._packet_id = 0
        self._session: Session | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.up = asyncio.Event()

    @property
    def outstanding(self) -> int:
        """Messages not yet acknowledged."""
        return len(self._waiting) + len(self._in_flight)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Take a message; it leaves when there is room in flight."""
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(Message(topic.encode(), payload.encode(), retain))
        self._idle.clear()
        self._pump()

    def cut(self) -> None:
        """Lose the connection as a broken network does, and stay away until `restore`."""
        self._wanted.clear()
        if self._session is not None:
            self._session.abort()

    def restore(self) -> None:
        self._wanted.set()

    async def settled(self) -> None:
        """Everything taken so far is acknowledged or dropped."""
        await self._idle.wait()

    async def run(self) -> None:
        """Keep connected until cancelled, then leave politely. Raises RefusedConnectionError from the first attempt."""
        delay, first = FIRST_DELAY_S, True
        try:
            while True:
                await self._wanted.wait()
                try:
                    session = await open_session(self._broker, self.client_id, self._on_acks, self.will)
                except (OSError, RefusedConnectionError) as error:
                    if first and isinstance(error, RefusedConnectionError):
                        raise
                    self.trouble = str(error) or type(error).__name__
                    await asyncio.sleep(delay * random.uniform(1, 2))
                    delay = min(delay * 2, LONGEST_DELAY_S)
                    continue
                self.reconnects += not first
                delay, first = FIRST_DELAY_S, False
                self._take_up(session)
                await session.lost
                self._session = None
                self.up.clear()
                await asyncio.sleep(random.uniform(0, FIRST_DELAY_S))
        finally:
            if self._session is not None:
                self._session.close()

    def _take_up(self, session: Session) -> None:
        """A new connection: what was in flight on the old one goes again, first."""
        self._session = session
        self.trouble = ""
        for packet_id, message in self._in_flight.items():
            session.write(publish_packet(message.topic, message.payload, packet_id, retain=message.retain, dup=True))
        self.up.set()
        self._pump()

    def _pump(self) -> None:
        session = self._session
        if session is None:
            return
        packets = []
        while self._waiting and len(self._in_flight) < self._in_flight_limit:
            message = self._waiting.popleft()
            packet_id = self._next_id()
            self._in_flight[packet_id] = message
            packets.append(publish_packet(message.topic, message.payload, packet_id, retain=message.retain))
        if packets:
            self.sent += len(packets)
            session.write(b"".join(packets))

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in self._in_flight:
                return self._packet_id

    def _on_acks(self, acks: bytes) -> None:
        for at in range(2, len(acks), 4):
            with suppress(KeyError):
                del self._in_flight[acks[at] << 8 | acks[at + 1]]
                self.acked += 1
        self._pump()
        if not self._in_flight and not self._waiting:
            self._idle.set()
