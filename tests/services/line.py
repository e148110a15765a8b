"""The line on a tape: messages from a list, a clock set by hand, the real detectors, the real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from monitor.adapters.pool import Database
from monitor.adapters.quarantine import QuarantineBounds
from monitor.commands._monitor import MonitorStore
from monitor.detectors.engine import Engine
from monitor.domain.commit import Commit
from monitor.domain.errors import UnavailableError
from monitor.messages.decode import Inbound
from monitor.services.ingest import Ingest
from monitor.services.ingest_ports import Pace
from monitor.services.judging import Plan
from monitor.services.witness import Witness
from tests.waiting import eventually, eventually_told

#: 2026-01-01 08:00 UTC.
T0 = 1_767_254_400_000
QUICK = Pace(gather_s=0.0, tick_s=0.02, alive_s=0.2, look_s=0.05, back_off_s=0.05, patience_s=0.3)


class Clock:
    """Ours, ms; goes when told to."""

    def __init__(self) -> None:
        self.now_ms = T0

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True, slots=True)
class Tape:
    """One delivery."""

    messages: Sequence[Inbound]


class TapeSource:
    """A source whose messages are laid in by the test; remembers what was acknowledged."""

    def __init__(self) -> None:
        self.hearing = True
        self.outage_ms: int | None = None
        self.acknowledged: list[Inbound] = []
        self.suspensions = 0
        self.suspended = False
        self._waiting: list[Inbound] = []
        self._arrival = asyncio.Event()

    @property
    def count(self) -> int:
        return len(self._waiting)

    def lay(self, *messages: Inbound) -> None:
        self._waiting += messages
        self._arrival.set()

    def collect_outage(self) -> int | None:
        outage, self.outage_ms = self.outage_ms, None
        return outage

    async def wait(self, count: int, timeout_s: float, size: int | None = None) -> bool:
        del size
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self._waiting) < count:
                    self._arrival.clear()
                    await self._arrival.wait()
        return len(self._waiting) >= count

    def take(self, messages: int, size: int) -> Tape:
        del size
        taken, self._waiting = self._waiting[:messages], self._waiting[messages:]
        return Tape(taken)

    def acknowledge(self, delivery: Tape) -> None:
        self.acknowledged += delivery.messages

    def suspend(self) -> None:
        self.suspended = True
        self.suspensions += 1

    def resume(self) -> None:
        self.suspended = False


class Store(MonitorStore):
    """The real store, whose commits can be made to fail before or after they happened."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, bounds=QuarantineBounds(), zone=ZoneInfo("Asia/Shanghai"))
        self.attempts: list[Commit] = []
        self.before: Callable[[Commit], None] = lambda _: None
        self.after: Callable[[Commit], None] = lambda _: None

    async def commit(self, commit: Commit) -> None:
        self.attempts.append(commit)
        self.before(commit)
        await super().commit(commit)
        self.after(commit)


def away(times: int) -> Callable[[Commit], None]:
    """Fails so many times, as a database that is away."""
    left = times

    def fail(_commit: Commit) -> None:
        nonlocal left
        if left:
            left -= 1
            raise UnavailableError("away, says the test")

    return fail


@dataclass(kw_only=True)
class Line:
    """A centre at work on a tape."""

    database: Database
    clock: Clock
    source: TapeSource
    store: Store
    ingest: Ingest[Tape]
    task: asyncio.Task[None] | None = None

    async def feed(self, *messages: Inbound, seconds: float = 10) -> None:
        """Lay messages in and wait until they are acknowledged."""
        wanted = len(self.source.acknowledged) + len(messages)
        self.source.lay(*messages)
        await self.until(lambda: len(self.source.acknowledged) >= wanted, seconds)

    async def until(self, look: Callable[[], Any], seconds: float = 10) -> None:
        """Wait for something, unless the line has died of it."""
        await eventually(lambda: look() or (self.task is not None and self.task.done()), seconds)
        if self.task is not None and self.task.done():
            self.task.result()

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        async with self.database.session() as session:
            return [tuple(row) for row in await session.fetch(query, *args)]

    async def faults(self) -> list[tuple[str, bool]]:
        """Kind of each fault and whether it is open, in the order of raising."""
        found = await self.rows("SELECT kind, cleared_at IS NULL FROM tiwei.fault ORDER BY raised_at, kind")
        return [(kind, still) for kind, still in found]

    async def eventually_faults(self, wanted: list[tuple[str, bool]]) -> None:
        async def there() -> bool:
            return await self.faults() == wanted

        await eventually_told(there)


@asynccontextmanager
async def line(
    database: Database,
    *,
    clock: Clock | None = None,
    source: TapeSource | None = None,
    pace: Pace = QUICK,
    new_engine: Callable[[], Engine] = Engine,
    kill: bool = False,
    witness: Witness | None = None,
) -> AsyncIterator[Line]:
    """A line at work; at the end it is stopped in good order, or with `kill` cut off where it stands."""
    clock, source, store = clock or Clock(), source or TapeSource(), Store(database)
    await store.acquire()
    plan = Plan(new_engine=new_engine)
    ingest = Ingest(source=source, store=store, plan=plan, clock=clock, pace=pace, witness=witness)
    await ingest.recover()
    made = Line(database=database, clock=clock, source=source, store=store, ingest=ingest)
    made.task = asyncio.create_task(ingest.run())
    try:
        yield made
        if not kill:
            ingest.stop()
            await made.task
    finally:
        made.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await made.task
        await store.close()


@dataclass(kw_only=True)
class Car:
    """A lift that sends samples; every field as the test sets it."""

    name: str
    seq: int = 0
    state: dict[str, Any] = field(
        default_factory=lambda: {
            "service_mode": 1,
            "car_status": 0,
            "car_direction": 0,
            "door_zone": 1,
            "car_position": 3,
            "door_closed": 1,
            "passenger": 0,
        }
    )

    def sample(self, clock: Clock, **changes: Any) -> Inbound:
        """The next sample, now."""
        self.seq += 1
        self.state |= changes
        body = {"ts": clock.now_ms - 50, "seq": self.seq, **self.state}
        return Inbound(f"se/v1/310104/lift/{self.name}/status", json.dumps(body).encode(), clock.now_ms)

    def event(self, clock: Clock, code: int, state: str = "raised") -> Inbound:
        body = {"ts": clock.now_ms - 50, "code": code, "state": state}
        return Inbound(f"se/v1/310104/lift/{self.name}/event", json.dumps(body).encode(), clock.now_ms)
