"""The database is away for ten minutes, by a clock that runs fast: nothing lost, no storm of any kind."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions
from monitor.adapters.embedded.postgres import PostgresServer
from monitor.adapters.mqtt import Bounds, Delivery, MqttSource
from monitor.adapters.mqtt_connection import Broker
from monitor.adapters.pool import Database
from monitor.adapters.quarantine import QuarantineBounds
from monitor.commands._monitor import MonitorStore
from monitor.detectors.engine import Engine
from monitor.services.ingest import Ingest
from monitor.services.ingest_ports import Pace
from monitor.services.judging import Plan
from tests.conftest import DEVICE_PASSWORD, FAST
from tests.scenarios.sender import Sender
from tests.waiting import eventually, eventually_told

ACK_WAIT_S = 2.0
#: So many seconds of the centre and its lifts pass in one of ours.
FAST_FORWARD = 40.0
T0 = 1_767_254_400_000
LIFTS = 40
IDLE = {"service_mode": 1, "car_status": 0, "car_direction": 0, "door_zone": 1, "car_position": 3, "door_closed": 1}


class FastClock:
    """ms since 1970 UTC, FAST_FORWARD times as fast as ours."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> int:
        return T0 + round((time.monotonic() - self._began) * 1000 * FAST_FORWARD)

    @property
    def s(self) -> float:
        """Seconds since T0."""
        return (self() - T0) / 1000

    async def until(self, s: float) -> None:
        await asyncio.sleep((s - self.s) / FAST_FORWARD)


class CountingSource(MqttSource):
    """Counts what the broker delivered."""

    taken = 0
    departures = 0

    def take(self, messages: int, size: int) -> Delivery:
        found = super().take(messages, size)
        self.taken += len(found.messages)
        return found

    def suspend(self) -> None:
        super().suspend()
        self.departures += 1


class Scene:
    """Database and broker of this test's own, the line in this process on a fast clock, and lifts that send."""

    def __init__(self, folder: Path) -> None:
        data = DataFolder(folder)
        self.clock = FastClock()
        self.postgres = PostgresServer(data, extra=FAST)
        self.nats = NatsServer(data, BrokerOptions(port=0, device_password=DEVICE_PASSWORD, ack_wait_s=ACK_WAIT_S))
        self.states: dict[str, dict[str, Any]] = {f"L{number:03d}": {**IDLE, "passenger": 0} for number in range(LIFTS)}
        self.seqs: Counter[str] = Counter()

    async def start(self) -> None:
        self.url = await self.postgres.start()
        broker = urlsplit(await self.nats.start())
        assert broker.hostname
        assert broker.port
        self.sender = Sender(f"mqtt://device:{DEVICE_PASSWORD}@{broker.hostname}:{broker.port}", "lifts")
        self.database = Database(self.url)
        self.store = MonitorStore(self.database, bounds=QuarantineBounds())
        await self.store.acquire()
        self.source = CountingSource(
            Broker(
                host=broker.hostname,
                port=broker.port,
                session_id=secrets.token_hex(16),
                username=unquote(broker.username or ""),
                password=unquote(broker.password or ""),
            ),
            self.clock,
            Bounds(redelivery_s=ACK_WAIT_S, back_off_s=1.0),
        )
        pace = Pace(gather_s=0.02, tick_s=0.05, patience_s=0.8 * ACK_WAIT_S, back_off_s=0.5, checkpoint_s=2.0)
        self.ingest = Ingest(
            source=self.source, store=self.store, plan=Plan(new_engine=Engine), clock=self.clock, pace=pace
        )
        await self.ingest.recover()
        self.tasks = [asyncio.create_task(one) for one in (self.source.run(), self.ingest.run(), self.sender.run())]
        await self.source.subscribed()
        self.tasks.append(asyncio.create_task(self._send()))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        with suppress(Exception):
            await self.store.close()
        await self.database.close()
        await self.nats.stop(5)
        await self.postgres.stop(5)

    async def _send(self) -> None:
        """Each lift every 10 s, and at each change."""
        at = self.clock.s
        while True:
            for name in self.states:
                self.sample(name)
            at += 10.0
            await self.clock.until(at)

    def sample(self, name: str, **changes: int) -> None:
        self.states[name] |= changes
        self.seqs[name] += 1
        payload = {"ts": self.clock(), "seq": self.seqs[name], **self.states[name]}
        self.sender.put(f"se/v1/310104/lift/{name}/status", json.dumps(payload).encode())

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.database.session() as session:
            return [tuple(row) for row in await session.fetch(query)]

    async def everything_stored(self) -> None:
        async def there() -> bool:
            return await self.rows("SELECT count(*) FROM tiwei.reading") >= [(self.seqs.total(),)]

        await eventually_told(there, 60)

    async def nothing_lost(self) -> None:
        """Every sample once, as often as it was sent."""
        self.tasks[3].cancel()
        await eventually(lambda: self.sender.left == 0)
        await self.everything_stored()
        found = await self.rows(
            "SELECT e.equipment_id, count(*), count(DISTINCT seq), max(seq)"
            " FROM tiwei.reading JOIN tiwei.equipment e USING (number) GROUP BY 1"
        )
        assert {name: tuple(rest) for name, *rest in found} == {n: (last, last, last) for n, last in self.seqs.items()}

    async def faults(self) -> set[tuple[str, str, bool]]:
        found = await self.rows(
            "SELECT equipment_id, f.kind, cleared_at IS NULL FROM tiwei.fault f JOIN tiwei.equipment USING (number)"
        )
        assert len(found) == len(set(found))
        return {(name, kind, still) for name, kind, still in found}


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    made = Scene(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def test_the_database_is_away_for_ten_minutes(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.clock.until(60)
        await at.everything_stored()
        assert await at.faults() == set()
        await at.postgres.stop(10)
        left = at.clock.s
        sent, taken = at.seqs.total(), at.source.taken

        await at.clock.until(left + 150)
        for name in ("L001", "L002", "L003"):  # between floors: two with somebody in it, one empty
            at.sample(name, door_zone=0, passenger=int(name != "L003"))
        await at.clock.until(left + 300)
        for name in ("L002", "L003"):  # over before anybody could know
            at.sample(name, door_zone=1, door_closed=0)
        await at.clock.until(left + 320)
        for name in ("L002", "L003"):
            at.sample(name, door_closed=1, passenger=0)
        await eventually(lambda: at.source.departures == 1)
        assert at.source.count == at.source.held == 0

        await at.clock.until(left + 600)
        await at.postgres.start()
        back = at.clock.s
        await at.everything_stored()
        # Told: who is still in there, and who was, but not the empty car that stood there for a while.
        # Not told: forty lifts silent for ten minutes, which they were not.
        await eventually_told(lambda: is_told(at, {("L001", "entrapment", True), ("L002", "entrapment", False)}))
        await at.clock.until(back + 200)
        assert await at.faults() == {("L001", "entrapment", True), ("L002", "entrapment", False)}
        at.sample("L001", door_zone=1, door_closed=0)
        await eventually_told(lambda: is_told(at, {("L001", "entrapment", False), ("L002", "entrapment", False)}))
        assert at.source.departures == 1
        await at.nothing_lost()
        # What was on its way when the database went came a second time, and only that.
        repeated = (at.source.taken - taken) - (at.seqs.total() - sent)
        assert repeated <= 2 * LIFTS * ACK_WAIT_S * FAST_FORWARD / 10
        (since,) = (await at.rows("SELECT extract(epoch FROM min(since_at))::float FROM tiwei.fault"))[0]
        assert since - T0 / 1000 == pytest.approx(left + 150, abs=5)


async def is_told(at: Scene, wanted: set[tuple[str, str, bool]]) -> bool:
    return await at.faults() == wanted


async def test_a_database_that_hangs_is_left_as_one_that_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.clock.until(30)
        await at.everything_stored()
        child = at.postgres._child
        assert child is not None
        everybody = [child.pid, *children(child.pid)]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        try:
            await eventually(lambda: at.source.departures == 1)
            await eventually(lambda: not at.source.hearing)
            await asyncio.sleep(2 * ACK_WAIT_S)
        finally:
            for pid in everybody:
                os.kill(pid, signal.SIGCONT)
        await eventually(lambda: at.source.hearing, 20)
        await at.everything_stored()
        await at.nothing_lost()
        assert await at.faults() == set()


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
