"""Reports: periods as people write them, figures as published for recorded data (protocol §10)."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from monitor.adapters.maintain import PostgresUpkeep
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.errors import SettingsError
from monitor.domain.fault import FaultChange, FaultKind, FaultState
from monitor.domain.figures import EquipmentFigures
from monitor.services.maintain import Keeping, maintain
from monitor.services.report import Period, period, report
from tests.adapters.test_store import readings
from tests.databases import each_database, each_server, each_url, hypertable_server
from tests.metro import DATA, figures_agree

__all__ = ["each_database", "each_server", "each_url", "hypertable_server"]

SHANGHAI = ZoneInfo("Asia/Shanghai")
BATCH = 2_000


@pytest.mark.parametrize(
    ("begin", "end", "from_ms", "to_ms"),
    [
        ("1970-01-01", "1970-01-01", -28_800_000, 57_600_000),
        ("1970-01-01T00:00:00Z", "1970-01-01t00:00:01.5+00:00", 0, 1_500),
        ("1970-01-01 00:00:00.0019z", "1970-01-01T08:00:01+08:00", 2, 1_000),
        ("2026-01-31", "2026-02-01T00:00:00+08:00", 1_769_788_800_000, 1_769_875_200_000),
    ],
)
def test_a_period_is_from_the_first_moment_to_before_the_last(begin: str, end: str, from_ms: int, to_ms: int) -> None:
    found = period(begin, end, "320500", SHANGHAI)
    assert (found.from_ms, found.to_ms, found.division) == (from_ms, to_ms, "320500")


def test_a_day_on_which_the_clock_is_changed_has_its_own_length() -> None:
    found = period("2026-03-29", "2026-03-29", None, ZoneInfo("Europe/Berlin"))
    assert found.to_ms - found.from_ms == 23 * 3_600_000


@pytest.mark.parametrize(
    ("begin", "end", "division"),
    [
        ("2026-02-30", "2026-03-01", None),
        ("2026-01-02", "2026-01-01", None),
        ("2026-01-01T00:00:00", "2026-01-02", None),
        ("yesterday", "2026-01-02", None),
        ("2026-01-01", "9999-12-31", None),
        ("20260101", "2026-01-02", None),
        ("2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", None),
        ("2026-01-01", "2026-01-02", "3205"),
    ],
)
def test_what_is_no_period_is_told(begin: str, end: str, division: str | None) -> None:
    with pytest.raises(SettingsError):
        period(begin, end, division, SHANGHAI)


async def test_the_report_says_what_is_known_and_nothing_else() -> None:
    class Given:
        async def equipment_figures(self, *asked: Any) -> list[EquipmentFigures]:
            assert asked == (1_767_196_800_000, 1_767_283_200_000, None)
            figures = {"faults_raised": 3, "entrapments": 1, "normal_ms": 2}
            return [
                EquipmentFigures(equipment_id="A", known_ms=3, **figures),
                EquipmentFigures(equipment_id="B", known_ms=0, **{**figures, "normal_ms": 0}),
            ]

    assert await report(Given(), period("2026-01-01", "2026-01-01", None, SHANGHAI)) == {
        "period": {"from": "2026-01-01T00:00:00+08:00", "to": "2026-01-02T00:00:00+08:00", "division": None},
        "equipment": [
            {"equipment_id": "A", "faults_raised": 3, "entrapments": 1, "availability": 0.666667},
            {"equipment_id": "B", "faults_raised": 3, "entrapments": 1, "availability": None},
        ],
    }


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            yield json.loads(line)


def _samples(batch: list[dict[str, Any]], numbers: dict[str, int]) -> Any:
    samples = [one for one in batch if one["topic"].endswith("/status")]
    rows = readings(len(samples))
    rows["number"] = [numbers[one["topic"].split("/")[4]] for one in samples]
    for name in ("time_ms", "ts"):
        rows[name] = [one["payload"]["ts"] for one in samples]
    rows["received_ms"] = [one["at"] for one in samples]
    rows["seq"] = [one["payload"]["seq"] for one in samples]
    rows["service_mode"] = [one["payload"]["service_mode"] for one in samples]
    return rows


def _faults(batch: list[dict[str, Any]], numbers: dict[str, int], running: dict[str, int]) -> Iterator[FaultChange]:
    """Reported faults as the stream has them; `running`: since when one is open, by equipment."""
    for one in batch:
        if not one["topic"].endswith("/event"):
            continue
        unit, at, state = one["topic"].split("/")[4], one["at"], FaultState(one["payload"]["state"])
        began = running.setdefault(unit, at)
        if state is FaultState.CLEARED:
            del running[unit]
        yield FaultChange(
            at_ms=at,
            number=numbers[unit],
            equipment_id=unit,
            kind=FaultKind.REPORTED_FAULT,
            state=state,
            since_ms=began,
            raised_at_ms=began,
            evidence={"vendor_code": one["payload"]["vendor_code"]},
        )


async def _feed(database: Database, path: Path) -> None:
    """The stream straight into the store, without the pipeline."""
    records = _records(path)
    registry = Registry(database)
    store = PostgresStore(database)
    await store.acquire()
    await registry.import_equipment(
        Equipment(
            number=0,
            equipment_id=one["equipment_id"],
            division=one["division"],
            kind=EquipmentKind(one["kind"]),
            reports=Reports(one["reports"]),
        )
        for one in next(records)["registry"]
    )
    await store.load(1_767_225_600_000)
    numbers = {one.equipment_id: one.number for one in await registry.equipment()}
    rest, running = list(records), dict[str, int]()
    for position, start in enumerate(range(0, len(rest), BATCH)):
        batch = rest[start : start + BATCH]
        rows = _samples(batch, numbers)
        faults = tuple(_faults(batch, numbers, running))
        await store.commit(Commit(position=position, journal=b"", readings=rows, faults=faults))
    await store.close()


@pytest_asyncio.fixture
async def wmata(each_database: Database) -> AsyncIterator[Database]:
    path = DATA / "wmata-half.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"NOT COVERED HERE: no recorded public data in {DATA}")
    await _feed(each_database, path)
    yield each_database


@pytest.mark.public_data
async def test_recorded_metro_from_samples_and_from_rollups(wmata: Database) -> None:
    await figures_agree(wmata)
    done = await maintain(PostgresUpkeep(wmata), Keeping(history_days=9_000, rollup_days=9_000), 1_767_225_600_000)
    assert done is not None
    assert done.rolled_hours > 10_000
    await figures_agree(wmata)
    await maintain(PostgresUpkeep(wmata), Keeping(history_days=90, rollup_days=9_000), 1_767_225_600_000)
    async with wmata.session() as session:
        assert await session.fetchval("SELECT count(*) FROM tiwei.reading") == 0
    await figures_agree(wmata)


def test_a_period_is_a_value() -> None:
    assert period("2026-01-01", "2026-01-01", None, SHANGHAI) == Period(
        begin=period("2026-01-01", "2026-01-02", None, SHANGHAI).begin,
        end=period("2026-01-02", "2026-01-02", None, SHANGHAI).begin,
    )
