"""A connection for throughput: packets come as rows of bytes, thousands of them are in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.mqtt import Broker, Session, open_session

Bytes = NDArray[np.uint8]

#: Packet ids of MQTT are 1 to this.
IDS = 65_535
#: Packets written at one go, at most.
BURST = 2_000


class Burst(NamedTuple):
    """Packets in flight: numbers [first, first + len) of this sender."""

    first: int
    rows: Bytes


class Sender:
    """One connection with thousands of packets in flight; what is unacknowledged goes again on a new connection."""

    def __init__(self, broker: Broker, client_id: str, *, in_flight: int) -> None:
        self.sent = self.acked = self.resent = self.reconnects = 0
        self.trouble = ""
        self._broker = broker
        self._client_id = client_id
        self._limit = min(in_flight, IDS - BURST)
        self._open = np.zeros(IDS + 1, bool)
        self._kept: deque[Burst] = deque()
        self._session: Session | None = None
        self._room = asyncio.Event()
        self._last_ids = np.zeros(0, np.int64)

    @property
    def outstanding(self) -> int:
        return self.sent - self.acked

    async def room(self, number: int) -> None:
        """Until `number` packets more may be in flight on a connection that takes them."""
        while self._session is None or self._session.lost.done() or not self._free(number):
            if self._session is None or self._session.lost.done():
                await self._connect()
                continue
            self._room.clear()
            waiting = asyncio.ensure_future(self._room.wait())
            await asyncio.wait((waiting, self._session.lost), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        await self._session.writable.wait()

    def _free(self, number: int) -> bool:
        """Ids are used in turn: the span from the oldest open one must leave room."""
        while self._kept:
            oldest = self._kept[0]
            ids = self._ids(oldest.first, len(oldest.rows))
            if self._open[ids].any():
                break
            self._kept.popleft()
        first = self._kept[0].first if self._kept else self.sent
        return self.sent + number - first <= IDS and self.outstanding + number <= max(self._limit, number)

    @staticmethod
    def _ids(first: int, number: int) -> NDArray[np.int64]:
        return (first + np.arange(number)) % IDS + 1

    def send(self, rows: Bytes, id_column: int) -> None:
        """Write packets; there must be room."""
        ids = self._ids(self.sent, len(rows))
        rows = rows.copy()
        rows[:, id_column] = ids >> 8
        rows[:, id_column + 1] = ids & 0xFF
        self._open[ids] = True
        self._kept.append(Burst(self.sent, rows))
        self.sent += len(rows)
        assert self._session is not None
        self._session.write(rows.tobytes())

    def _on_acks(self, acks: bytes) -> None:
        fresh = np.frombuffer(acks, np.uint8).reshape(-1, 4)
        ids = fresh[:, 2].astype(np.int64) << 8 | fresh[:, 3]
        self.acked += int(self._open[ids].sum())
        self._open[ids] = False
        self._room.set()

    async def _connect(self) -> None:
        delay = 0.2
        while True:
            try:
                self._session = await open_session(self._broker, self._client_id, self._on_acks)
                break
            except OSError as error:
                self.trouble = str(error) or type(error).__name__
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
        self.trouble = ""
        self.reconnects += self.sent > 0
        for burst in self._kept:
            rows = burst.rows[self._open[self._ids(burst.first, len(burst.rows))]]
            if len(rows):
                again = rows.copy()
                again[:, 0] |= 0x08
                self.resent += len(again)
                self._session.write(again.tobytes())

    async def drained(self) -> None:
        """Until everything is acknowledged."""
        while self.outstanding:
            await self.room(0)
            self._room.clear()
            if self.outstanding and self._session is not None:
                waiting = asyncio.ensure_future(self._room.wait())
                await asyncio.wait((waiting, self._session.lost), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
