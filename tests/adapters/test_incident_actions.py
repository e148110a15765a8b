"""People at incidents: one step at a time under the row's lock, and what they find when they look."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest

from monitor.adapters import incidents
from monitor.adapters.cases import Case, incident_json
from monitor.adapters.feed import Topic, publish
from monitor.adapters.incident_pages import IncidentsAsked
from monitor.adapters.incidents import Acted, act
from monitor.domain.access import Scope
from monitor.domain.fault import FaultKind
from monitor.domain.incident import StaleVersionError, Status, Step
from tests.adapters.casework import (
    DEADLINE_S,
    EVERYTHING,
    Centre,
    brief,
    by_person,
    cleared,
    grow,
    raised,
    waits_for_lock,
)
from tests.adapters.test_store import NOW
from tests.waiting import eventually_told


async def test_an_action_is_one_step_and_one_line_of_the_feed(centre: Centre) -> None:
    await centre.batch(raised(FaultKind.ENTRAPMENT))
    acted = await centre.act(await centre.only(), Step.DISPATCH, "team 7")
    assert acted is not None
    assert acted.case == await centre.only()
    assert acted.change.incident.status is Status.DISPATCHED
    told = (await centre.told())[-1]
    assert told.body == {"incident": incident_json(acted.case), "entry": (await centre.timeline())[1]}
    assert (told.topic, told.division, told.firm_id, told.number) == (Topic.INCIDENT, "320500", "F1", 1)
    entry = told.body["entry"]
    assert (entry["actor"], entry["source"], entry["clock"]) == ("wang", "operator", "centre")
    assert (entry["what"], entry["reason"], entry["detail"]) == ("dispatch", "operator", {"text": "team 7"})
    async with centre.database.session() as session:
        action = by_person(acted.case, Step.NOTE, "x")
        assert await act(session, uuid.uuid4(), action, NOW) is None


async def test_of_two_people_one_wins_and_the_other_is_told(centre: Centre) -> None:
    await centre.batch(raised(FaultKind.ENTRAPMENT))
    seen = await centre.only()
    results = await asyncio.gather(
        centre.act(seen, Step.DISPATCH), centre.act(seen, Step.ARRIVE), return_exceptions=True
    )
    (won,) = [one for one in results if isinstance(one, Acted)]
    (lost,) = [one for one in results if isinstance(one, StaleVersionError)]
    assert lost.present == won.case.incident == (await centre.only()).incident
    assert len(await centre.timeline()) == 2


async def test_many_people_and_batches_at_once_leave_one_whole_timeline(centre: Centre) -> None:
    shut_in = raised(FaultKind.ENTRAPMENT)
    await centre.batch(shut_in)

    async def person(n: int) -> int:
        done = 0
        while done < 6:
            try:
                await centre.act(await centre.only(), Step.NOTE, f"{n}-{done}")
                done += 1
            except StaleVersionError:
                continue
        return done

    async def monitor() -> None:
        for n in range(10):
            fault = raised(FaultKind.OVERSPEED, 1_000 * n)
            await centre.batch(fault)
            await centre.batch(cleared(fault, 1_000 * n + 500))

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(monitor(), *(person(n) for n in range(4)))
    case, timeline = await centre.only(), await centre.timeline()
    assert case.incident.version == len(timeline) == 1 + 20 + 24
    assert [line["place"] for line in timeline] == list(range(1, 46))
    told = [change.body["entry"]["place"] for change in await centre.told(Topic.INCIDENT)]
    assert told == list(range(1, 46))


async def test_a_batch_waits_for_an_action_and_decides_by_what_it_left(centre: Centre) -> None:
    speed = raised(FaultKind.OVERSPEED)
    await centre.batch(speed)
    case = await centre.only()
    person = await centre.database.alone()
    transaction = person.transaction()
    await transaction.start()
    acted = await act(person, case.incident.incident_id, by_person(case, Step.CLOSE), NOW + 5_000)
    assert acted is not None
    again = raised(FaultKind.PIT_OVERRUN, 6_000)
    batch = asyncio.create_task(centre.batch(cleared(speed, 6_000), again))
    await eventually_told(lambda: waits_for_lock(centre.database))
    await publish(person, acted.lines)
    await transaction.commit()
    await asyncio.wait_for(batch, DEADLINE_S)
    newest, oldest = await centre.all()
    assert oldest.incident == replace(acted.case.incident, open_faults=frozenset())  # it cleared after the end
    assert brief(newest) == ("fault", "HIGH", Status.REPORTED, 1)
    assert [change.topic.value for change in await centre.told()][-4:] == ["incident", "fault", "fault", "incident"]
    await person.close()


async def test_a_person_that_stands_still_with_the_lock_does_not_stop_detection(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "PATIENCE_MS", 100)
    await centre.batch(raised(FaultKind.ENTRAPMENT))
    case = await centre.only()
    stuck = await centre.database.alone()
    await stuck.execute("BEGIN")
    assert await act(stuck, case.incident.incident_id, by_person(case, Step.DISPATCH), NOW) is not None
    await asyncio.wait_for(centre.batch(raised(FaultKind.OVERSPEED, 1_000)), DEADLINE_S)
    after = await centre.only()
    assert (after.incident.status, after.incident.version) == (Status.REPORTED, 2)
    stuck.terminate()


async def _pages(centre: Centre, scope: Scope, asked: IncidentsAsked, limit: int) -> list[Sequence[Case]]:
    pages: list[Sequence[Case]] = []
    before = None
    while found := await centre.incidents.page(scope, asked, limit, before=before):
        pages.append(found)
        before = (found[-1].incident.opened_at_ms, found[-1].incident.incident_id)
    return pages


async def test_pages_go_through_everything_once_also_where_many_opened_at_one_instant(centre: Centre) -> None:
    await grow(centre, 30)
    await centre.batch(*(raised(FaultKind.ENTRAPMENT, 1_000 * (n // 10), number=n) for n in range(1, 31)))
    pages = await _pages(centre, EVERYTHING, IncidentsAsked(), 7)
    everything = [one.incident for page in pages for one in page]
    assert len({one.incident_id for one in everything}) == len(everything) == 30
    assert [one.opened_at_ms for one in everything] == sorted((one.opened_at_ms for one in everything), reverse=True)
    numbers = {n: one.incident_id for one in everything for n in [one.number]}
    assert await centre.incidents.open_of([1, 2, 99]) == {1: numbers[1], 2: numbers[2]}


@pytest.mark.parametrize(
    ("scope", "asked", "found"),
    [
        (Scope(), IncidentsAsked(), {1, 2, 3}),
        (Scope(division="310000"), IncidentsAsked(), {2, 3}),
        (Scope(division="310101"), IncidentsAsked(), {2}),
        (Scope(firm_id="F1"), IncidentsAsked(), {1, 3}),
        (Scope(division="310000"), IncidentsAsked(division="320000"), set()),
        (Scope(), IncidentsAsked(division="310100"), {2, 3}),
        (Scope(), IncidentsAsked(firm_id="F2\0"), set()),
        (Scope(), IncidentsAsked(open_only=True), {1, 2}),
        (Scope(), IncidentsAsked(statuses=[Status.CLOSED, Status.DISPATCHED]), {2, 3}),
        (Scope(), IncidentsAsked(equipment_id="LIFT-2"), {2}),
        (Scope(), IncidentsAsked(from_ms=NOW + 1_000), {2, 3}),
        (Scope(), IncidentsAsked(from_ms=NOW, to_ms=NOW + 1_000), {1}),
    ],
)
async def test_what_is_asked_for_is_what_is_found(
    centre: Centre, scope: Scope, asked: IncidentsAsked, found: set[int]
) -> None:
    await centre.batch(
        raised(FaultKind.ENTRAPMENT),
        raised(FaultKind.ENTRAPMENT, 1_000, number=2),
        raised(FaultKind.OVERSPEED, 2_000, number=3),
    )
    third, second, _ = await centre.all()
    await centre.act(second, Step.DISPATCH)
    await centre.act(third, Step.CLOSE)
    seen = await centre.incidents.page(scope, asked, 500)
    assert {one.incident.number for one in seen} == found
    if scope.whole:
        assert len(await centre.incidents.open_now(scope)) == 2
    assert await centre.incidents.one(uuid.uuid4()) is None
