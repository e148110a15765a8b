"""Throughput: samples of a hundred thousand lifts from one process, packets made by the thousand in numpy.

Every lift is a row of bytes; what changes from sample to sample has a fixed place and width in it. The lifts live a
simple life in which nothing goes wrong: rest at a floor, open with somebody inside, ride, open at another floor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.fleet import DIVISION
from simulators.mqtt import Broker, tell_troubles, varint
from simulators.scenario import Load
from simulators.sender import BURST, Bytes, Sender

T = TypeVar("T")

#: How long the end waits for acknowledgements, s; and when asked to stop.
DRAIN_S = 30.0
STOPPING_S = 2.0
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
    on_trouble: Callable[[str], None] = lambda _text: None,
) -> LoadResult:
    """Send the load for `duration_s`, each lift every `period_s` (0: as fast as the broker takes it), or until `stop`.

    Raises RefusedConnectionError when the broker refuses the login.
    """
    loop = asyncio.get_running_loop()
    shares = [Share(load, n) for n in range(load.connections)]
    senders = [Sender(broker, f"load-{n:02d}", in_flight=load.in_flight) for n in range(load.connections)]
    watch = asyncio.create_task(tell_troubles(senders, on_trouble))
    behind = 0.0
    try:
        await _unless(stop, [sender.room(1) for sender in senders])
        begun = loop.time()
        until = begun + duration_s
        paces = [
            _pace(load, share, sender, clock=clock, until=until, stop=stop)
            for share, sender in zip(shares, senders, strict=True)
        ]
        told = asyncio.create_task(_progress(senders, on_progress))
        behind = max(await _unless(stop, paces, DRAIN_S + duration_s), default=0.0)
        await _unless(stop, [sender.drained() for sender in senders], DRAIN_S)
        told.cancel()
    finally:
        watch.cancel()
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


async def _progress(senders: list[Sender], tell: Callable[[int, int], None]) -> None:
    while True:
        await asyncio.sleep(1.0)
        tell(sum(sender.sent for sender in senders), sum(sender.acked for sender in senders))


async def _unless(stop: asyncio.Event, work: list[Coroutine[Any, Any, T]], seconds: float | None = None) -> list[T]:
    """The results of what is done when all is, or `seconds` are over, or soon after `stop`; the rest is cancelled."""
    tasks = [asyncio.create_task(one) for one in work]
    together = asyncio.create_task(asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION))
    stopped = asyncio.create_task(_soon_after(stop))
    await asyncio.wait((together, stopped), return_when=asyncio.FIRST_COMPLETED)
    for task in (together, stopped, *tasks):
        task.cancel()
    await asyncio.wait(tasks)
    return [task.result() for task in tasks if not task.cancelled()]


async def _soon_after(stop: asyncio.Event) -> None:
    """Whoever is asked to end may finish what he has in hand."""
    await stop.wait()
    await asyncio.sleep(STOPPING_S)


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
