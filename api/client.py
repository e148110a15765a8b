"""One listener of the live feed: frames in, at its own pace out, and never more than so far behind."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from api.live_protocol import Connection
from monitor.domain.access import Scope

TOO_SLOW = 4408
#: Frames and octets that may wait for one listener, and for how long one may take nothing at all, s.
MOST_FRAMES = 1_000
MOST_OCTETS = 16 * 1024 * 1024
LONGEST_S = 10.0


class Client:
    """A connection with what waits for it. Whoever falls too far behind is cut off; nobody waits for it."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self.scope = scope
        #: Everything up to this position of the feed was told or handed over; None before that begins.
        self.position: int | None = None
        self._connection = connection
        self._waiting: deque[bytes] = deque()
        self._octets = 0
        self._more = asyncio.Event()
        self._stuck_since: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing reaches it any more."""
        return self._connection.over

    def offer(self, frame: bytes) -> None:
        """Send now if there is room, later if not; waits for nothing."""
        if self.over:
            return
        if not self._waiting and self._connection.writable.is_set():
            self._connection.write_frame(frame)
            return
        self._waiting.append(frame)
        self._octets += len(frame)
        self._more.set()
        if len(self._waiting) > MOST_FRAMES or self._octets > MOST_OCTETS:
            self.cut(TOO_SLOW, "too slow")

    async def send(self, frames: Iterable[bytes]) -> None:
        """Send what may be much, at the listener's pace; cuts it off where it takes nothing for LONGEST_S."""
        for frame in frames:
            try:
                async with asyncio.timeout(LONGEST_S):
                    while self._waiting:
                        await self._connection.writable.wait()
                        self._pass_one()
                        await asyncio.sleep(0)
                    await self._connection.writable.wait()
            except TimeoutError:
                self.cut(TOO_SLOW, "too slow")
            if self.over:
                return
            self._connection.write_frame(frame)
            # The transport tells whether it is full only when the loop has come round.
            await asyncio.sleep(0)

    async def drain(self) -> None:
        """Pass on what waits, for ever."""
        while True:
            await self._more.wait()
            await self._connection.writable.wait()
            self._pass_one()
            await asyncio.sleep(0)

    def look(self) -> None:
        """Cut it off where it has been taking nothing for too long; to be asked now and then."""
        now = time.monotonic()
        if self._connection.writable.is_set():
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > LONGEST_S:
            self.cut(TOO_SLOW, "too slow")

    def cut(self, code: int, reason: str) -> None:
        """End the connection."""
        self._waiting.clear()
        self._octets = 0
        self._connection.cut(code, reason)

    def _pass_one(self) -> None:
        if self.over:
            self._waiting.clear()
        if self._waiting:
            frame = self._waiting.popleft()
            self._octets -= len(frame)
            self._connection.write_frame(frame)
        if not self._waiting:
            self._octets = 0
            self._more.clear()
