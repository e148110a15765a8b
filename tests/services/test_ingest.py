"""The line: what is stored, what is acknowledged, what survives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.adapters.pool import Database
from monitor.adapters.quarantine import Quarantine
from monitor.adapters.registry import Registry
from monitor.detectors.engine import Batch, Engine, Outcome
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import RefusedError
from monitor.messages.decode import Inbound
from monitor.services.judging import Plan, restore
from tests.services.line import QUICK, T0, Car, Clock, Store, away, line
from tests.waiting import eventually_told

ENTRAPPED = ("entrapment", True)


async def test_a_batch_is_stored_and_then_acknowledged(database: Database) -> None:
    async with line(database) as at:
        car = Car(name="A")
        acknowledged_at_commit: list[int] = []
        at.store.after = lambda _: acknowledged_at_commit.append(len(at.source.acknowledged))
        await at.feed(car.sample(at.clock), car.event(at.clock, 41), car.sample(at.clock))
        assert await at.rows("SELECT number, seq FROM tiwei.reading ORDER BY seq") == [(1, 1), (1, 2)]
        assert await at.faults() == [("main_power_off", True)]
        assert acknowledged_at_commit[-1] == 0


async def test_a_commit_that_fails_is_repeated_as_it_is(database: Database) -> None:
    async with line(database) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        at.store.attempts.clear()
        at.store.before, at.store.after = away(2), away(1)  # the last time it was stored and nobody told us
        await at.feed(car.sample(at.clock), car.event(at.clock, 41))
        with_rows = [one for one in at.store.attempts if len(one.readings)]
        assert len(with_rows) == 4
        assert {id(one) for one in with_rows} == {id(with_rows[0])}
        assert await at.rows("SELECT count(*) FROM tiwei.reading") == [(2,)]
        assert await at.faults() == [("main_power_off", True)]


async def test_a_long_failure_makes_it_leave_the_broker_and_come_back(database: Database) -> None:
    async with line(database) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        gone = True

        def fail(commit: Commit) -> None:
            if gone:
                away(1)(commit)

        at.store.before = fail
        at.source.lay(car.sample(at.clock))
        await at.until(lambda: at.source.suspended)
        assert len(at.source.acknowledged) == 1
        gone = False
        await at.until(lambda: len(at.source.acknowledged) == 2)
        assert not at.source.suspended
        assert at.source.suspensions == 1


async def test_running_delays_go_on_after_a_kill_and_nothing_is_told_twice(database: Database) -> None:
    clock, car = Clock(), Car(name="A")
    sent: list[Inbound] = []
    async with line(database, clock=clock, kill=True) as at:
        for second in range(15):  # stopped off level with a passenger: 20 s to an entrapment
            clock.now_ms = T0 + second * 1000
            sent.append(car.sample(clock, door_zone=0, passenger=1))
            await at.feed(sent[-1])
        assert await at.faults() == []
    clock.now_ms += 2_000
    async with line(database, clock=clock, kill=True) as at:
        await at.feed(*sent[-5:])  # what the broker thinks we do not have
        for second in range(17, 23):
            clock.now_ms = T0 + second * 1000
            await at.feed(car.sample(clock))
        assert await at.faults() == [ENTRAPPED]
        since, raised = (await at.rows("SELECT since_at, raised_at FROM tiwei.fault"))[0]
        assert since.timestamp() * 1000 == pytest.approx(T0, abs=100)
        assert raised.timestamp() * 1000 == pytest.approx(T0 + 20_000, abs=1_100)
    async with line(database, clock=clock) as at:
        await at.feed(*sent)
        clock.now_ms += 1_000
        await at.feed(car.sample(clock, door_zone=1, door_closed=0))
        await at.feed(car.sample(clock))
        assert await at.faults() == [("entrapment", False)]
        rows = await at.rows("SELECT count(*), count(DISTINCT seq), max(seq) FROM tiwei.reading")
        assert rows == [(car.seq, car.seq, car.seq)]


async def test_the_state_after_a_kill_is_the_state_before_it(database: Database) -> None:
    clock, cars = Clock(), [Car(name=f"L{n}") for n in range(30)]
    rng = np.random.default_rng(7)
    pace = replace(QUICK, checkpoint_s=0.05, checkpoint_share=1.0, alive_s=60, tick_s=60)
    async with line(database, clock=clock, pace=pace, kill=True) as at:
        for _ in range(60):
            clock.now_ms += 700
            chosen = [cars[n] for n in rng.choice(30, 12, replace=False)]
            changes = [{"door_zone": int(rng.integers(2)), "passenger": int(rng.integers(2))} for _ in chosen]
            await at.feed(*(car.sample(clock, **one) for car, one in zip(chosen, changes, strict=True)))
        before = at.ingest._state.checkpoint()
    store = Store(database)
    await store.acquire()
    loaded = await store.load(clock())
    await store.close()
    assert loaded.checkpoint is not None
    # Where a checkpoint fell on the last batch there is no journal after it.
    reached = loaded.journal[-1][0] if loaded.journal else loaded.checkpoint.position
    assert 0 < loaded.checkpoint.position <= before.position == reached
    assert (await restore(loaded, Plan(new_engine=Engine))).checkpoint() == before


async def test_a_good_end_leaves_a_checkpoint_and_no_journal(database: Database) -> None:
    async with line(database) as at:
        await at.feed(Car(name="A").sample(at.clock))
    assert await at.rows("SELECT count(*) FROM tiwei.journal") == [(0,)]
    assert await at.rows("SELECT c.position = p.position FROM tiwei.checkpoint c, tiwei.progress p LIMIT 1") == [
        (True,)
    ]


async def test_a_checkpoint_that_cannot_be_read_does_not_keep_the_centre_down(database: Database) -> None:
    async with line(database) as at:
        await at.feed(Car(name="A").sample(at.clock))
    await at.rows("UPDATE tiwei.checkpoint SET body = 'no such format'")
    async with line(database) as at:
        await at.feed(Car(name="B").sample(at.clock))
        assert await at.rows("SELECT count(*) FROM tiwei.reading") == [(2,)]


async def test_a_journal_entry_that_cannot_be_read_is_left_out(database: Database) -> None:
    car = Car(name="A")
    async with line(database, kill=True) as at:
        for _ in range(4):
            at.clock.now_ms += 1_000
            await at.feed(car.sample(at.clock))
        (position,) = (await at.rows("SELECT max(position) - 1 FROM tiwei.journal"))[0]
    await at.rows("UPDATE tiwei.journal SET body = 'B?' WHERE position = $1", position)
    async with line(database, clock=at.clock) as at:
        at.clock.now_ms += 1_000
        await at.feed(car.sample(at.clock))
        assert await at.rows("SELECT count(*) FROM tiwei.reading") == [(5,)]


class Allergic(Engine):
    """Fails at samples of floor 13, after it has changed its state."""

    def process(self, batch: Batch, now_ms: int) -> Outcome:
        outcome = super().process(batch, now_ms)
        if (batch.samples["car_position"] == 13).any():
            raise ZeroDivisionError("floor 13")
        return outcome


async def test_a_message_that_makes_us_fail_is_set_aside_and_nothing_else_is_lost(database: Database) -> None:
    async with line(database, new_engine=Allergic) as at:
        cars = [Car(name=f"L{n}") for n in range(40)]
        await at.feed(*(car.sample(at.clock) for car in cars))
        batch = [car.sample(at.clock, car_position=13 if car.name in {"L7", "L31"} else 4) for car in cars]
        await at.feed(*batch, cars[5].event(at.clock, 41))
        await at.feed(*(car.sample(at.clock, car_position=5) for car in cars))
        assert await at.rows("SELECT count(*), count(DISTINCT (number, seq)) FROM tiwei.reading") == [(118, 118)]
        assert await at.rows("SELECT topic, reason, detail FROM tiwei.quarantine ORDER BY topic") == [
            ("se/v1/310104/lift/L31/status", "poison", "ZeroDivisionError: floor 13"),
            ("se/v1/310104/lift/L7/status", "poison", "ZeroDivisionError: floor 13"),
        ]
        assert await at.faults() == [("main_power_off", True)]
        assert len(at.source.acknowledged) == 121


async def test_a_defect_of_ours_leaves_the_messages_with_the_broker(database: Database) -> None:
    async with line(database, new_engine=Allergic) as at:
        at.source.lay(*(Car(name=f"L{n}").sample(at.clock, car_position=13) for n in range(200)))
        with pytest.raises(ZeroDivisionError):
            await at.until(lambda: False, 30)
        assert at.source.acknowledged == []
        at.task = asyncio.create_task(asyncio.sleep(0))


async def test_a_refused_batch_is_taken_apart_like_a_poisonous_one(database: Database) -> None:
    async with line(database) as at:
        cars = [Car(name=f"L{n}") for n in range(10)]
        await at.feed(*(car.sample(at.clock) for car in cars))

        def refuse(commit: Commit) -> None:
            if (commit.readings["car_position"] == 9).any():
                raise RefusedError("says the test")

        at.store.before = refuse
        await at.feed(*(car.sample(at.clock, car_position=9 if car.name == "L4" else 4) for car in cars))
        await at.feed(*(car.sample(at.clock, car_position=5) for car in cars))
        assert await at.rows("SELECT count(*) FROM tiwei.reading") == [(29,)]
        assert await at.rows("SELECT reason, detail FROM tiwei.quarantine") == [
            ("poison", "RefusedError: says the test")
        ]


async def test_a_second_monitor_that_takes_over_ends_the_first(database: Database) -> None:
    async with line(database) as at:
        await at.feed(Car(name="A").sample(at.clock))
        await at.rows("UPDATE tiwei.progress SET epoch = epoch + 1")
        await at.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        at.source.lay(Car(name="B").sample(at.clock))
        with pytest.raises(RefusedError, match="taken this database over"):
            await at.until(lambda: False, 30)
        assert len(at.source.acknowledged) == 1
        at.task = asyncio.create_task(asyncio.sleep(0))


async def test_what_falls_due_in_silence_is_told(database: Database) -> None:
    async with line(database) as at:
        await at.feed(Car(name="A").sample(at.clock))
        at.clock.now_ms += 119_000
        await asyncio.sleep(0.1)
        assert await at.faults() == []
        at.clock.now_ms += 3_000
        await at.eventually_faults([("offline", True)])


async def test_a_sign_of_life_is_stored_without_any_message(database: Database) -> None:
    async with line(database) as at:

        async def alive() -> int:
            found = (await at.rows("SELECT alive_at FROM tiwei.progress"))[0][0]
            return int(found.timestamp() * 1000) if found else 0

        at.clock.now_ms += 60_000
        await eventually_told(lambda: later(alive, T0 + 60_000))
        at.clock.now_ms += 60_000
        await eventually_told(lambda: later(alive, T0 + 120_000))


async def later(alive: Callable[[], Awaitable[int]], wanted_ms: int) -> bool:
    return await alive() >= wanted_ms


async def test_while_deaf_nobody_is_called_silent_and_afterwards_not_at_once(database: Database) -> None:
    async with line(database) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        at.source.hearing = False
        left = at.clock.now_ms
        at.clock.now_ms += 600_000
        await asyncio.sleep(0.1)
        assert await at.faults() == []
        at.source.outage_ms, at.source.hearing = left, True
        await asyncio.sleep(0.1)
        assert await at.faults() == []
        at.clock.now_ms += 115_000
        await asyncio.sleep(0.1)
        assert await at.faults() == []
        at.clock.now_ms += 8_000
        await at.eventually_faults([("offline", True)])


async def test_the_return_from_an_outage_is_remembered_over_a_kill(database: Database) -> None:
    """Otherwise the detectors, judging again, would call everybody silent and later clear what was never told."""
    clock, car = Clock(), Car(name="A")
    async with line(database, clock=clock, kill=True) as at:
        await at.feed(car.sample(clock))
        left = clock.now_ms
        clock.now_ms += 600_000
        at.source.outage_ms = left
        await at.until(lambda: at.source.outage_ms is None)
        await at.feed(car.sample(clock))
    async with line(database, clock=clock) as at:
        clock.now_ms += 1_000
        await at.feed(car.sample(clock))
        assert await at.faults() == []


async def test_a_change_of_the_registry_reaches_the_rules(database: Database) -> None:
    async with line(database) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock, car_position=30))
        one = Equipment(
            number=0, equipment_id="A", division="310104", kind=EquipmentKind.LIFT, bottom_floor=1, top_floor=9
        )
        await Registry(database).import_equipment([one])
        await at.until(lambda: at.ingest._state._register.by_id["A"].registered)
        for _ in range(6):
            at.clock.now_ms += 1_000
            await at.feed(car.sample(at.clock))
        assert await at.faults() == [("floor_position_lost", True)]
        assert (await at.rows("SELECT count(*) FROM tiwei.checkpoint"))[0][0] > 0


async def test_a_repeat_after_the_clock_was_set_back_in_a_burst_is_stored_once(database: Database) -> None:
    """By its numbers it is old, by its clock it is new, and more came since than the detectors remember."""
    async with line(database) as at:
        car, began = Car(name="A"), at.clock.now_ms

        def made(seq: int, ahead_ms: int) -> Inbound:
            body = {"ts": began + ahead_ms, "seq": seq, **car.state}
            return Inbound("se/v1/310104/lift/A/status", json.dumps(body).encode(), at.clock.now_ms)

        back = made(42, 20)
        await at.feed(made(1, 0), *(made(seq, 50 * seq) for seq in range(3, 42)), back)
        at.clock.now_ms += 5_000
        await at.feed(back._replace(received_ms=at.clock.now_ms))
        at.clock.now_ms += 5_000
        await at.feed(made(43, 10_000))
        rows = await at.rows("SELECT count(*), count(DISTINCT seq) FROM tiwei.reading")
        assert rows == [(42, 42)]


async def test_an_import_beside_the_first_batch_leaves_equipment_its_number(database: Database) -> None:
    """The look into the registry may have seen the import's number a moment before ours took its place."""
    async with line(database) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        ours = (await at.rows("SELECT number FROM tiwei.equipment WHERE equipment_id = 'A'"))[0][0]
        seen = Equipment(number=ours + 20_000, equipment_id="A", division="310104", kind=EquipmentKind.LIFT)
        assert at.ingest._state.change_registry([seen]) == 1
        assert at.ingest._state.change_registry([seen]) == 0
        at.clock.now_ms += 1_000
        await at.feed(car.sample(at.clock))
        assert await at.rows("SELECT number, count(*) FROM tiwei.reading GROUP BY number") == [(ours, 2)]


async def test_a_message_of_the_quarantine_is_judged_again_on_request(database: Database) -> None:
    async with line(database, new_engine=Allergic, kill=True) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        at.clock.now_ms += 1_000
        await at.feed(car.sample(at.clock, car_position=13))
        await at.feed(Inbound("se/v1/310104/lift/A/status", b"{", at.clock.now_ms))
    ids = [one.quarantine_id for one in await Quarantine(database).newest(10)]
    assert await Quarantine(database).request(ids, T0) == sorted(ids)
    async with line(database, clock=at.clock) as at:  # of a version without the defect

        async def done() -> bool:
            return await at.rows("SELECT count(*) FROM tiwei.quarantine WHERE resubmitted_at IS NOT NULL") == [(2,)]

        await eventually_told(done)
        assert await at.rows("SELECT seq, car_position FROM tiwei.reading ORDER BY seq") == [(1, 3), (2, 13)]
        assert await at.rows("SELECT reason FROM tiwei.quarantine WHERE requested_at IS NULL") == [("json",)]


async def test_equipment_first_seen_keeps_its_number_over_restarts(database: Database) -> None:
    clock = Clock()
    cars = [Car(name=f"N{n}") for n in range(5)]
    for kill in (True, False):
        async with line(database, clock=clock, kill=kill) as at:
            clock.now_ms += 1_000
            await at.feed(*(car.sample(clock) for car in cars))
            cars.insert(0, Car(name=f"late {kill}".replace(" ", "-")))
    numbers = await at.rows("SELECT count(DISTINCT number), count(DISTINCT equipment_id) FROM tiwei.equipment")
    assert numbers == [(6, 6)]
    per = await at.rows(
        "SELECT e.equipment_id, count(*) FROM tiwei.reading JOIN tiwei.equipment e USING (number) GROUP BY 1"
    )
    assert dict(per) == {**{f"N{n}": 2 for n in range(5)}, "late-True": 1}


async def test_time_never_goes_back_for_the_detectors(database: Database) -> None:
    async with line(database) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        at.clock.now_ms -= 30_000
        await at.feed(car.sample(at.clock))
        at.clock.now_ms += 60_000
        await at.feed(car.sample(at.clock))
        assert await at.rows("SELECT count(*) FROM tiwei.reading") == [(3,)]


async def test_an_end_while_the_database_is_away_does_not_hang(database: Database) -> None:
    async with line(database, kill=True) as at:
        await at.feed(Car(name="A").sample(at.clock))
        at.store.before = away(10**9)
        at.source.lay(Car(name="A", seq=5).sample(at.clock))
        await at.until(lambda: at.source.suspended)
    assert len(at.source.acknowledged) == 1
