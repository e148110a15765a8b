"""The hub: one reader of the change feed for all who listen, snapshots for those who begin, a beat for everybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from api import frames
from api.centre import CentreState
from api.client import Client
from api.frames import Telling
from monitor.adapters.feed import AT_ONCE, Feed
from monitor.adapters.pool import Database
from monitor.adapters.snapshots import snapshot
from monitor.domain.access import Scope
from monitor.domain.errors import CursorTooOldError, UnavailableError

BEAT_S = 2.0
#: A snapshot serves everybody of its scope who comes so soon after it, s: after a restart they all come at once.
SNAPSHOT_S = 2.0
SNAPSHOTS_AT_ONCE = 2
AGAIN_S = 0.5
RESTART = 1012
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A snapshot as frames."""

    at: float
    position: int
    frames: tuple[bytes, ...]


class Hub:
    """Who listens, and what they are told."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._feed = Feed(database)
        self.centre = CentreState(database, clock)
        self.clients: set[Client] = set()
        self._told: dict[Scope, set[Client]] = {}
        #: Everything up to here was handed to those who are told; None before the feed was reached.
        self.position: int | None = None
        self._made: dict[Scope, Made] = {}
        self._making: dict[Scope, asyncio.Lock] = {}
        self._free = asyncio.Semaphore(SNAPSHOTS_AT_ONCE)
        self._beat_now = asyncio.Event()

    # --- tasks ---

    async def follow(self) -> None:
        """Tell every change as it is committed, for ever."""
        while True:
            try:
                self.position = await self._feed.position()
                async with aclosing(self._feed.follow(self.position)) as changes:
                    async for change in changes:
                        self._tell(Telling(change), change.position)
            except UnavailableError:
                await asyncio.sleep(AGAIN_S)
            except CursorTooOldError as error:
                _log.warning("the feed went on without us: everybody begins anew", why=str(error))
                for client in tuple(self.clients):
                    client.cut(RESTART, "begin anew")

    async def beat(self) -> None:
        """A sign of life for everybody every BEAT_S, and at once when the centre's state changes."""
        while True:
            self._beat_now.clear()
            now, centre = self._clock(), self.centre.body()
            told, unsaid = frames.beat(now, self.position, centre), frames.beat(now, None, centre)
            for client in tuple(self.clients):
                client.offer(told if self._level(client) else unsaid)
                client.look()
            self._forget_snapshots()
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._beat_now.wait()
            except TimeoutError:
                continue

    async def watch_centre(self) -> None:
        """Look how the centre is, for ever."""
        await self.centre.watch(self._beat_now.set)

    def _level(self, client: Client) -> bool:
        """Whether it was told everything up to the hub's position, and nothing after."""
        return client.position is not None and self.position is not None and client.position <= self.position

    def _tell(self, telling: Telling, position: int) -> None:
        self.position = position
        for scope, clients in self._told.items():
            frame = telling.frame(scope)
            for client in clients:
                if client.position is None or client.position >= position:
                    continue
                client.position = position
                if frame is not None:
                    client.offer(frame)

    # --- one listener ---

    def greet(self, client: Client) -> None:
        """It gets beats from now on."""
        self.clients.add(client)
        self._beat_now.set()

    def leave(self, client: Client) -> None:
        """It gets nothing any more."""
        self.clients.discard(client)
        of_scope = self._told.get(client.scope, set())
        of_scope.discard(client)
        if not of_scope:
            self._told.pop(client.scope, None)

    async def bring_up(self, client: Client, cursor: int | None) -> None:
        """Tell it what it has missed since `cursor`, or all there is, and from then on every change, none twice.

        Goes on trying while the database is away.
        """
        position = cursor
        begun = False
        while not client.over:
            try:
                if position is None:
                    made = await self._snapshot(client.scope)
                    await client.send(made.frames)
                    position, begun = made.position, True
                changes = await self._feed.after(position)
            except UnavailableError:
                await asyncio.sleep(AGAIN_S)
                continue
            except CursorTooOldError:
                position = None
                self._made.pop(client.scope, None)
                continue
            if not begun:
                await client.send((frames.resumed(self._clock(), position),))
                begun = True
            told = (Telling(change).frame(client.scope) for change in changes)
            await client.send(frame for frame in told if frame is not None)
            position = changes[-1].position if changes else position
            # Nothing is awaited between this look and joining: what comes after `position` comes by the hub.
            if len(changes) < AT_ONCE and self.position is not None and self.position <= position:
                client.position = position
                self._told.setdefault(client.scope, set()).add(client)
                return

    async def _snapshot(self, scope: Scope) -> Made:
        """A snapshot not older than SNAPSHOT_S, made once for all who ask meanwhile."""
        async with self._making.setdefault(scope, asyncio.Lock()):
            made = self._made.get(scope)
            if made is None or time.monotonic() - made.at > SNAPSHOT_S:
                async with self._free:
                    made = await self._make(scope)
                self._made[scope] = made
            return made

    async def _make(self, scope: Scope) -> Made:
        at = time.monotonic()
        found: list[bytes] = []
        async with snapshot(self._database, scope) as whole:
            async for piece in whole.pieces():
                if found:
                    found.append(frames.equipment(piece))
                else:
                    found.append(self._head(whole.position, whole.incidents, whole.faults, piece))
                await asyncio.sleep(0)
            if not found:
                found.append(self._head(whole.position, whole.incidents, whole.faults, []))
        return Made(at=at, position=whole.position, frames=(*found, frames.ready(whole.position)))

    def _head(self, position: int, incidents: object, faults: object, equipment: object) -> bytes:
        parts = {"incidents": incidents, "faults": faults, "equipment": equipment}
        return frames.snapshot_head(self._clock(), position, self.centre.body(), parts)

    def _forget_snapshots(self) -> None:
        now = time.monotonic()
        for scope in [one for one, made in self._made.items() if now - made.at > SNAPSHOT_S]:
            del self._made[scope]
        for scope in [one for one, lock in self._making.items() if not lock.locked() and one not in self._made]:
            del self._making[scope]
