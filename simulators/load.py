"""Throughput: samples of a hundred thousand lifts from one process, packets made by the thousand in numpy.

Every lift is a row of bytes; what changes from sample to sample has a fixed place and width in it. The lifts live a
simple life in which nothing goes wrong: rest at a floor, open with somebody inside, ride, open at another floor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.fleet import DIVISION
from simulators.mqtt import Broker, RefusedConnectionError, Session, open_session, varint
from simulators.scenario import Load

Bytes = NDArray[np.uint8]

IDS = 65_535
#: How long the end waits for acknowledgements, s.
DRAIN_S = 30.0
#: Packets written at one go, at most.
BURST = 2_000
#: The states of a lift's day in samples ten seconds apart: car_status, direction, zone, door closed, passenger, place.
#: place: 0 the lower floor, 1 between, 2 the upper floor.
LIFE = np.array(
    [
        (0, 0, 1, 1, 0, 0),
        (0, 0, 1, 1, 0, 0),
        (0, 0, 1, 1, 0, 0),
        (0, 0, 1, 0, 1, 0),
        (1, 1, 0, 1, 1, 1),
        (0, 0, 1, 0, 0, 2),
        (0, 0, 1, 1, 0, 2),
        (0, 0, 1, 1, 0, 2),
        (0, 0, 1, 1, 0, 2),
        (0, 0, 1, 0, 1, 2),
        (1, 2, 0, 1, 1, 1),
        (0, 0, 1, 0, 0, 0),
    ],
    dtype=np.uint8,
)
LOWER, UPPER, STOREY_M = 3, 12, 3.0


def equipment_id(number: int) -> str:
    """The registration code of a lift of the load."""
    return f"3110{DIVISION}2020{number:06d}"


def registry(lifts: int) -> list[dict[str, object]]:
    """The load's lifts as protocol §8 registers them."""
    return [
        {
            "equipment_id": equipment_id(n),
            "division": DIVISION,
            "kind": "lift",
            "rescue_code": f"{n:06d}",
            "bottom_floor": 1,
            "top_floor": 18,
            "floor_height_m": STOREY_M,
            "rated_speed_mps": 1.75,
        }
        for n in range(lifts)
    ]


#: One object, with the widths of what changes; `position_m` and `speed_mps` are chosen to keep theirs.
_OBJECT = (
    '{{{head}"ts":%13d,"seq":%8d,"service_mode":1,"car_status":%1d,"car_direction":%1d,"door_zone":%1d,'
    '"car_position":%2d,"door_closed":%1d,"passenger":%1d,"speed_mps":%4s,"position_m":%6s,"power":1,'
    '"run_count":%7d}}'
)


class Fields:
    """Where the changing fields of an object are, as column ranges of its bytes."""

    def __init__(self, template: str) -> None:
        self.start = {}
        for name, width in (
            ("ts", 13),
            ("seq", 8),
            ("car_status", 1),
            ("car_direction", 1),
            ("door_zone", 1),
            ("car_position", 2),
            ("door_closed", 1),
            ("passenger", 1),
            ("speed_mps", 4),
            ("position_m", 6),
            ("run_count", 7),
        ):
            at = template.index(f'"{name}":') + len(name) + 3
            self.start[name] = slice(at, at + width)


def _digits(values: NDArray[np.int64], width: int) -> Bytes:
    """The last `width` decimal digits: (n, width) bytes."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)


class Fleet:
    """The objects of `numbers`, one row each, and their lives. `ids`: whether each object names its equipment."""

    def __init__(self, numbers: NDArray[np.int64], *, ids: bool) -> None:
        blank = _OBJECT.format(head='"equipment_id":"%s",' if ids else "")
        zeros = (0,) * 8 + ("0.00", "0.000", 0)
        texts = [(blank % ((equipment_id(int(n)), *zeros) if ids else zeros)) for n in numbers]
        self._fields = Fields(texts[0])
        self.rows: Bytes = np.frombuffer("".join(texts).encode(), np.uint8).reshape(len(numbers), -1).copy()
        self._numbers = numbers
        self._samples = np.zeros(len(numbers), np.int64)

    def sample(self, which: slice, now_ms: int) -> Bytes:
        """The next sample of the rows `which`, at `now_ms`."""
        rows, fields = self.rows[which], self._fields.start
        self._samples[which] += 1
        seq = self._samples[which]
        step = seq + self._numbers[which]
        life = LIFE[step % len(LIFE)]
        rows[:, fields["ts"]] = np.frombuffer(b"%13d" % now_ms, np.uint8)
        # counted from where no leading zero is needed
        rows[:, fields["seq"]] = _digits(10_000_000 + seq, 8)
        rows[:, fields["run_count"]] = _digits(1_000_000 + step // 6, 7)
        for n, name in enumerate(("car_status", "car_direction", "door_zone", "door_closed", "passenger")):
            rows[:, fields[name]] = (life[:, n] + ord("0"))[:, None]
        rows[:, fields["car_position"]] = FLOORS[life[:, 5]]
        rows[:, fields["speed_mps"]] = SPEEDS[life[:, 0]]
        rows[:, fields["position_m"]] = HEIGHTS[life[:, 5]]
        return rows


def _table(*texts: str) -> Bytes:
    return np.array([list(text.encode()) for text in texts], np.uint8)


FLOORS = _table(f"{LOWER:2d}", f"{(LOWER + UPPER) // 2:2d}", f"{UPPER:2d}")
SPEEDS = _table("0.00", "1.75")
HEIGHTS = _table(
    f"{(LOWER - 1) * STOREY_M:6.3f}", f"{(LOWER + UPPER) / 2 * STOREY_M - 2.5:6.3f}", f"{(UPPER - 1) * STOREY_M:6.3f}"
)


def packets(topics: list[bytes], payloads: Bytes) -> tuple[Bytes, int]:
    """PUBLISH packets of equal length, QoS 1, and the column where their two bytes of packet id are."""
    length = 4 + len(topics[0]) + payloads.shape[1]
    head = bytes((0x32,)) + varint(length) + len(topics[0]).to_bytes(2, "big")
    heads = np.frombuffer(b"".join(head + topic + b"\0\0" for topic in topics), np.uint8).reshape(len(topics), -1)
    return np.hstack((heads, payloads)), heads.shape[1] - 2


class Burst(NamedTuple):
    """Packets in flight: numbers [first, first + len) of this sender."""

    first: int
    rows: Bytes


class Sender:
    """One connection with thousands of packets in flight; what is unacknowledged goes again on a new connection."""

    def __init__(self, broker: Broker, client_id: str, *, in_flight: int) -> None:
        self.sent = self.acked = self.resent = self.reconnects = 0
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
            except OSError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """`messages` and `samples` acknowledged within `seconds`; `sent` includes what never was."""

    sent: int
    acked: int
    resent: int
    samples: int
    seconds: float
    behind_s: float

    @property
    def per_second(self) -> float:
        return self.acked / self.seconds if self.seconds else 0.0


class Share:
    """The part of the load that one connection carries, in slots of the period."""

    def __init__(self, load: Load, connection: int) -> None:
        numbers = np.arange(connection, load.lifts, load.connections, dtype=np.int64)
        self.batch = load.batch
        if self.batch > 1:
            numbers = numbers[: len(numbers) // self.batch * self.batch]
        self.lifts = len(numbers)
        self._fleet = Fleet(numbers, ids=self.batch > 1)
        prefix = f"se/v1/{DIVISION}/lift/"
        if self.batch > 1:
            self._topics = [f"{prefix}@load-{connection:02d}/status".encode()]
        else:
            self._topics = [f"{prefix}{equipment_id(int(n))}/status".encode() for n in numbers]

    def make(self, which: slice, now_ms: int) -> tuple[Bytes, int]:
        """Packets with the next sample of the lifts `which` (a multiple of the batch)."""
        rows = self._fleet.sample(which, now_ms)
        if self.batch == 1:
            return packets(self._topics[which], rows)
        separated = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        separated[:, :-1] = rows
        separated[:, -1] = ord(",")
        joined = separated.reshape(len(rows) // self.batch, -1)
        brackets = np.full((len(joined), 1), ord("["), np.uint8)
        joined[:, -1] = ord("]")
        return packets(self._topics * len(joined), np.hstack((brackets, joined)))


async def run_load(
    load: Load,
    broker: Broker,
    *,
    duration_s: float,
    clock: Callable[[], int],
    stop: asyncio.Event,
    on_progress: Callable[[int, int], None] = lambda _sent, _acked: None,
) -> LoadResult:
    """Send the load for `duration_s`, each lift every `period_s` (0: as fast as the broker takes it).

    Raises RefusedConnectionError when the broker refuses the login.
    """
    loop = asyncio.get_running_loop()
    shares = [Share(load, n) for n in range(load.connections)]
    senders = [Sender(broker, f"load-{n:02d}", in_flight=load.in_flight) for n in range(load.connections)]
    try:
        await asyncio.gather(*(sender.room(1) for sender in senders))
        begun = loop.time()
        paces = [
            asyncio.create_task(_pace(load, share, sender, clock=clock, until=begun + duration_s, stop=stop))
            for share, sender in zip(shares, senders, strict=True)
        ]
        while left := [task for task in paces if not task.done()]:
            await asyncio.wait(left, timeout=1.0)
            on_progress(sum(s.sent for s in senders), sum(s.acked for s in senders))
        behind = max(task.result() for task in paces)
        await _drain(senders)
    finally:
        for sender in senders:
            sender.close()
    acked = sum(sender.acked for sender in senders)
    return LoadResult(
        sent=sum(sender.sent for sender in senders),
        acked=acked,
        resent=sum(sender.resent for sender in senders),
        samples=acked * load.batch,
        seconds=loop.time() - begun,
        behind_s=behind,
    )


async def _drain(senders: list[Sender]) -> None:
    """Wait for the last acknowledgements, not for ever."""
    try:
        async with asyncio.timeout(DRAIN_S):
            await asyncio.gather(*(sender.drained() for sender in senders))
    except TimeoutError:
        return


async def _pace(
    load: Load, share: Share, sender: Sender, *, clock: Callable[[], int], until: float, stop: asyncio.Event
) -> float:
    """Send a share's samples evenly over each period; returns how far behind the pace it fell, s."""
    loop = asyncio.get_running_loop()
    slots = max(int(load.period_s * 20), 1) if load.period_s else 1
    size = max(-(-share.lifts // slots) // share.batch, 1) * share.batch
    size = min(size, BURST * share.batch) if load.period_s else min(BURST * share.batch, share.lifts)
    due, worst = loop.time(), 0.0
    gap = load.period_s * size / max(share.lifts, 1)
    first = 0
    while loop.time() < until and not stop.is_set():
        which = slice(first, min(first + size, share.lifts))
        rows, id_column = share.make(which, clock())
        await sender.room(len(rows))
        sender.send(rows, id_column)
        first = which.stop % share.lifts
        due += gap
        wait = due - loop.time()
        worst = max(worst, -wait) if load.period_s else 0.0
        await asyncio.sleep(max(wait, 0.0))
    return worst


__all__ = ["Load", "LoadResult", "RefusedConnectionError", "registry", "run_load"]
