"""The centre's ear: two persistent MQTT sessions, acknowledged by hand after commit.

Two, because a broker delivers one session in order: an alarm must not wait behind a million samples.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import structlog

from monitor.adapters.mqtt_connection import Broker, Chunk, Connection
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.messages.decode import Inbound

#: Filters of the two sessions (protocol §1). A ride is long and nobody waits for it within a second.
TELEMETRY: Final = ("se/v1/+/+/+/status", "se/v1/+/+/+/ride")
URGENT: Final = ("se/v1/+/+/+/event", "se/v1/+/+/+/link", "calls/v1/+/+", "firms/v1/+/actions")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What may wait here unacknowledged, a session; above it the socket is not read and the broker keeps the rest."""

    messages: int = 50_000
    size: int = 64 * 1024 * 1024
    #: Longest pause between two attempts to connect.
    back_off_s: float = 20.0
    #: The broker's `ack_wait`: so long we stay away after a connection was lost. NATS, when it gets us back sooner,
    #: delivers what is new first and repeats the old afterwards, and what comes late is history, not the present.
    redelivery_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Messages in the order of their receipt, and what it takes to acknowledge them."""

    messages: Sequence[Inbound]
    chunks: tuple[Chunk, ...] = ()


class _Session:
    """One persistent session: its filters, its present connection, what it received and is not acknowledged."""

    def __init__(
        self, name: str, filters: Sequence[str], bounds: Bounds, on_arrival: Callable[[_Session], None]
    ) -> None:
        self.name = name
        self.filters = filters
        self.connection: Connection | None = None
        self.subscribed = False
        #: Attempts to connect since the last that succeeded, and when, on the loop's clock, the next may be.
        self.attempts = 0
        self.not_before = 0.0
        self.held_messages = 0
        self.count = self.size = 0
        self._waiting: deque[Chunk] = deque()
        self._held_size = 0
        self._bounds = bounds
        self._on_arrival = on_arrival

    def arrived(self, chunk: Chunk) -> None:
        if chunk.connection is not self.connection:
            return
        self._waiting.append(chunk)
        self.count += len(chunk.messages)
        self.size += chunk.size
        self._hold(len(chunk.messages), chunk.size)
        self._on_arrival(self)

    def take(self, messages: int, size: int) -> list[Chunk]:
        """Whole chunks up to the first that reaches either bound."""
        taken: list[Chunk] = []
        while self._waiting and messages > 0 and size > 0:
            one = self._waiting.popleft()
            messages -= len(one.messages)
            size -= one.size
            self.count -= len(one.messages)
            self.size -= one.size
            taken.append(one)
        return taken

    def release(self, chunk: Chunk) -> None:
        """The chunk is acknowledged: there is room again."""
        if chunk.connection is self.connection:
            self._hold(-len(chunk.messages), -chunk.size)

    def drop(self) -> None:
        """The connection is gone and with it its packet ids: what nobody took yet is delivered again."""
        self.connection = None
        self._waiting.clear()
        self.count = self.size = self.held_messages = self._held_size = 0

    def _hold(self, messages: int, size: int) -> None:
        self.held_messages += messages
        self._held_size += size
        full = self.held_messages >= self._bounds.messages or self._held_size >= self._bounds.size
        if self.connection is not None:
            self.connection.read_on(not full)


class MqttSource:
    """Messages from the broker until they are acknowledged. Run `run` as a task; it connects and connects again."""

    def __init__(self, broker: Broker, clock: Callable[[], int], bounds: Bounds | None = None) -> None:
        self._broker = broker
        self._clock = clock
        self._bounds = bounds or Bounds()
        self._telemetry = _Session("telemetry", TELEMETRY, self._bounds, self._on_arrival)
        self._urgent = _Session("urgent", URGENT, self._bounds, self._on_arrival)
        self._sessions = (self._urgent, self._telemetry)
        self._arrival = asyncio.Event()
        self._enough = 1
        self._enough_size: int | None = None
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._suspended = asyncio.Event()
        self._complete = asyncio.Event()
        self._hearing = False
        self._deaf_since_ms: int | None = clock()

    # --- for the batch loop ---

    @property
    def hearing(self) -> bool:
        """Whether telemetry reaches us now."""
        return self._hearing

    @property
    def count(self) -> int:
        """Messages received and not taken."""
        return self._telemetry.count + self._urgent.count

    @property
    def held(self) -> int:
        """Messages received on present connections and not acknowledged."""
        return sum(session.held_messages for session in self._sessions)

    async def subscribed(self) -> None:
        """Return once the broker holds all our subscriptions: what is published from then on reaches us in the end."""
        await self._complete.wait()

    def collect_outage(self) -> int | None:
        """Since when telemetry did not reach us, if that was so at any time since the last call; ms, our clock."""
        since = self._deaf_since_ms
        if self._hearing:
            self._deaf_since_ms = None
        return since

    async def wait(self, count: int, timeout_s: float, size: int | None = None) -> bool:
        """Wait until `count` messages or `size` bytes of them can be taken; False after `timeout_s`."""
        self._enough, self._enough_size = count, size
        if self._is_enough():
            return True
        self._arrival.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._arrival.wait()
        return self._is_enough()

    def _is_enough(self) -> bool:
        if self.count >= self._enough:
            return True
        return self._enough_size is not None and sum(one.size for one in self._sessions) >= self._enough_size

    def take(self, messages: int, size: int) -> Delivery:
        """What waits, about `messages` or `size` bytes of it, by time of receipt; the urgent before any backlog."""
        urgent = self._urgent.take(messages, size)
        telemetry = self._telemetry.take(messages, size)
        together = [message for chunk in (*telemetry, *urgent) for message in chunk.messages]
        if urgent and telemetry:
            together.sort(key=attrgetter("received_ms"))
        return Delivery(messages=together, chunks=(*urgent, *telemetry))

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker to forget these. Packet ids of a connection that is gone are void and not sent."""
        for session in self._sessions:
            present = session.connection
            mids = [mid for one in delivery.chunks if one.connection is present for mid in one.mids if mid]
            if present is not None and mids:
                present.acknowledge(mids)
            for chunk in delivery.chunks:
                session.release(chunk)

    def suspend(self) -> None:
        """Leave the broker, keep the sessions: what is not acknowledged is not sent again until `resume`."""
        self._allowed.clear()
        self._suspended.set()

    def resume(self) -> None:
        """Come back after `suspend`."""
        self._suspended.clear()
        self._allowed.set()

    def left_just_now(self) -> None:
        """Before `run`: these sessions may have had a connection until a moment ago, which left things undelivered."""
        for session in self._sessions:
            session.not_before = asyncio.get_running_loop().time() + self._bounds.redelivery_s

    # --- the connections ---

    async def run(self) -> None:
        """Keep both sessions connected until cancelled. Raises RefusedError when the broker denies a subscription."""
        try:
            async with asyncio.TaskGroup() as group:
                for session in self._sessions:
                    group.create_task(self._keep(session), name=f"mqtt {session.name}")
        except* RefusedError as refused:
            raise refused.exceptions[0] from None

    async def _keep(self, session: _Session) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._allowed.wait()
            await asyncio.sleep(session.not_before - loop.time())
            try:
                await self._serve(session)
            except UnavailableError as error:
                pause_s = min(self._bounds.back_off_s, 0.1 * 2 ** min(session.attempts, 12))
                pause_s *= random.uniform(0.5, 1.0)  # noqa: S311
                session.not_before = max(session.not_before, loop.time() + pause_s)
                session.attempts += 1
                _log.warning(
                    "the broker is not reached" if session.attempts > 1 else "the broker was lost",
                    broker=f"{self._broker.host}:{self._broker.port}",
                    session=session.name,
                    why=str(error),
                    again_s=round(session.not_before - loop.time(), 1),
                )

    async def _serve(self, session: _Session) -> None:
        """One connection from beginning to end; returns when we are suspended."""
        connection = session.connection = Connection(self._broker, session.name, self._clock, session.arrived)
        opened = False
        try:
            await connection.open()
            opened, session.attempts = True, 0
            _not_cancelled()
            # Once a process and whenever the broker forgot us: each time brings all retained links again.
            if not (session.subscribed and connection.resumed_session):
                await connection.subscribe(session.filters)
                _not_cancelled()
                session.subscribed = True
                if all(one.subscribed for one in self._sessions):
                    self._complete.set()
            self._heard(session)
            _log.info("connected to the broker", session=session.name, resumed=connection.resumed_session)
            await self._until_suspended(connection)
        finally:
            if opened:
                session.not_before = asyncio.get_running_loop().time() + self._bounds.redelivery_s
            session.drop()
            self._lost(session)
            await connection.close()

    async def _until_suspended(self, connection: Connection) -> None:
        ended = asyncio.ensure_future(connection.ended())
        suspended = asyncio.ensure_future(self._suspended.wait())
        try:
            await asyncio.wait((ended, suspended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
        finally:
            ended.cancel()
            suspended.cancel()
            await asyncio.gather(ended, suspended, return_exceptions=True)

    # --- what happens on the way ---

    def _on_arrival(self, session: _Session) -> None:
        self._heard(session)
        if self._is_enough():
            self._arrival.set()

    def _heard(self, session: _Session) -> None:
        if session is self._telemetry:
            self._hearing = True

    def _lost(self, session: _Session) -> None:
        if session is self._telemetry and self._hearing:
            self._hearing = False
            if self._deaf_since_ms is None:
                self._deaf_since_ms = self._clock()


def _not_cancelled() -> None:
    """Raise the cancellation that `asyncio.wait_for` of Python 3.11 swallows when it comes along with the result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
