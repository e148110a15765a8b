"""The car alarm button, code 90: an entrapment at once in a stopped, closed car; an operator's in every case (§7)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.world import Lift

KIND = "entrapment"


def stopped_car(**more: object) -> Lift:
    """A car whose flag says nothing, stopped between floors, door closed."""
    lift = Lift(without=("passenger",), **more)  # type: ignore[arg-type]
    lift.stop_between(4)
    lift.wait(3)
    return lift


def test_the_alarm_button_in_a_stopped_closed_car_is_an_entrapment_at_once() -> None:
    lift = stopped_car()
    lift.event(90)
    pressed = lift.s
    lift.wait(60)
    assert judge(lift).raised(KIND) == [pressed]
    assert judge(lift).raised("car_alarm_button") == [pressed]


def test_the_alarm_button_counts_at_level_and_with_the_flag_at_0() -> None:
    lift = Lift()
    lift.wait(5)
    lift.event(90)
    pressed = lift.s
    lift.wait(60)
    assert judge(lift).raised(KIND) == [pressed]


def test_the_alarm_button_counts_whatever_a_broken_sensor_says() -> None:
    lift = Lift(state={"passenger": 1})
    for _ in range(7):
        lift.open_door()
        lift.wait(3)
        lift.close_door()
        lift.wait(150)
    lift.event(90)
    pressed = lift.s
    lift.wait(30)
    lines = judge(lift)
    assert lines.raised("passenger_sensor_stuck") != []
    assert lines.raised(KIND) == [pressed]


def test_the_alarm_button_with_the_door_open_is_no_entrapment() -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(1)
    lift.event(90)
    lift.wait(60)
    lines = judge(lift)
    assert lines.raised(KIND) == []
    assert len(lines.raised("car_alarm_button")) == 1


def test_the_alarm_button_in_a_moving_car_is_no_entrapment() -> None:
    lift = Lift()
    lift.depart()
    lift.wait(1)
    lift.event(90)
    lift.run_to(5)
    lift.alight()
    lift.wait(60)
    lines = judge(lift)
    assert lines.raised(KIND) == []
    assert len(lines.raised("car_alarm_button")) == 1


@pytest.mark.parametrize("mode", [2, 4])
def test_the_alarm_button_in_modes_2_and_4_reaches_an_operator_only(mode: int) -> None:
    lift = Lift()
    lift.change(service_mode=mode)
    lift.wait(5)
    lift.event(90)
    pressed = lift.s
    lift.wait(60)
    lines = judge(lift)
    assert lines.raised(KIND) == []
    assert lines.raised("car_alarm_button") == [pressed]


def test_the_periodic_test_call_is_nothing() -> None:
    lift = stopped_car()
    lift.event(90, test=True)
    lift.wait(60)
    lines = judge(lift)
    assert lines.raised(KIND) == []
    assert lines.raised("car_alarm_button") == []


@pytest.mark.parametrize("silent", [0, 9, 11.9])
def test_the_alarm_button_is_judged_by_a_sample_that_is_still_believed(silent: float) -> None:
    lift = stopped_car()
    lift.sample()
    lift.unheard(silent)
    lift.event(90)
    pressed = lift.s
    assert judge(lift).raised(KIND) == [pressed]


def test_an_alarm_button_after_long_silence_is_judged_by_the_next_sample() -> None:
    lift = stopped_car()
    lift.unheard(40)
    lift.event(90)
    lift.wait(2)
    lift.sample()
    told = lift.s
    lift.wait(30)
    raised = judge(lift).raised(KIND)
    assert len(raised) == 1
    assert told <= raised[0] <= told + 3


def test_an_alarm_button_in_silence_reaches_an_operator_at_once() -> None:
    lift = stopped_car()
    lift.unheard(40)
    lift.event(90)
    assert judge(lift).raised("car_alarm_button") == [lift.s]


def test_a_car_alarm_button_event_needs_no_state() -> None:
    lift = stopped_car()
    lift.send("event", {"code": 90})
    pressed = lift.s
    lift.wait(20)
    assert judge(lift).raised(KIND) == [pressed]
