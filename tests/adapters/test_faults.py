"""Faults in the database: each once, open or cleared, and a feed that leaves nothing out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from monitor.adapters.faults import Faults
from monitor.adapters.figures import PostgresFigures
from monitor.adapters.pool import Database
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.fault import FaultChange, FaultKind, FaultState
from tests.adapters.test_store import NOW

LIFT = Equipment(number=1, equipment_id="LIFT-1", division="320500", kind=EquipmentKind.LIFT, registered=False)


def raised(at: int, kind: FaultKind = FaultKind.ENTRAPMENT, since: int | None = None) -> FaultChange:
    return FaultChange(
        at_ms=NOW + at,
        number=1,
        equipment_id="LIFT-1",
        kind=kind,
        state=FaultState.RAISED,
        since_ms=NOW + (at if since is None else since),
        raised_at_ms=NOW + at,
        evidence={"floor": 3, "speed": float("nan"), "text": "困\0人 \ud800"},
    )


def cleared(of: FaultChange, at: int) -> FaultChange:
    return FaultChange(
        at_ms=NOW + at,
        number=1,
        equipment_id="LIFT-1",
        kind=of.kind,
        state=FaultState.CLEARED,
        since_ms=of.since_ms,
        raised_at_ms=of.raised_at_ms,
        evidence={"why": "door open"},
    )


@pytest_asyncio.fixture
async def store(each_database: Database) -> AsyncIterator[PostgresStore]:
    found = PostgresStore(each_database)
    await found.acquire()
    await found.load(NOW)
    await found.commit(Commit(position=0, journal=b"", new_equipment=(LIFT,)))
    yield found
    await found.close()


async def commit(store: PostgresStore, position: int, *changes: FaultChange) -> None:
    await store.commit(Commit(position=position, journal=b"", faults=changes))


async def counted(database: Database) -> tuple[int, int]:
    (one,) = await PostgresFigures(database).equipment_figures(NOW - 10**9, NOW + 10**9, None)
    return one.faults_raised, one.entrapments


async def test_a_fault_is_raised_and_cleared(store: PostgresStore, each_database: Database) -> None:
    faults = Faults(each_database)
    first = raised(1_000, since=500)
    await commit(store, 1, first)
    (line,) = await faults.newest(10, open_only=True)
    assert (line.fault_id, line.since_ms, line.raised_ms, line.cleared_ms) == (
        first.fault_id,
        NOW + 500,
        NOW + 1_000,
        None,
    )
    assert line.evidence == {"floor": 3, "speed": None, "text": "困\ufffd人 ?"}
    await commit(store, 2, cleared(first, 9_000))
    assert await faults.newest(10, open_only=True) == []
    (line,) = await faults.newest(10, division="320500")
    assert (line.cleared_ms, line.clear_evidence) == (NOW + 9_000, {"why": "door open"})
    assert await faults.newest(10, division="320600") == []
    assert await counted(each_database) == (1, 1)


async def test_a_raise_of_a_kind_that_is_open_is_kept_and_not_counted(
    store: PostgresStore, each_database: Database
) -> None:
    first, second, third = raised(0), raised(10), raised(20)
    await commit(store, 1, first, second)
    await commit(store, 2, third)
    assert await counted(each_database) == (1, 1)
    await commit(store, 3, cleared(second, 30))
    assert {line.fault_id for line in await Faults(each_database).newest(9, open_only=True)} == {
        first.fault_id,
        third.fault_id,
    }
    await commit(store, 4, cleared(first, 40), raised(50))
    assert await counted(each_database) == (2, 2)


async def test_raised_cleared_and_raised_again_in_one_batch(store: PostgresStore, each_database: Database) -> None:
    first, second = raised(0), raised(10)
    await commit(store, 1, first, cleared(first, 5), second)
    (line,) = await Faults(each_database).newest(10, open_only=True)
    assert line.fault_id == second.fault_id
    assert await counted(each_database) == (2, 2)


async def test_a_button_and_a_mode_are_no_faults_and_a_button_is_never_open(
    store: PostgresStore, each_database: Database
) -> None:
    await commit(
        store, 1, raised(0, FaultKind.CAR_ALARM_BUTTON), raised(1, FaultKind.CAR_ALARM_BUTTON),
        raised(2, FaultKind.INSPECTION),
    )  # fmt: skip
    (line,) = await Faults(each_database).newest(10, open_only=True)
    assert line.kind == "inspection"
    assert len(await Faults(each_database).newest(10)) == 3
    assert await counted(each_database) == (0, 0)


async def test_the_same_change_again_is_nothing(store: PostgresStore, each_database: Database) -> None:
    first = raised(0)
    await commit(store, 1, first)
    await commit(store, 2, first)
    await commit(store, 3, cleared(first, 10))
    await commit(store, 4, cleared(first, 99))
    (line,) = await Faults(each_database).newest(10)
    assert line.cleared_ms == NOW + 10
    assert await counted(each_database) == (1, 1)


async def test_the_feed_tells_every_change_once_in_order_as_it_is_committed(
    store: PostgresStore, each_database: Database
) -> None:
    faults = Faults(each_database)
    first = raised(0)
    await commit(store, 1, first)
    seen: list[tuple[int, str, str]] = []

    async def follow() -> None:
        async for line in faults.follow(0, poll_s=60):
            seen.append((line.position, line.state.value, line.fault.kind))
            if len(seen) == 5:
                return

    following = asyncio.create_task(follow())
    await commit(store, 2, raised(1, FaultKind.CAR_ALARM_BUTTON))
    second = raised(4, FaultKind.OFFLINE)
    await commit(store, 3, cleared(first, 3), second)
    await commit(store, 4, cleared(second, 9))
    await asyncio.wait_for(following, 20)  # far less than poll_s: the notice wakes
    assert seen == [
        (1, "raised", "entrapment"),
        (2, "raised", "car_alarm_button"),
        (3, "cleared", "entrapment"),
        (3, "raised", "offline"),
        (4, "cleared", "offline"),
    ]
    assert await faults.position() == 4
