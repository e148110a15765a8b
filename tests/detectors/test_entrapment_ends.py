"""How an open entrapment ends, and what never ends it (protocol §7, first row and last paragraphs)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.world import Lift

KIND = "entrapment"


def trapped() -> Lift:
    """Somebody trapped between floors since long."""
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(60)
    return lift


def test_it_ends_when_the_door_opens_in_the_zone() -> None:
    lift = trapped()
    lift.level_and_open()
    opened = lift.s
    lift.wait(30)
    assert judge(lift).cleared(KIND) == [opened]


def test_at_level_it_ends_when_the_door_opens() -> None:
    lift = Lift()
    lift.board()
    lift.run_to(5)
    lift.wait(90)
    lift.open_door()
    opened = lift.s
    lift.wait(30)
    assert judge(lift).cleared(KIND) == [opened]


def test_raised_by_the_button_it_ends_when_the_door_opens() -> None:
    lift = Lift()
    lift.wait(5)
    lift.event(90)
    lift.wait(30)
    lift.open_door()
    opened = lift.s
    lift.wait(30)
    assert judge(lift).cleared(KIND) == [opened]


def test_it_does_not_end_when_the_door_opens_out_of_the_zone() -> None:
    lift = trapped()
    lift.open_door()
    lift.wait(300)
    assert judge(lift).cleared(KIND) == [None]


def test_it_ends_30_s_after_everybody_left_through_a_door_open_out_of_the_zone() -> None:
    lift = trapped()
    lift.open_door()
    lift.wait(20)
    lift.change(passenger=0)
    left = lift.s
    lift.wait(60)
    assert judge(lift).cleared(KIND) == [left + 30]


def test_it_does_not_end_when_the_flag_falls_behind_a_closed_door() -> None:
    lift = trapped()
    lift.change(passenger=0)
    lift.wait(300)
    assert judge(lift).cleared(KIND) == [None]


def test_nobody_there_must_last_30_s() -> None:
    lift = trapped()
    lift.open_door()
    lift.wait(5)
    lift.change(passenger=0)
    lift.wait(29)
    lift.change(passenger=1)
    lift.wait(100)
    assert judge(lift).cleared(KIND) == [None]


def test_an_unknown_flag_is_not_nobody() -> None:
    lift = trapped()
    lift.open_door()
    lift.wait(5)
    lift.change(passenger=None)
    lift.wait(100)
    assert judge(lift).cleared(KIND) == [None]


def test_a_door_that_was_open_once_is_enough_when_nobody_is_there_any_more() -> None:
    lift = trapped()
    lift.open_door()
    lift.wait(10)
    lift.change(passenger=0)
    left = lift.s
    lift.wait(5)
    lift.close_door()
    lift.wait(60)
    assert judge(lift).cleared(KIND) == [left + 30]


@pytest.mark.parametrize("mode", [0, 2, 3, 4, 5, 6, 7])
def test_no_mode_ends_it(mode: int) -> None:
    lift = trapped()
    lift.change(service_mode=mode)
    lift.wait(300)
    assert judge(lift).cleared(KIND) == [None]


def test_a_car_wound_in_mode_2_to_a_floor_and_opened_ends_it() -> None:
    lift = trapped()
    lift.change(service_mode=2)
    lift.wait(30)
    lift.level_and_open()
    opened = lift.s
    lift.wait(30)
    assert judge(lift).cleared(KIND) == [opened]


def test_loss_of_power_does_not_end_it() -> None:
    lift = trapped()
    lift.change(power=0)
    lift.event(41)
    lift.wait(300)
    assert judge(lift).cleared(KIND) == [None]


def test_silence_does_not_end_it() -> None:
    lift = trapped()
    lift.unheard(900)
    lift.wait(20)
    assert judge(lift).cleared(KIND) == [None]


def test_moving_on_alone_does_not_end_it() -> None:
    lift = trapped()
    lift.change(car_status=1)
    lift.wait(5)
    lift.change(door_zone=1, car_status=0)
    lift.wait(60)
    assert judge(lift).cleared(KIND) == [None]


def test_auto_restored_does_not_end_it() -> None:
    lift = trapped()
    lift.event(40)
    lift.wait(60)
    assert judge(lift).cleared(KIND) == [None]


def test_the_button_pressed_again_raises_nothing_twice() -> None:
    lift = trapped()
    for _ in range(5):
        lift.event(90)
        lift.wait(5)
    lines = judge(lift)
    assert len(lines.raised(KIND)) == 1
    assert len(lines.raised("car_alarm_button")) == 5


def test_a_second_entrapment_is_raised_again() -> None:
    lift = trapped()
    lift.level_and_open()
    lift.wait(3)
    lift.close_door()
    lift.stop_between(6)
    stopped = lift.s
    lift.wait(40)
    raised = judge(lift).raised(KIND)
    assert len(raised) == 2
    assert raised[1] == stopped + 20


def test_a_sensor_found_stuck_does_not_end_it() -> None:
    lift = Lift(state={"passenger": 1})
    for _ in range(6):
        lift.open_door()
        lift.wait(2)
        lift.close_door()
        lift.wait(30)
    lift.run_to(5)
    lift.wait(900)
    lines = judge(lift)
    assert lines.raised("passenger_sensor_stuck") != []
    assert lines.cleared(KIND) == [None]
