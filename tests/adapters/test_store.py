"""The store on real servers: whole batches, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.store import NUMBERS_AHEAD, PostgresStore
from monitor.domain.commit import Checkpoint, Commit
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.domain.reading import BROKEN_CLOCK, FLOOR_UNKNOWN, HISTORY, READING

NOW = 1_767_225_600_000  # 2026-01-01


@pytest_asyncio.fixture
async def store(each_database: Database) -> AsyncIterator[PostgresStore]:
    found = PostgresStore(each_database)
    await found.acquire()
    await found.load(NOW)
    yield found
    await found.close()


def readings(count: int, *, start_ms: int = NOW, number: int = 1, step_ms: int = 10_000) -> NDArray[np.void]:
    """`count` samples of one lift, everything else unknown."""
    rows = np.zeros(count, READING)
    rows["number"] = number
    rows["time_ms"] = start_ms + np.arange(count) * step_ms
    rows["ts"] = rows["time_ms"] + 1_500
    rows["received_ms"] = rows["time_ms"] + 40
    rows["seq"] = np.arange(count)
    rows["run_count"] = -1
    rows["car_position"] = FLOOR_UNKNOWN
    for name in ("speed_mps", "position_m", "load_kg"):
        rows[name] = np.nan
    for name in ("service_mode", "car_status", "car_direction", "door_zone", "door_closed", "passenger", "power"):
        rows[name] = -1
    return rows


async def commit_until_done(store: PostgresStore, batch: Commit, attempts: int = 200) -> None:
    """What ingest does: the same batch again for as long as the database is away."""
    for _ in range(attempts):
        try:
            return await store.commit(batch)
        except UnavailableError:
            await asyncio.sleep(0.05)
    pytest.fail("the batch was never committed")


async def stored(database: Database, query: str, *args: Any) -> Any:
    async with database.session() as session:
        return await session.fetchval(query, *args)


async def count_readings(database: Database) -> int:
    return int(await stored(database, "SELECT count(*) FROM tiwei.reading"))


async def test_readings_come_back_as_they_went_in(store: PostgresStore) -> None:
    rows = readings(50)
    rows["service_mode"][::3] = 1
    rows["car_position"][::2] = -2
    rows["speed_mps"][1::2] = 1.75
    rows["run_count"][::7] = 2**40
    rows["passenger"] = 0
    await store.commit(Commit(position=1, journal=b"one", readings=rows))
    back = await store.readings(1, NOW, NOW + 50 * 10_000)
    for name in READING.names or ():
        np.testing.assert_array_equal(back[name], rows[name], name)
    assert len(await store.readings(1, NOW + 10_000, NOW + 20_000)) == 1
    assert len(await store.readings(2, 0, 2 * NOW)) == 0


async def test_unknown_is_null(store: PostgresStore, each_database: Database) -> None:
    rows = readings(2)
    rows["speed_mps"][0] = 0.0
    await store.commit(Commit(position=1, journal=b"", readings=rows))
    assert await stored(each_database, "SELECT count(*) FROM tiwei.reading WHERE speed_mps IS NULL") == 1
    assert (
        await stored(each_database, "SELECT count(*) FROM tiwei.reading WHERE num_nulls(car_position, power) = 2") == 2
    )


async def test_a_batch_committed_twice_is_there_once(store: PostgresStore, each_database: Database) -> None:
    batch = Commit(position=7, journal=b"seven", readings=readings(10))
    await store.commit(batch)
    await store.commit(batch)
    assert await count_readings(each_database) == 10
    assert await stored(each_database, "SELECT count(*) FROM tiwei.journal") == 1


async def test_a_batch_out_of_order_is_refused(store: PostgresStore, each_database: Database) -> None:
    await store.commit(Commit(position=1, journal=b""))
    with pytest.raises(RefusedError, match="does not follow"):
        await store.commit(Commit(position=3, journal=b"", readings=readings(1)))
    assert await count_readings(each_database) == 0


async def test_rows_that_are_there_already_are_left_out(store: PostgresStore, each_database: Database) -> None:
    await store.commit(Commit(position=1, journal=b"", readings=readings(10)))
    await store.commit(Commit(position=2, journal=b"", readings=readings(15)))
    assert await count_readings(each_database) == 15


async def test_history_is_found_by_device_time_and_seq_whatever_the_corrected_time(
    store: PostgresStore, each_database: Database
) -> None:
    first = readings(20)
    await store.commit(Commit(position=1, journal=b"", readings=first))
    again = readings(30)
    again["time_ms"] += 700  # the clock's offset was estimated anew
    again["flags"] |= HISTORY
    await store.commit(Commit(position=2, journal=b"", readings=again))
    assert await count_readings(each_database) == 30
    assert await stored(each_database, "SELECT count(DISTINCT (ts, seq)) FROM tiwei.reading") == 30


async def test_history_is_found_after_the_clock_was_set_by_hours_and_after_a_restart(each_database: Database) -> None:
    store = PostgresStore(each_database)
    await store.acquire()
    await store.load(NOW)
    wrong = readings(5)
    wrong["ts"] += 5 * 3_600_000
    right = readings(5, start_ms=NOW + 60_000)
    await store.commit(Commit(position=1, journal=b"", readings=np.concatenate([wrong, right])))
    await store.close()
    store = PostgresStore(each_database)
    await store.acquire()
    await store.load(NOW)
    again = wrong.copy()
    again["time_ms"] = again["ts"] - 1_500
    again["flags"] |= HISTORY
    await store.commit(Commit(position=2, journal=b"", readings=again))
    await store.close()
    assert await count_readings(each_database) == 10


async def test_a_restart_finds_registry_checkpoint_journal_and_last_receipt(each_database: Database) -> None:
    store = PostgresStore(each_database)
    await store.acquire()
    before = await store.load(NOW)
    assert before.equipment == ()
    assert before.checkpoint is None
    assert before.journal == ()
    assert before.last_alive_ms is None
    first, last = before.free_numbers
    assert last - first + 1 == NUMBERS_AHEAD
    new = Equipment(number=first, equipment_id="LIFT-1", division="320500", kind=EquipmentKind.LIFT, registered=False)
    for position in range(1, 6):
        rows = readings(1, start_ms=NOW + position * 1_000, number=first)
        equipment = (new,) if position == 1 else ()
        await store.commit(Commit(position=position, journal=b"%d" % position, readings=rows, new_equipment=equipment))
    checkpoint = Checkpoint(position=3, chunks=(b"\0" * 3_000_000, b"", b"end"))
    await store.save_checkpoint(checkpoint)
    await store.save_checkpoint(checkpoint)
    await store.close()
    again = PostgresStore(each_database)
    await again.acquire()
    restored = await again.load(NOW)
    await again.close()
    assert restored.equipment == (new,)
    assert restored.checkpoint == checkpoint
    assert restored.journal == ((4, b"4"), (5, b"5"))
    assert restored.free_numbers == (first + 1, last)
    assert restored.last_alive_ms == NOW + 5_040


async def test_a_checkpoint_of_what_is_not_committed_is_refused(store: PostgresStore) -> None:
    with pytest.raises(RefusedError):
        await store.save_checkpoint(Checkpoint(position=1, chunks=()))


async def test_a_second_monitor_waits_and_the_first_writes_nothing_after_it_took_over(each_database: Database) -> None:
    first, second = PostgresStore(each_database), PostgresStore(each_database)
    await first.acquire()
    await first.load(NOW)
    await first.commit(Commit(position=1, journal=b""))
    with pytest.raises(RefusedError, match="at work"):
        await second.acquire(wait=False)
    waiting = asyncio.create_task(second.acquire())
    await first.close()
    await asyncio.wait_for(waiting, 20)
    await second.load(NOW)
    with pytest.raises(RefusedError, match="taken"):
        await first.commit(Commit(position=2, journal=b"", readings=readings(3)))
    await second.commit(Commit(position=2, journal=b""))
    await second.close()
    assert await count_readings(each_database) == 0


async def test_a_lost_connection_is_made_again_and_the_lock_with_it(
    store: PostgresStore, each_database: Database
) -> None:
    await store.commit(Commit(position=1, journal=b"", readings=readings(1)))
    async with each_database.session() as session:
        ended = await session.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'tiwei monitor' AND datname = current_database()"
        )
    assert len(ended) == 1
    batch = Commit(position=2, journal=b"", readings=readings(2, start_ms=NOW + 60_000))
    await commit_until_done(store, batch)
    assert await count_readings(each_database) == 3
    with pytest.raises(RefusedError, match="at work"):
        await PostgresStore(each_database).acquire(wait=False)


async def test_no_time_lacks_a_partition(store: PostgresStore, each_database: Database) -> None:
    moments = [
        0,
        946_684_799_999,
        1_370_104_701_475,
        NOW - 90 * 86_400_000,
        NOW,
        4_102_444_800_000,
        10**14,
        2**62,
        -(2**62),
    ]
    rows = np.concatenate([readings(1, start_ms=moment) for moment in moments])
    rows["ts"] = 5
    rows["flags"] = BROKEN_CLOCK
    rows["seq"] = np.arange(len(rows))
    await store.commit(Commit(position=1, journal=b"", readings=rows))
    assert await count_readings(each_database) == len(moments)


async def test_equipment_registered_meanwhile_takes_the_monitors_number(
    store: PostgresStore, each_database: Database
) -> None:
    lift = Equipment(number=0, equipment_id="L-9", division="320500", kind=EquipmentKind.LIFT, firm_id="F-1")
    registry = Registry(each_database)
    await registry.import_equipment([lift])
    met = Equipment(number=17, equipment_id="L-9", division="320500", kind=EquipmentKind.LIFT, registered=False)
    await store.commit(Commit(position=1, journal=b"", new_equipment=(met,), readings=readings(1, number=17)))
    (found,) = await registry.equipment()
    assert (found.number, found.registered, found.firm_id) == (17, True, "F-1")
