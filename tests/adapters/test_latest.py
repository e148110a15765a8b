"""What is shown, in the database and in the feed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.adapters.feed import Feed, Topic
from monitor.adapters.latest import SILENT, Latest
from monitor.adapters.pool import Database
from monitor.adapters.schema import migrate
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import UnavailableError
from monitor.messages.samples import absent_rows
from monitor.services import showing

T0 = 1_767_254_400_123


@dataclass(frozen=True)
class Flush:
    """As `monitor.services.showing.Flush`."""

    rows: NDArray[np.void]
    equipment: tuple[Equipment, ...]
    quantities: dict[int, dict[str, float]] = field(default_factory=dict)


def flush(numbers: range | list[int], **changes: Any) -> Flush:
    rows = absent_rows(len(numbers))
    rows["number"] = numbers
    rows["time_ms"], rows["received_ms"] = T0, T0 + 50
    for name, value in changes.items():
        rows[name] = value
    return Flush(
        rows,
        tuple(
            Equipment(
                number=number,
                equipment_id=f"L{number}",
                division="310104",
                kind=EquipmentKind.LIFT,
                firm_id='Über "Lift"' if number % 2 else None,
            )
            for number in numbers
        ),
    )


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.session() as session:
        return [tuple(row) for row in await session.fetch(query)]


async def test_a_flush_is_stored_and_told_whole(each_database: Database) -> None:
    await migrate(each_database)
    latest, feed = Latest(each_database), Feed(each_database)
    full = {"service_mode": 1, "car_status": 1, "car_direction": 2, "door_zone": 0, "door_closed": 1, "passenger": 1}
    floats = {"speed_mps": 1.6, "position_m": np.nan, "load_kg": 70.0, "car_position": -2, "run_count": 99}
    await latest.show(flush([7, 8], **full, **floats, flags=[SILENT, 0]))
    assert await rows(
        each_database,
        "SELECT number, silent, service_mode, car_status, car_direction, door_zone, door_closed, passenger, power,"
        " car_position, run_count, position_m, load_kg, quantities FROM tiwei.latest ORDER BY number",
    ) == [
        (7, True, 1, 1, 2, 0, 1, 1, None, -2, 99, None, 70.0, None),
        (8, False, 1, 1, 2, 0, 1, 1, None, -2, 99, None, 70.0, None),
    ]
    (change,) = await feed.after(0)
    assert (change.topic, change.division, change.firm_id, change.number) == (Topic.STATES, None, None, None)
    first, second = change.body["states"]
    assert first == {
        "equipment_id": "L7",
        "division": "310104",
        "firm_id": 'Über "Lift"',
        "sampled_at": "2026-01-01T08:00:00.123Z",
        "received_at": "2026-01-01T08:00:00.173Z",
        "silent": True,
        "service_mode": 1,
        "car_status": 1,
        "car_direction": 2,
        "door_zone": 0,
        "car_position": -2,
        "door_closed": 1,
        "passenger": 1,
        "speed_mps": 1.6,
        "position_m": None,
        "power": None,
        "load_kg": 70.0,
        "run_count": 99,
        "quantities": None,
    }
    assert (second["equipment_id"], second["firm_id"], second["silent"]) == ("L8", None, False)
    await latest.close()


async def test_the_next_flush_replaces_and_loading_gives_the_last(each_database: Database) -> None:
    await migrate(each_database)
    latest = Latest(each_database)
    await latest.show(flush(range(1, 601), service_mode=1, speed_mps=1.0))
    again = flush(range(1, 301), service_mode=2)
    again.quantities[5] = {"pressure": 1.5, "odd\0name": float("nan")}
    await latest.show(again)
    loaded, quantities = await latest.load()
    loaded.sort(order="number")
    assert loaded["number"].tolist() == list(range(1, 601))
    assert loaded["service_mode"].tolist() == [2] * 300 + [1] * 300
    assert np.isnan(loaded["speed_mps"]).tolist() == [True] * 300 + [False] * 300
    assert set(loaded["received_ms"].tolist()) == {T0 + 50}
    assert quantities == {5: {"pressure": 1.5, "odd\ufffdname": None}}
    (_, change) = await Feed(each_database).after(0)
    assert len(change.body["states"]) == 300
    assert change.body["states"][4]["quantities"] == quantities[5]
    await latest.close()


async def test_a_lost_connection_is_told_and_the_next_flush_makes_a_new_one(each_database: Database) -> None:
    await migrate(each_database)
    latest = Latest(each_database)
    await latest.show(flush([1]))
    await rows(
        each_database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'tiwei monitor latest' AND datname = current_database()",
    )
    with suppress(UnavailableError):  # or the loss was noticed by itself already
        await latest.show(flush([1], service_mode=3))
    await latest.show(flush([1], service_mode=3))
    assert await rows(each_database, "SELECT service_mode FROM tiwei.latest") == [(3,)]
    assert len(await Feed(each_database).after(0)) in (2, 3)
    await latest.close()


async def test_figures_are_replaced(each_database: Database) -> None:
    await migrate(each_database)
    latest = Latest(each_database)
    await latest.store_figures({"counters": {"messages": 1}}, T0)
    await latest.store_figures({"counters": {"messages": 2}}, T0 + 5000)
    ((at, body),) = await rows(
        each_database, "SELECT extract(epoch FROM at)::float8 * 1000, body FROM tiwei.monitor_figures"
    )
    assert round(at) == T0 + 5000
    assert json.loads(body) == {"counters": {"messages": 2}}


def test_both_mean_the_same_bit() -> None:
    assert SILENT == showing.SILENT
