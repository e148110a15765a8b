"""The witness of a line: figures that add up, and what is shown after a kill."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.adapters.pool import Database
from monitor.services.showing import SILENT, Showing
from monitor.services.vitals import COUNTERS, Gauges
from monitor.services.witness import Witness
from tests.services.line import T0, Car, Clock, away, line


@dataclass
class _Source:
    count: int = 3
    held: int = 5
    hearing: bool = True


async def test_the_figures_add_up(database: Database) -> None:
    witness = Witness(Showing(), T0)
    async with line(database, witness=witness) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock), car.event(at.clock, 41), car.sample(at.clock))
        at.store.before = away(1)
        broken = car.sample(at.clock)._replace(payload=b"{")
        await at.feed(car.event(at.clock, 41, "cleared"), broken)
        body = witness.figures(_Source(), at.ingest.checkpoint_age_s, at.clock.now_ms)
    counters = body["counters"]
    assert set(counters) == set(COUNTERS)
    assert (counters["messages"], counters["samples"], counters["events"], counters["retries"]) == (5, 2, 2, 1)
    assert sum(body["quarantined"].values()) == 1
    assert body["faults_raised"] == body["faults_cleared"] == {"main_power_off": 1}
    for name, one in body["histograms"].items():
        assert len(one["counts"]) == len(one["le"]) + 1
        assert sum(one["counts"]) > 0, name
    assert sum(body["histograms"]["commit_s"]["counts"]) == counters["batches"]
    assert set(body["gauges"]) == set(Gauges.__dataclass_fields__)
    gauges = body["gauges"]
    assert (gauges["waiting_messages"], gauges["held_messages"], gauges["hearing"]) == (3, 5, 1)
    assert (gauges["equipment"], gauges["unregistered"], gauges["clock_offset_max_s"]) == (1, 1, 0.05)


async def test_after_a_kill_the_last_samples_are_shown_from_the_journal(database: Database) -> None:
    clock, car = Clock(), Car(name="A")
    async with line(database, clock=clock, kill=True) as at:
        await at.feed(car.sample(clock, door_closed=0))
    witness = Witness(Showing(), T0)
    clock.now_ms += 60_000
    async with line(database, clock=clock, witness=witness):
        flush = witness.showing.due(clock.now_ms, 10)
    assert flush is not None
    assert (flush.rows["door_closed"].tolist(), flush.rows["received_ms"].tolist()) == ([0], [T0])
    assert flush.rows["flags"].tolist() == [SILENT]


async def test_a_witness_that_fails_hurts_no_batch(database: Database) -> None:
    witness = Witness(Showing(), T0)
    witness.showing.take = None  # type: ignore[assignment,method-assign]
    async with line(database, witness=witness) as at:
        car = Car(name="A")
        await at.feed(car.sample(at.clock))
        await at.feed(car.sample(at.clock))
        assert await at.rows("SELECT count(*) FROM tiwei.reading") == [(2,)]
        assert await at.rows("SELECT count(*) FROM tiwei.quarantine") == [(0,)]
