"""Upkeep on real servers, beside a monitor at work."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest_asyncio

from monitor.adapters.figures import PostgresFigures
from monitor.adapters.maintain import PostgresUpkeep
from monitor.adapters.pool import Database
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Checkpoint, Commit
from monitor.domain.equipment import Reports
from monitor.services.maintain import DAY_MS, HOUR_MS, Keeping, Maintained, maintain
from tests.adapters.test_quarantine import odd
from tests.adapters.test_rollups import registered
from tests.adapters.test_store import NOW, count_readings, readings, stored

KEEPING = Keeping(history_days=90, rollup_days=400)


@pytest_asyncio.fixture
async def store(each_database: Database) -> AsyncIterator[PostgresStore]:
    found = PostgresStore(each_database)
    await found.acquire()
    await found.load(NOW)
    yield found
    await found.close()


async def test_twice_is_once(store: PostgresStore, each_database: Database) -> None:
    await store.commit(Commit(position=1, journal=b"", readings=readings(720, start_ms=NOW - 5 * HOUR_MS)))
    upkeep = PostgresUpkeep(each_database)
    first = await maintain(upkeep, KEEPING, NOW)
    assert first == Maintained(rolled_hours=2)
    assert await maintain(upkeep, KEEPING, NOW) == Maintained()


async def test_one_at_a_time(store: PostgresStore, each_database: Database) -> None:
    assert store
    upkeep = PostgresUpkeep(each_database)
    async with upkeep.turn() as turn:
        assert turn is not None
        assert await maintain(upkeep, KEEPING, NOW) is None
    assert await maintain(upkeep, KEEPING, NOW) == Maintained()


async def test_the_hour_that_runs_is_left_alone(store: PostgresStore, each_database: Database) -> None:
    await store.commit(Commit(position=1, journal=b"", readings=readings(5, start_ms=NOW)))
    upkeep = PostgresUpkeep(each_database)
    assert await maintain(upkeep, KEEPING, NOW + HOUR_MS + 299_999) == Maintained()
    assert await maintain(upkeep, KEEPING, NOW + HOUR_MS + 300_000) == Maintained(rolled_hours=1)


async def test_what_is_too_old_goes_and_its_figures_stay(store: PostgresStore, each_database: Database) -> None:
    (one,) = await registered(each_database, [Reports.CHANGES])
    days = np.array([-500, -200, -200, -130, -80, -1, 0])
    rows = readings(len(days), number=one.number)
    rows["time_ms"] = NOW + days * DAY_MS + np.array([0, 0, 5, 0, 0, 0, 0]) * HOUR_MS
    rows["ts"] = rows["time_ms"]
    rows["service_mode"] = [1, 1, 0, 1, 1, 0, 1]
    await store.commit(Commit(position=1, journal=b"", readings=rows))
    figures = PostgresFigures(each_database)
    period = (NOW - 300 * DAY_MS, NOW + HOUR_MS, None)
    before = await figures.equipment_figures(*period)
    done = await maintain(PostgresUpkeep(each_database), KEEPING, NOW)
    assert done is not None
    assert done.rolled_hours == 6
    assert done.dropped_parts >= 3
    assert done.waiting == ()
    assert await count_readings(each_database) == 3
    assert await stored(each_database, "SELECT count(*) FROM tiwei.rollup_hour") == 5  # 6 but for the one of 500 days
    after = await figures.equipment_figures(*period)
    # Before its first sample that is left nothing is known: from 300 days ago that is 200 days ago.
    assert after[0].known_ms == before[0].known_ms - 100 * DAY_MS
    assert (await figures.equipment_figures(NOW - 200 * DAY_MS, NOW, None))[0].known_ms == 200 * DAY_MS


async def test_a_sample_for_an_hour_whose_samples_are_gone_does_not_undo_its_figures(
    store: PostgresStore, each_database: Database
) -> None:
    old = readings(10, start_ms=NOW - 100 * DAY_MS)
    old["service_mode"] = 1
    await store.commit(Commit(position=1, journal=b"", readings=old))
    await maintain(PostgresUpkeep(each_database), KEEPING, NOW)
    late = readings(1, start_ms=NOW - 100 * DAY_MS + 1_000)
    await store.commit(Commit(position=2, journal=b"", readings=late))
    await maintain(PostgresUpkeep(each_database), KEEPING, NOW)
    assert await stored(each_database, "SELECT samples FROM tiwei.rollup_hour") == 10


async def test_a_reader_in_the_way_is_not_waited_for(store: PostgresStore, each_database: Database) -> None:
    await store.commit(Commit(position=1, journal=b"", readings=readings(3, start_ms=NOW - 100 * DAY_MS)))
    async with each_database.session() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM tiwei.reading")
        done = await maintain(PostgresUpkeep(each_database), KEEPING, NOW)
        assert done is not None
        assert done.waiting == ("samples",)
        await store.commit(Commit(position=2, journal=b"", readings=readings(3)))
    done = await maintain(PostgresUpkeep(each_database), KEEPING, NOW)
    assert done is not None
    assert done.waiting == ()
    assert await count_readings(each_database) == 3


async def test_a_partition_dropped_under_the_monitor_is_made_again(
    store: PostgresStore, each_database: Database
) -> None:
    old = NOW - 100 * DAY_MS
    await store.commit(Commit(position=1, journal=b"", readings=readings(3, start_ms=old)))
    await maintain(PostgresUpkeep(each_database), KEEPING, NOW)
    assert await count_readings(each_database) == 0
    await store.commit(Commit(position=2, journal=b"", readings=readings(4, start_ms=old)))
    assert await count_readings(each_database) == 4


async def test_quarantine_and_journal_are_kept_within_bounds(store: PostgresStore, each_database: Database) -> None:
    for position in range(1, 4):
        await store.commit(Commit(position=position, journal=b"x", quarantined=(odd(), odd(b"long" * 50))))
    await store.save_checkpoint(Checkpoint(position=2, chunks=(b"state",)))
    await maintain(PostgresUpkeep(each_database), Keeping(quarantine_messages=5, quarantine_octets=401), NOW)
    assert await stored(each_database, "SELECT array_agg(quarantine_id ORDER BY 1) FROM tiwei.quarantine") == [4, 5, 6]
    assert await stored(each_database, "SELECT array_agg(position) FROM tiwei.journal") == [3]
    await maintain(PostgresUpkeep(each_database), KEEPING, NOW + 31 * DAY_MS)
    assert await stored(each_database, "SELECT count(*) FROM tiwei.quarantine") == 0
