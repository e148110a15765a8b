"""Rollups equal the definition of availability, applied to the samples one by one (protocol §10)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.adapters.figures import PostgresFigures
from monitor.adapters.partitions import Partitions
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.rollups import dirty_hours, recompute, whole_hours
from monitor.adapters.server import look
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.reading import HISTORY
from tests.adapters.test_store import readings

HOUR = 3_600_000
START = 1_766_620_800_000  # 2025-12-25 00:00 UTC


def by_definition(rows: NDArray[np.void], reports: Reports, from_ms: int, to_ms: int) -> tuple[int, int]:
    """(known, normal) ms of one equipment's samples in [from_ms, to_ms)."""
    ordered = sorted(rows[["time_ms", "ts", "seq", "service_mode"]].tolist())
    known = normal = 0
    for (time, *_, mode), (following, *_) in pairwise(ordered):
        until = following if reports is Reports.CHANGES else min(following, time + 120_000)
        held = max(0, min(until, to_ms) - max(time, from_ms))
        known += held if mode not in (-1, 7) else 0
        normal += held if mode == 1 else 0
    return known, normal


def stream(seed: int, number: int, hours: int) -> NDArray[np.void]:
    """Samples with gaps of every length, several at one moment among them, in modes known and unknown."""
    dice = random.Random(seed)
    times, now = [], START + dice.randrange(2 * HOUR)
    while now < START + hours * HOUR:
        times.append(now)
        now += dice.choice([0, 500, 10_000, 60_000, 119_999, 120_000, 120_001, 300_000, HOUR, 7 * HOUR + 13, 40 * HOUR])
    rows = readings(len(times), number=number)
    rows["time_ms"] = times
    rows["ts"] = rows["time_ms"] + 1_500
    rows["received_ms"] = rows["time_ms"]
    rows["service_mode"] = [dice.choice([1, 1, 1, 0, 2, 7, -1]) for _ in times]
    return rows


async def registered(database: Database, kinds: Iterable[Reports]) -> list[Equipment]:
    registry = Registry(database)
    await registry.import_equipment(
        Equipment(
            number=0,
            equipment_id=f"L-{place}",
            division="320500" if place % 2 else "320600",
            kind=EquipmentKind.LIFT,
            reports=reports,
        )
        for place, reports in enumerate(kinds)
    )
    return list(await registry.equipment())


async def roll_up(database: Database, until_ms: int) -> None:
    async with database.session() as session:
        partitions = Partitions(await look(session))
        while await recompute(session, partitions, until_ms):
            pass


def periods(seed: int) -> list[tuple[int, int]]:
    dice = random.Random(seed)
    found = [(START - HOUR, START + 300 * HOUR), (START + 24 * HOUR, START + 48 * HOUR), (START, START + HOUR)]
    for _ in range(12):
        from_ms = START + dice.randrange(180 * HOUR)
        found.append((from_ms, from_ms + dice.choice([1, 900_000, HOUR, 5 * HOUR + 1, 100 * HOUR])))
    return found


async def agrees(database: Database, equipment: list[Equipment], rows: NDArray[np.void], seed: int) -> None:
    figures = PostgresFigures(database)
    for from_ms, to_ms in periods(seed):
        found = {one.equipment_id: one for one in await figures.equipment_figures(from_ms, to_ms, None)}
        assert len(found) == len(equipment)
        for one in equipment:
            mine = by_definition(rows[rows["number"] == one.number], one.reports, from_ms, to_ms)
            got = found[one.equipment_id]
            assert (got.known_ms, got.normal_ms) == mine, (one, from_ms, to_ms)


@pytest.mark.parametrize("seed", range(3))
async def test_figures_equal_the_definition_rolled_up_dirty_and_half_and_half(
    each_database: Database, seed: int
) -> None:
    store = PostgresStore(each_database)
    await store.acquire()
    await store.load(START + 200 * HOUR)
    equipment = await registered(each_database, [Reports.SAMPLES, Reports.CHANGES] * 4)
    rows = np.concatenate([stream(seed * 100 + place, one.number, 200) for place, one in enumerate(equipment)])
    rows = rows[np.argsort(rows["time_ms"], kind="stable")]
    late = np.random.default_rng(seed).random(len(rows)) < 0.2
    kept = rows[~late]
    for position, part in enumerate(np.array_split(kept, 7)):
        await store.commit(Commit(position=position, journal=b"", readings=part))
    await agrees(each_database, equipment, kept, seed)
    await roll_up(each_database, START + 100 * HOUR)
    await agrees(each_database, equipment, kept, seed)
    await roll_up(each_database, START + 500 * HOUR)
    async with each_database.session() as session:
        assert await dirty_hours(session) == []
    await agrees(each_database, equipment, kept, seed)
    history = rows[late].copy()
    history["flags"] |= HISTORY
    await store.commit(Commit(position=7, journal=b"", readings=history))
    await agrees(each_database, equipment, rows, seed)
    await roll_up(each_database, START + 500 * HOUR)
    await agrees(each_database, equipment, rows, seed)
    await store.close()


async def test_a_batch_of_many_equipments_marks_whole_hours_and_they_are_recomputed(each_database: Database) -> None:
    store = PostgresStore(each_database)
    await store.acquire()
    await store.load(START)
    equipment = await registered(each_database, [Reports.SAMPLES] * 300)
    rows = np.concatenate([readings(20, start_ms=START, number=one.number, step_ms=600_000) for one in equipment])
    rows["service_mode"] = 1
    await store.commit(Commit(position=1, journal=b"", readings=rows[np.argsort(rows["time_ms"], kind="stable")]))
    async with each_database.session() as session:
        assert await session.fetchval("SELECT bool_and(numbers IS NULL) FROM tiwei.dirty_bucket")
    await agrees(each_database, equipment, rows, 1)
    await roll_up(each_database, START + 2 * HOUR)
    await agrees(each_database, equipment, rows, 1)
    await store.close()


async def test_a_batch_committed_during_a_recomputation_stays_dirty(each_database: Database) -> None:
    store = PostgresStore(each_database)
    await store.acquire()
    await store.load(START)
    equipment = await registered(each_database, [Reports.SAMPLES])
    first, second = readings(6, start_ms=START, number=equipment[0].number), readings(6, start_ms=START + 90_000)
    second["number"] = equipment[0].number
    second["seq"] += 6
    for rows in (first, second):
        rows["service_mode"] = 1
    await store.commit(Commit(position=1, journal=b"", readings=first))
    async with each_database.session() as session, session.transaction(isolation="repeatable_read"):
        await session.fetchval("SELECT count(*) FROM tiwei.dirty_bucket")  # the snapshot of a recomputation
        await store.commit(Commit(position=2, journal=b"", readings=second))
        partitions = Partitions(await look(session))
        assert await recompute(session, partitions, START + HOUR) == 1
    async with each_database.session() as session:
        assert len(await dirty_hours(session)) == 1
    await agrees(each_database, equipment, np.concatenate([first, second]), 2)
    await roll_up(each_database, START + HOUR)
    await agrees(each_database, equipment, np.concatenate([first, second]), 2)
    await store.close()


async def test_one_division_alone(each_database: Database) -> None:
    store = PostgresStore(each_database)
    await store.acquire()
    await registered(each_database, [Reports.SAMPLES] * 4)
    found = await PostgresFigures(each_database).equipment_figures(START, START + HOUR, "320500")
    assert [one.equipment_id for one in found] == ["L-1", "L-3"]
    assert [one.availability for one in found] == [None, None]
    await store.close()


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "pieces"),
    [
        (0, HOUR, (0, 0, HOUR, HOUR)),
        (1, HOUR, (HOUR, HOUR, HOUR, HOUR)),
        (1, HOUR - 1, (HOUR - 1, HOUR, HOUR, HOUR - 1)),
        (1, 2 * HOUR + 1, (HOUR, HOUR, 2 * HOUR, 2 * HOUR)),
        (HOUR - 1, HOUR + 1, (HOUR, HOUR, HOUR, HOUR)),
    ],
)
def test_a_period_is_whole_hours_and_edges(from_ms: int, to_ms: int, pieces: tuple[int, ...]) -> None:
    assert whole_hours(from_ms, to_ms) == pieces
