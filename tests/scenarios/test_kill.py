"""Centre, broker and database are killed in turn: everything there once, every fault told once and in time."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitor.detectors.engine import Engine
from monitor.domain.register import Register
from monitor.messages.decode import Decoder, Inbound
from tests.scenarios.centre import Centre, centre
from tests.scenarios.sender import Sender
from tests.waiting import eventually, eventually_told

PARTS = ("broker", "database", "monitor")
DIVISION = "310104"
#: In its turn a lift runs, stands between floors with somebody in it, and lets them out; s since the turn began.
RUNS, TRAPPED, FREED = 2.0, 5.0, 33.0
TURN = 42.0
#: Lifts that stand still; those of the bursts.
QUIET = 50
POWER_OFF, POWER_ON = 12.0, 30.0
#: A raise may be so late after its due time, besides the time in which a part was down; s (protocol: p95 within 4 s).
LATE_S = 4.0

IDLE = {
    "service_mode": 1,
    "car_status": 0,
    "car_direction": 0,
    "door_zone": 1,
    "car_position": 3,
    "door_closed": 1,
    "passenger": 0,
}


@dataclass(kw_only=True)
class Town:
    """What is sent: scripted lifts once a second, and bursts of quiet ones at the worst moment."""

    sender: Sender
    lifts: int
    #: The lifts begin their first turns one after the other within so long, s.
    spread: float
    began: float = field(default_factory=time.time)
    ending: float = float("inf")
    records: list[Inbound] = field(default_factory=list)
    seqs: Counter[str] = field(default_factory=Counter)

    def sample(self, name: str, at: float, state: dict[str, Any]) -> None:
        self.seqs[name] += 1
        self._send(f"se/v1/{DIVISION}/lift/{name}/status", at, {"seq": self.seqs[name], **IDLE, **state})

    def _send(self, topic: str, at: float, body: dict[str, Any]) -> None:
        payload = json.dumps({"ts": round(at * 1000), **body}).encode()
        self.records.append(Inbound(topic, payload, round(at * 1000) + 20))
        self.sender.put(topic, payload)

    def step(self, at: float) -> None:
        """One second of the script. The lifts begin their turns one after the other, and no turn after `ending`."""
        for number in range(self.lifts):
            since_first = at - self.began - self.spread * number / self.lifts
            phase = since_first % TURN if since_first >= 0 and at - since_first % TURN <= self.ending else 0.0
            self._play(f"S{number:04d}", at, phase)
            if number % 4 == 0 and POWER_OFF <= phase < POWER_OFF + 1:
                self._event(f"S{number:04d}", at, "raised")
            if number % 4 == 0 and POWER_ON <= phase < POWER_ON + 1:
                self._event(f"S{number:04d}", at, "cleared")
        for number in range(QUIET):
            self.sample(f"Q{number:04d}", at, {})

    def _play(self, name: str, at: float, phase: float) -> None:
        runs, away = RUNS <= phase < TRAPPED, RUNS <= phase < FREED
        state = {"passenger": away, "car_status": runs, "car_direction": runs, "door_zone": not away}
        state["door_closed"] = not FREED <= phase < FREED + 5
        self.sample(name, at, {field: int(value) for field, value in state.items()})

    def _event(self, name: str, at: float, state: str) -> None:
        self._send(f"se/v1/{DIVISION}/lift/{name}/event", at, {"code": 41, "state": state})

    def burst(self, count: int) -> None:
        """As many messages at once, of the quiet lifts and a boiler."""
        at = time.time()
        for number in range(count):
            if number % 10 == 9:
                self.seqs["B0"] += 1
                body = {"seq": self.seqs["B0"], "values": {"pressure": number / 10}}
                self._send(f"se/v1/{DIVISION}/boiler/B0/status", at + number / 1000, body)
            else:
                self.sample(f"Q{number % QUIET:04d}", at + number / 1000, {})


async def keep_stepping(town: Town) -> None:
    town.began = at = float(int(time.time())) + 0.5
    while True:
        await asyncio.sleep(at - time.time())
        town.step(at)
        at += 1.0


async def run(
    folder: Path, *, rounds: int, lifts: int, spread: float, burst: int, seed: int, checkpoint_s: int
) -> None:
    dice = random.Random(seed)
    outages: list[tuple[float, float]] = []
    async with centre(folder, TIWEI_CHECKPOINT_S=str(checkpoint_s)) as at:
        town = Town(sender=Sender(at.device_url, "town"), lifts=lifts, spread=spread)
        tasks = [asyncio.create_task(town.sender.run()), asyncio.create_task(keep_stepping(town))]
        try:
            for number in range(rounds):
                await asyncio.sleep(dice.uniform(0.5, 3.0))
                outages.append(await kill_once(at, town, PARTS[number % 3], burst, dice))
            town.ending = max(time.time(), town.began + spread)
            await asyncio.sleep(town.ending + TURN - time.time())
            tasks[1].cancel()
            await caught_up(at, town)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await check_rows(at, town)
        await check_faults(at, town, outages)
        said = {line["event"].partition(" <")[0] for line in at.log_lines()}
        assert not said & {"a batch could not be judged", "a batch could not be committed", "Exception in callback"}


async def kill_once(at: Centre, town: Town, part: str, burst: int, dice: random.Random) -> tuple[float, float]:
    """Kill a part when it has most to lose and start it again; from when to when nothing could be judged."""
    if part == "monitor":
        # In the middle of a commit, which is what an acknowledgement must not come before.
        blocker = await asyncpg.connect(at.database_url)
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE tiwei.journal IN SHARE MODE")
            town.burst(burst)
            await asyncio.sleep(dice.uniform(0.1, 0.4))
            began = time.time()
            at.kill(part)
        await blocker.close()
    else:
        town.burst(burst)
        await asyncio.sleep(dice.uniform(0.0, 0.15))
        began = time.time()
        at.kill(part)
    await asyncio.sleep(dice.uniform(0.0, 1.5))
    await at.restart(part)
    await caught_up(at, town)
    return began, time.time()


async def caught_up(at: Centre, town: Town) -> None:
    """What is sent now has gone all the way, and everything before it."""
    town.sample("MARK", time.time(), {})

    async def there() -> bool:
        return await stored(at) >= len(town.records)

    await eventually_told(there, 60)


async def stored(at: Centre) -> int:
    """Messages in the database; -1 while it cannot be asked."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        found = await at.rows(
            "SELECT (SELECT count(*) FROM tiwei.reading) + (SELECT count(*) FROM tiwei.measurement)"
            " + (SELECT count(*) FROM tiwei.event)"
        )
        return int(found[0][0])
    return -1


async def check_rows(at: Centre, town: Town) -> None:
    await eventually(lambda: town.sender.left == 0)
    found = await at.rows(
        "SELECT e.equipment_id, count(*), count(DISTINCT r.seq), min(r.seq), max(r.seq)"
        " FROM tiwei.equipment e JOIN (SELECT number, seq FROM tiwei.reading"
        " UNION ALL SELECT number, seq FROM tiwei.measurement) r USING (number) GROUP BY 1"
    )
    wanted = {name: (last, last, 1, last) for name, last in town.seqs.items()}
    assert {name: tuple(rest) for name, *rest in found} == wanted
    assert await at.rows("SELECT count(*) FROM tiwei.quarantine") == [(0,)]
    # What was not acknowledged came again before what is newer: nothing was late enough to be history (flag 2).
    assert await at.rows("SELECT count(*) FROM tiwei.reading WHERE flags & 2 <> 0") == [(0,)]


async def check_faults(at: Centre, town: Town, outages: list[tuple[float, float]]) -> None:
    """The same faults as the detectors find in the same records without any kill, each once, none late."""
    found = await at.rows(
        "SELECT e.equipment_id, f.kind, f.since_at, f.raised_at, f.cleared_at IS NOT NULL, f.repeated"
        " FROM tiwei.fault f JOIN tiwei.equipment e USING (number)"
    )
    assert not any(repeated for *_, repeated in found)
    ideal = judged(town.records)
    assert Counter((name, kind, cleared) for name, kind, _, _, cleared, _ in found) == Counter(
        (name, kind, cleared) for name, kind, _, cleared in ideal
    )
    assert {kind for _, kind, *_ in found} == {"entrapment", "main_power_off"}
    assert len(found) >= town.lifts
    for name, kind, since_at, raised_at, *_ in found:
        begin = since_at.timestamp()
        assert any(abs(begin - other) < 1.5 for n, k, other, _ in ideal if (n, k) == (name, kind)), (name, kind, begin)
        due = begin + (20 if kind == "entrapment" else 0)
        blind = sum(max(0.0, min(end, raised_at.timestamp()) - max(start, due)) for start, end in outages)
        assert raised_at.timestamp() - due <= LATE_S + blind, (name, kind, due, raised_at.timestamp(), outages)


def judged(records: list[Inbound]) -> list[tuple[str, str, float, bool]]:
    """Name, kind, beginning (s) and whether it was cleared, of every fault in the records."""
    decoder, engine = Decoder(Register()), Engine()
    open_: dict[tuple[str, str], float] = {}
    done: list[tuple[str, str, float, bool]] = []
    for start in range(0, len(records), 200):
        batch = records[start : start + 200]
        decoded = decoder.decode(batch)
        engine.register(decoded.new_equipment)
        for change in engine.process(decoded, batch[-1].received_ms).faults:
            key = (change.equipment_id, change.kind.value)
            if change.state == "raised":
                open_[key] = change.since_ms / 1000
            else:
                done.append((*key, open_.pop(key), True))
    return done + [(*key, begin, False) for key, begin in open_.items()]


async def test_each_part_killed_once(tmp_path: Path) -> None:
    await run(tmp_path, rounds=3, lifts=24, spread=12, burst=2_000, seed=1, checkpoint_s=600)


@pytest.mark.soak
async def test_twenty_rounds_of_kills_with_twenty_thousand_messages(tmp_path: Path) -> None:
    await run(tmp_path, rounds=20, lifts=60, spread=TURN, burst=1_500, seed=2, checkpoint_s=5)
