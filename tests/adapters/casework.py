"""A monitor's store on a database with a few lifts, and faults and people that make incidents there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest_asyncio

from monitor.adapters.cases import Case
from monitor.adapters.feed import Change as Told
from monitor.adapters.feed import Feed, Topic, publish
from monitor.adapters.incident_pages import Incidents, IncidentsAsked, timeline_json
from monitor.adapters.incidents import Acted, act
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.store import PostgresStore
from monitor.domain.access import Scope
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.fault import FaultChange, FaultKind, FaultState
from monitor.domain.incident import Status, Step
from monitor.domain.respond import Action
from tests.adapters.test_store import NOW

SHANGHAI = ZoneInfo("Asia/Shanghai")
DEADLINE_S = 30
EVERYTHING = Scope()


def lift(number: int, division: str = "320500", firm: str | None = "F1") -> Equipment:
    return Equipment(
        number=number,
        equipment_id=f"LIFT-{number}",
        division=division,
        kind=EquipmentKind.LIFT,
        firm_id=firm,
        rescue_code=f"{number:06d}",
        place={"address": f"{number} Main Street"},
    )


def raised(kind: FaultKind, at: int = 0, *, number: int = 1, since: int | None = None) -> FaultChange:
    return FaultChange(
        at_ms=NOW + at,
        number=number,
        equipment_id=f"LIFT-{number}",
        kind=kind,
        state=FaultState.RAISED,
        since_ms=NOW + (at - 20_000 if since is None else since),
        raised_at_ms=NOW + at,
        evidence={"source": f"rule:{kind.value}", "floor": 3},
    )


def cleared(of: FaultChange, at: int) -> FaultChange:
    return replace(of, at_ms=NOW + at, state=FaultState.CLEARED, evidence={"source": "door"})


class Centre:
    """A monitor's store on a database with a few lifts, and what readers see of it."""

    def __init__(self, database: Database, store: PostgresStore) -> None:
        self.database, self.store = database, store
        self.incidents, self.feed = Incidents(database), Feed(database)
        self.position = 0

    async def batch(self, *changes: FaultChange) -> Commit:
        self.position += 1
        commit = Commit(position=self.position, journal=b"", faults=changes)
        await self.store.commit(commit)
        return commit

    async def all(self) -> list[Case]:
        return await self.incidents.page(EVERYTHING, IncidentsAsked(), 500)

    async def only(self) -> Case:
        (case,) = await self.all()
        return case

    async def told(self, *topics: Topic) -> list[Told]:
        return [change for change in await self.feed.after(0) if not topics or change.topic in topics]

    async def act(self, case: Case, step: Step, text: str = "", at: int = 60_000) -> Acted | None:
        """What the API does: one transaction, the feed last."""
        async with self.database.session() as session, session.transaction():
            acted = await act(session, case.incident.incident_id, by_person(case, step, text), NOW + at)
            if acted is not None:
                await publish(session, acted.lines)
            return acted

    async def timeline(self) -> list[dict[str, Any]]:
        found = await self.incidents.one((await self.only()).incident.incident_id)
        assert found is not None
        return list(timeline_json(found)["timeline"])


def by_person(case: Case, step: Step, text: str = "") -> Action:
    return Action(step=step, version=case.incident.version, actor="wang", role="operator", text=text)


@pytest_asyncio.fixture
async def centre(database_url: str) -> AsyncIterator[Centre]:
    database = Database(database_url, connections=12)
    store = PostgresStore(database, zone=SHANGHAI)
    await store.acquire()
    await Registry(database).import_equipment([lift(1), lift(2, "310101", "F2"), lift(3, "310104")])
    await store.load(NOW)
    yield Centre(database, store)
    await store.close()
    await database.close()


def brief(case: Case) -> tuple[str, str, Status, int]:
    one = case.incident
    return one.kind.value, one.severity.name, one.status, len(one.open_faults)


async def waits_for_lock(database: Database) -> bool:
    """Whether somebody waits for somebody else's lock there."""
    async with database.session() as session:
        return bool(
            await session.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )


async def grow(centre: Centre, count: int) -> None:
    """As many lifts, under the numbers from 1 on."""
    async with centre.database.session() as session:
        await session.execute(
            "INSERT INTO tiwei.equipment (number, equipment_id, division, kind, registered)"
            " SELECT n, 'LIFT-' || n, '320500', 'lift', true FROM generate_series(4, $1::integer) AS n",
            count,
        )
