"""What is shown: the newest of each equipment, when a person would see a difference, and what is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.domain.commit import Commit, Measurement
from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.errors import UnavailableError
from monitor.domain.reading import HISTORY
from monitor.messages.samples import absent_rows
from monitor.services.showing import SILENT, Flush, Showing, ShowingPace, keep_shown
from tests.waiting import eventually

T0 = 1_767_254_400_000
STATE = {"service_mode": 1, "car_status": 0, "door_zone": 1, "car_position": 3, "door_closed": 1, "passenger": 0}


def lift(number: int, **changes: Any) -> Equipment:
    values: dict[str, Any] = {"equipment_id": f"L{number}", "division": "310104", "kind": EquipmentKind.LIFT}
    return Equipment(number=number, **(values | changes))


def row(number: int, at_ms: int, *, made_ms: int | None = None, flags: int = 0, **changes: Any) -> NDArray[np.void]:
    """A READING row received at `at_ms`."""
    one = absent_rows(1)
    values = STATE | changes
    one["number"], one["received_ms"], one["flags"] = number, at_ms, flags
    one["time_ms"] = one["ts"] = at_ms - 50 if made_ms is None else made_ms
    for name, value in values.items():
        one[name] = value
    return one


def commit(*rows: NDArray[np.void], measurements: tuple[Measurement, ...] = ()) -> Commit:
    readings = np.concatenate(rows) if rows else absent_rows(0)
    return Commit(position=1, journal=b"", readings=readings, measurements=measurements)


def shown(showing: Showing, now_ms: int, most: int = 1000) -> dict[int, np.void]:
    """What is flushed and taken as shown, by number."""
    flush = showing.due(now_ms, most)
    if flush is None:
        return {}
    showing.done(flush)
    return {int(one["number"]): one for one in flush.rows}


@pytest.fixture
def showing() -> Showing:
    made = Showing()
    made.learn([lift(1), lift(2), lift(3, reports=Reports.CHANGES)])
    return made


def test_each_equipment_is_shown_once_with_its_newest_sample(showing: Showing) -> None:
    showing.take(commit(row(1, T0), row(2, T0), row(1, T0 + 20, car_status=1), row(1, T0 + 10, made_ms=T0 - 60)))
    found = shown(showing, T0 + 100)
    assert set(found) == {1, 2}
    assert found[1]["car_status"] == 1
    assert not found[1]["flags"] & SILENT
    assert shown(showing, T0 + 200) == {}


@pytest.mark.parametrize(
    ("change", "is_shown"),
    [
        ({}, False),
        ({"seq": 5, "run_count": 7}, False),
        ({"service_mode": 2}, True),
        ({"car_status": 1}, True),
        ({"car_direction": 2}, True),
        ({"door_zone": 0}, True),
        ({"door_zone": -1}, True),
        ({"car_position": 4}, True),
        ({"door_closed": 0}, True),
        ({"passenger": 1}, True),
        ({"power": 0}, True),
        ({"position_m": 9.01}, False),
        ({"position_m": 9.1}, True),
        ({"position_m": np.nan}, True),
        ({"speed_mps": 0.5}, True),
        ({"load_kg": 3.0}, True),
    ],
)
def test_what_a_person_would_see_is_shown(showing: Showing, change: dict[str, Any], is_shown: bool) -> None:
    showing.take(commit(row(1, T0, position_m=9.0)))
    assert shown(showing, T0)
    showing.take(commit(row(1, T0 + 1000, **({"position_m": 9.0} | change))))
    assert bool(shown(showing, T0 + 1000)) is is_shown


def test_small_steps_add_up(showing: Showing) -> None:
    showing.take(commit(row(1, T0, position_m=1.0)))
    assert shown(showing, T0)
    seen = 0
    for step in range(1, 11):
        showing.take(commit(row(1, T0 + step * 1000, position_m=1.0 + step * 0.02)))
        seen += len(shown(showing, T0 + step * 1000))
    assert seen == 3


def test_history_and_what_comes_late_change_nothing_but_they_are_heard(showing: Showing) -> None:
    showing.take(commit(row(1, T0)))
    assert shown(showing, T0)
    showing.take(commit(row(1, T0 + 500, flags=HISTORY, car_status=1)))
    showing.take(commit(row(1, T0 + 2_000, made_ms=T0 - 9_000, car_status=1)))
    assert shown(showing, T0 + 2_000) == {}
    assert shown(showing, T0 + 13_500) == {}  # 12 s after the last, not after the newest


def test_a_clock_that_was_corrected_does_not_hide_the_present(showing: Showing) -> None:
    showing.take(commit(row(1, T0, made_ms=T0 + 300_000)))
    assert shown(showing, T0)
    showing.take(commit(row(1, T0 + 10_000, car_status=1)))
    assert shown(showing, T0 + 10_000)[1]["car_status"] == 1


def test_silence_is_shown_and_its_end_but_never_of_a_source_of_changes(showing: Showing) -> None:
    showing.take(commit(row(1, T0), row(3, T0)))
    assert set(shown(showing, T0)) == {1, 3}
    assert shown(showing, T0 + 12_000) == {}
    found = shown(showing, T0 + 13_000)  # looked for once a second
    assert set(found) == {1}
    assert found[1]["flags"] & SILENT
    assert found[1]["received_ms"] == T0
    assert shown(showing, T0 + 60_000) == {}
    showing.take(commit(row(1, T0 + 61_000)))
    assert not shown(showing, T0 + 61_000)[1]["flags"] & SILENT


def test_what_never_changes_is_shown_as_heard_once_a_minute(showing: Showing) -> None:
    heard = []
    for second in range(0, 190, 10):
        showing.take(commit(row(1, T0 + second * 1000)))
        if shown(showing, T0 + second * 1000):
            heard.append(second)
    assert heard == [0, 60, 120, 180]


def test_a_flush_is_bounded_and_the_oldest_change_goes_first(showing: Showing) -> None:
    showing.learn([lift(number) for number in range(1, 101)])
    for number in range(100, 0, -1):
        showing.take(commit(row(number, T0 - number)))
    first = shown(showing, T0, most=30)
    assert set(first) == set(range(71, 101))
    assert showing.counts(T0)["shown_waiting"] == 70
    assert set(shown(showing, T0, most=30)) == set(range(41, 71))


def test_a_flush_that_failed_is_made_again_with_what_came_since(showing: Showing) -> None:
    showing.take(commit(row(1, T0), row(2, T0)))
    flush = showing.due(T0, 100)
    assert flush is not None
    showing.take(commit(row(1, T0 + 500, car_status=1)))
    showing.failed(flush)
    found = shown(showing, T0 + 1000)
    assert (found[1]["car_status"], set(found)) == (1, {1, 2})


def test_what_came_during_a_flush_is_shown_with_the_next(showing: Showing) -> None:
    showing.take(commit(row(1, T0)))
    flush = showing.due(T0, 100)
    assert flush is not None
    showing.take(commit(row(1, T0 + 1, car_status=1)))
    showing.done(flush)
    assert shown(showing, T0 + 1000)[1]["car_status"] == 1


def test_what_was_shown_before_a_restart_is_silent_until_it_is_heard() -> None:
    showing = Showing()
    showing.learn([lift(1), lift(2), lift(3, reports=Reports.CHANGES)])
    old = np.concatenate([row(1, T0 - 60_000), row(2, T0 - 5_000), row(3, T0 - 60_000), row(9, T0)])
    showing.take(commit(row(2, T0, car_status=1)))
    showing.restore(old, {}, T0)
    found = shown(showing, T0 + 1)
    assert {number: bool(one["flags"] & SILENT) for number, one in found.items()} == {1: True, 2: False}
    assert found[2]["car_status"] == 1
    assert found[1]["car_position"] == 3


def test_quantities_of_values_kinds_are_shown_when_they_change(showing: Showing) -> None:
    showing.learn([lift(4, kind=EquipmentKind.BOILER)])

    def measured(at_ms: int, made_ms: int, **values: float) -> Commit:
        one = Measurement(number=4, received_ms=at_ms, time_ms=made_ms, ts=made_ms, seq=-1, values=values)
        return commit(measurements=(one,))

    showing.take(measured(T0, T0, pressure=1.0))
    flush = showing.due(T0, 10)
    assert flush is not None
    assert flush.quantities == {4: {"pressure": 1.0}}
    showing.done(flush)
    showing.take(measured(T0 + 1_000, T0 + 1_000, pressure=1.0))
    assert showing.due(T0 + 1_000, 10) is None
    showing.take(measured(T0 + 2_000, T0 - 5_000, pressure=9.0))
    assert showing.due(T0 + 2_000, 10) is None
    showing.take(measured(T0 + 3_000, T0 + 3_000, pressure=2.0))
    flush = showing.due(T0 + 3_000, 10)
    assert flush is not None
    assert flush.quantities == {4: {"pressure": 2.0}}


def test_counts_tell_clocks_and_who_is_known(showing: Showing) -> None:
    showing.learn([lift(5, registered=False), lift(5, registered=False), lift(2, registered=True)])
    showing.take(commit(row(1, T0, made_ms=T0 - 100), row(2, T0, made_ms=T0 + 5_000), row(5, T0, made_ms=T0 - 300)))
    counts = showing.counts(T0)
    assert (counts["equipment"], counts["unregistered"], counts["silent"]) == (4, 1, 0)
    assert (counts["clock_offset_median_s"], counts["clock_offset_max_s"]) == (0.3, 5.0)
    assert showing.counts(T0 + 20_000)["silent"] == 3


class Refusing:
    """A board that is away for a while."""

    def __init__(self) -> None:
        self.away = 2
        self.seen: list[Flush] = []

    async def show(self, flush: Flush) -> None:
        if self.away:
            self.away -= 1
            raise UnavailableError("away, says the test")
        self.seen.append(flush)


def test_one_equipment_is_shown_at_most_once_a_second(showing: Showing) -> None:
    seen = []
    for step in range(21):
        now_ms = T0 + step * 100
        showing.take(commit(row(1, now_ms, car_position=step)))
        seen += [int(one["car_position"]) for one in shown(showing, now_ms).values()]
    assert seen == [0, 10, 20]


async def test_while_the_board_is_away_it_is_tried_again_with_the_newest(showing: Showing) -> None:
    board = Refusing()
    showing.take(commit(row(1, T0)))
    task = asyncio.create_task(keep_shown(showing, board, lambda: T0, ShowingPace(every_s=0.01)))
    try:
        await eventually(lambda: board.seen)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    found: Mapping[int, Any] = {int(one["number"]): one for one in board.seen[0].rows}
    assert set(found) == {1}
    assert showing.flush_s is not None
