"""Incidents in the database: one open for each equipment, whatever faults come and whatever is cut off."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace

import asyncpg
import pytest

from monitor.adapters.cases import incident_json
from monitor.adapters.feed import Topic
from monitor.adapters.registry import Registry
from monitor.domain.commit import Commit
from monitor.domain.errors import UnavailableError
from monitor.domain.fault import FaultKind
from monitor.domain.incident import Status
from tests.adapters.casework import (
    DEADLINE_S,
    EVERYTHING,
    Centre,
    brief,
    cleared,
    grow,
    lift,
    raised,
    waits_for_lock,
)
from tests.waiting import eventually_told


async def test_open_join_graver_clear_and_nothing_closes_over_peoples_heads(centre: Centre) -> None:
    door, shut_in = raised(FaultKind.DOOR_OPEN_FAULT), raised(FaultKind.ENTRAPMENT, 5_000)
    await centre.batch(door)
    assert brief(await centre.only()) == ("fault", "MEDIUM", Status.REPORTED, 1)
    await centre.batch(shut_in)
    assert brief(await centre.only()) == ("entrapment", "CRITICAL", Status.REPORTED, 2)
    await centre.batch(cleared(shut_in, 9_000), cleared(door, 9_500))
    case = await centre.only()
    assert brief(case) == ("entrapment", "CRITICAL", Status.REPORTED, 0)
    assert [
        (line["place"], line["what"], line["reason"], line["detail"]["kind"]) for line in await centre.timeline()
    ] == [
        (1, "fault_raised", "first_fault", "door_open_fault"),
        (2, "fault_raised", "graver_fault", "entrapment"),
        (3, "fault_cleared", "fault_cleared", "entrapment"),
        (4, "fault_cleared", "fault_cleared", "door_open_fault"),
    ]
    assert case.incident.version == 4


async def test_each_entry_says_whose_clock_and_who_said_so(centre: Centre) -> None:
    shut_in = raised(FaultKind.ENTRAPMENT)
    await centre.batch(shut_in)
    await centre.batch(cleared(shut_in, 9_000))
    first, second = await centre.timeline()
    assert (first["occurred_at"], first["entered_at"]) == ("2025-12-31T23:59:40.000Z", "2026-01-01T00:00:00.000Z")
    assert (first["clock"], first["source"], first["actor"]) == ("device", "rule:entrapment", None)
    assert (second["occurred_at"], second["clock"], second["source"]) == (
        "2026-01-01T00:00:09.000Z",
        "receiver",
        "door",
    )
    assert first["detail"]["fault_id"] == str(shut_in.fault_id)
    assert first["detail"]["evidence"] == {"source": "rule:entrapment", "floor": 3}


async def test_what_nobody_is_in_settles_itself_and_the_next_fault_is_the_next_incident(centre: Centre) -> None:
    first, second = raised(FaultKind.OVERSPEED), raised(FaultKind.OVERSPEED, 3_000)
    await centre.batch(first, cleared(first, 1_000), second)
    newest, oldest = await centre.all()
    assert brief(oldest) == ("fault", "HIGH", Status.CLOSED, 0)
    assert brief(newest) == ("fault", "HIGH", Status.REPORTED, 1)
    assert (oldest.facts.incident_no, newest.facts.incident_no) == ("20260101-0001", "20260101-0002")
    third = raised(FaultKind.PIT_OVERRUN, 9_000)
    await centre.batch(cleared(second, 8_000), third)
    assert [one.incident.status for one in await centre.all()] == [Status.REPORTED, Status.CLOSED, Status.CLOSED]


async def test_a_button_opens_one_that_only_a_person_closes(centre: Centre) -> None:
    await centre.batch(raised(FaultKind.CAR_ALARM_BUTTON))
    await centre.batch(raised(FaultKind.CAR_ALARM_BUTTON, 4_000))
    assert brief(await centre.only()) == ("alarm", "HIGH", Status.REPORTED, 0)
    states = [(change.body["state"], change.body["fault"]["cleared_at"]) for change in await centre.told(Topic.FAULT)]
    assert states == [("raised", "2026-01-01T00:00:00.000Z"), ("raised", "2026-01-01T00:00:04.000Z")]


async def test_what_is_for_the_maintenance_list_is_only_told(centre: Centre) -> None:
    await centre.batch(raised(FaultKind.OFFLINE), raised(FaultKind.PASSENGER_SENSOR_STUCK))
    assert await centre.all() == []
    assert [change.topic for change in await centre.told(Topic.FAULT, Topic.INCIDENT)] == [Topic.FAULT] * 2


async def test_the_feed_tells_each_fault_and_then_what_became_of_the_incident(centre: Centre) -> None:
    shut_in = raised(FaultKind.ENTRAPMENT)
    await centre.batch(shut_in, cleared(shut_in, 5_000), raised(FaultKind.OFFLINE, 5_000, number=2))
    told = await centre.told(Topic.FAULT, Topic.INCIDENT)
    assert [(change.topic.value, change.number, change.division, change.firm_id) for change in told] == [
        ("fault", 1, "320500", "F1"),
        ("incident", 1, "320500", "F1"),
        ("fault", 1, "320500", "F1"),
        ("incident", 1, "320500", "F1"),
        ("fault", 2, "310101", "F2"),
    ]
    first, opened, second, noted, _ = (change.body for change in told)
    assert first == {
        "state": "raised",
        "fault": {
            "fault_id": str(shut_in.fault_id),
            "equipment_id": "LIFT-1",
            "division": "320500",
            "kind": "entrapment",
            "since_at": "2025-12-31T23:59:40.000Z",
            "raised_at": "2026-01-01T00:00:00.000Z",
            "cleared_at": None,
            "repeated": False,
            "evidence": {"source": "rule:entrapment", "floor": 3},
            "clear_evidence": None,
        },
    }
    assert (second["state"], second["fault"]["cleared_at"]) == ("cleared", "2026-01-01T00:00:05.000Z")
    assert opened["incident"]["open_faults"] == [{"fault_id": str(shut_in.fault_id), "kind": "entrapment"}]
    assert (opened["incident"]["version"], opened["entry"]["place"]) == (1, 1)
    assert (opened["incident"]["address"], opened["incident"]["rescue_code"]) == ("1 Main Street", "000001")
    assert noted["incident"] == incident_json(await centre.only())
    assert noted["entry"] == (await centre.timeline())[1]


async def test_a_batch_twice_and_a_fault_twice_change_nothing(centre: Centre) -> None:
    shut_in = raised(FaultKind.ENTRAPMENT)
    commit = await centre.batch(shut_in)
    before = await centre.told(), await centre.all()
    await centre.store.commit(commit)
    await centre.batch(shut_in)
    assert (await centre.told(), await centre.all()) == before
    await centre.batch(cleared(shut_in, 5_000), cleared(shut_in, 5_000))
    after = await centre.told(), await centre.all()
    await centre.batch(cleared(shut_in, 8_000))
    assert (await centre.told(), await centre.all()) == after
    assert len(await centre.timeline()) == 2


async def test_the_number_is_of_the_day_at_the_centre(centre: Centre) -> None:
    evening = 15 * 3_600_000 + 59 * 60_000  # 23:59 in Shanghai
    await centre.batch(
        raised(FaultKind.ENTRAPMENT, evening),
        raised(FaultKind.ENTRAPMENT, evening + 120_000, number=2),
        raised(FaultKind.ENTRAPMENT, evening + 180_000, number=3),
    )
    assert sorted(one.facts.incident_no for one in await centre.all()) == [
        "20260101-0001", "20260102-0001", "20260102-0002",
    ]  # fmt: skip


async def test_division_and_firm_are_those_of_the_opening(centre: Centre) -> None:
    await centre.batch(raised(FaultKind.ENTRAPMENT))
    await Registry(centre.database).import_equipment([lift(1, "440300", "F9")])
    await centre.batch(raised(FaultKind.OVERSPEED, 9_000))
    case = await centre.only()
    assert (case.facts.division, case.facts.firm_id) == ("320500", "F1")
    fault, incident = (await centre.told(Topic.FAULT, Topic.INCIDENT))[-2:]
    assert (fault.division, fault.firm_id) == ("440300", "F9")
    assert (incident.division, incident.body["incident"]["firm_id"]) == ("320500", "F1")


async def test_the_table_itself_takes_no_second_open_one(centre: Centre) -> None:
    await centre.batch(raised(FaultKind.ENTRAPMENT))
    with pytest.raises(asyncpg.UniqueViolationError, match="incident_open"):
        await _open_by_hand(await centre.database.alone(), 1, close=True)


async def _open_by_hand(session: asyncpg.Connection[asyncpg.Record], number: int, *, close: bool = False) -> uuid.UUID:
    """Another side opens an incident (a call that came in)."""
    incident_id = uuid.uuid4()
    try:
        await session.execute(
            "INSERT INTO tiwei.incident (incident_id, incident_no, number, kind, severity, status, level, people,"
            " opened_at, since_at, version)"
            " VALUES ($1, 'by hand', $2, 'alarm', 3, 'REPORTED', 1, true, now(), now(), 1)",
            incident_id,
            number,
        )
    finally:
        if close:
            await session.close()
    return incident_id


async def test_a_batch_joins_what_another_side_opened_at_the_same_moment(centre: Centre) -> None:
    other = await centre.database.alone()
    transaction = other.transaction()
    await transaction.start()
    mine = await _open_by_hand(other, 1)
    batch = asyncio.create_task(centre.batch(raised(FaultKind.ENTRAPMENT)))
    await eventually_told(lambda: waits_for_lock(centre.database))
    await transaction.commit()
    await asyncio.wait_for(batch, DEADLINE_S)
    case = await centre.only()
    assert case.incident.incident_id == mine
    assert brief(case) == ("entrapment", "CRITICAL", Status.REPORTED, 1)
    await other.close()


async def test_cut_off_between_leaves_nothing_and_the_same_batch_again_is_whole(centre: Centre) -> None:
    await centre.batch()
    other = await centre.database.alone()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM tiwei.change_head FOR UPDATE")  # the batch gets as far as its last statement
    changes = (raised(FaultKind.ENTRAPMENT), raised(FaultKind.ENTRAPMENT, number=2))
    commit = Commit(position=2, journal=b"", faults=changes)
    batch = asyncio.create_task(centre.store.commit(commit))
    await eventually_told(lambda: waits_for_lock(centre.database))
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(batch, DEADLINE_S)
    await transaction.rollback()
    assert await centre.all() == []
    assert await centre.told(Topic.FAULT, Topic.INCIDENT) == []

    async def again() -> bool:
        try:
            await centre.store.commit(commit)
        except UnavailableError:
            return False
        return True

    assert await eventually_told(again)
    assert sorted(one.facts.incident_no for one in await centre.all()) == ["20260101-0001", "20260101-0002"]
    assert len(await centre.told(Topic.FAULT, Topic.INCIDENT)) == 4
    await other.close()


async def test_five_hundred_entrapments_in_one_batch_are_quick(centre: Centre) -> None:
    """An earthquake, or a power cut in a city: nothing may take a round trip for each."""
    count = 500
    await grow(centre, count)
    changes = [raised(FaultKind.ENTRAPMENT, number=n) for n in range(1, count + 1)]
    began = time.perf_counter()
    await centre.batch(*changes)
    took = time.perf_counter() - began
    assert len(await centre.incidents.open_now(EVERYTHING)) == count
    assert max(one.facts.incident_no for one in await centre.all()) == f"20260101-{count:04d}"
    print(f"{count} entrapments: {took * 1000:.0f} ms")
    assert took < 2.0


async def test_equipment_met_on_the_wire_is_told_with_its_batch(centre: Centre) -> None:
    before = await centre.feed.position()
    met = replace(lift(40), registered=False)
    shut_in = raised(FaultKind.ENTRAPMENT, number=40)
    await centre.store.commit(Commit(position=1, journal=b"", new_equipment=(met,), faults=(shut_in,)))
    told = await centre.feed.after(before)
    assert [change.topic for change in told] == [Topic.REGISTRY, Topic.FAULT, Topic.INCIDENT]
    assert told[0].body == {"equipment_ids": ["LIFT-40"]}
    assert (await centre.only()).facts.division == "320500"
