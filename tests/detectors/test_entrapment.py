"""Entrapment, first row of protocol §7: raised when, not raised when, and exactly when."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.world import Lift

KIND = "entrapment"


def off_level(**more: object) -> tuple[Lift, float]:
    """Somebody in a car that stopped between floors, and when it stopped."""
    lift = Lift(**more)  # type: ignore[arg-type]
    lift.board()
    lift.stop_between(4)
    return lift, lift.s


def at_level(**more: object) -> tuple[Lift, float]:
    """Somebody in a car that came to a floor, its door closed, and when it came."""
    lift = Lift(**more)  # type: ignore[arg-type]
    lift.board()
    lift.run_to(5)
    return lift, lift.s


# -- off level for 20 s


def test_off_level_is_raised_after_20_s() -> None:
    lift, stopped = off_level()
    lift.wait(40)
    assert judge(lift).raised(KIND) == [stopped + 20]
    assert judge(lift).since(KIND) == [stopped]


def test_off_level_is_not_raised_when_it_runs_on_just_before_20_s() -> None:
    lift, _ = off_level()
    lift.wait(19.9)
    lift.run_to(6)
    lift.alight()
    assert judge(lift).raised(KIND) == []


def test_off_level_goes_on_in_silence_on_the_receivers_clock() -> None:
    lift, stopped = off_level()
    assert judge(lift).raised(KIND) == [stopped + 20]


def test_off_level_with_the_door_open_is_an_entrapment_too() -> None:
    lift, stopped = off_level()
    lift.open_door()
    lift.wait(30)
    assert judge(lift).raised(KIND) == [stopped + 20]


def test_off_level_counts_from_the_flag_when_it_rises_later() -> None:
    lift = Lift()
    lift.stop_between(4)
    lift.wait(7)
    lift.change(passenger=1)
    rose = lift.s
    lift.wait(40)
    assert judge(lift).raised(KIND) == [rose + 20]


@pytest.mark.parametrize("dropout", [0.5, 3, 5])
def test_drop_outs_up_to_5_s_do_not_restart_the_clock_off_level(dropout: float) -> None:
    lift, stopped = off_level()
    lift.wait(4)
    lift.change(passenger=0)
    lift.wait(dropout)
    lift.change(passenger=1)
    lift.wait(40)
    assert judge(lift).raised(KIND) == [stopped + 20]


def test_a_flickering_flag_does_not_restart_the_clock() -> None:
    lift, stopped = off_level()
    for _ in range(10):
        lift.wait(2)
        lift.change(passenger=0)
        lift.wait(1.5)
        lift.change(passenger=1)
    lift.wait(30)
    raised = judge(lift).raised(KIND)
    assert len(raised) == 1
    assert stopped + 20 <= raised[0] <= stopped + 22


@pytest.mark.parametrize("mode", [2, 4])
def test_off_level_in_inspection_or_firefighter_mode_is_none(mode: int) -> None:
    lift, _ = off_level()
    lift.change(service_mode=mode)
    lift.wait(120)
    assert judge(lift).raised(KIND) == []


@pytest.mark.parametrize("mode", [0, 1, 3, 5, 6, 7, None])
def test_every_other_and_an_unknown_mode_counts(mode: int | None) -> None:
    lift = Lift()
    lift.board()
    lift.change(service_mode=mode)
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(40)
    assert judge(lift).raised(KIND) == [stopped + 20]


def test_the_clock_begins_anew_when_inspection_ends() -> None:
    lift, _ = off_level()
    lift.change(service_mode=2)
    lift.wait(120)
    lift.change(service_mode=1)
    back = lift.s
    lift.wait(40)
    assert judge(lift).raised(KIND) == [back + 20]


def test_a_moving_car_off_level_traps_nobody() -> None:
    lift = Lift()
    lift.board()
    lift.depart()
    for _ in range(30):
        lift.wait(1)
    assert judge(lift).raised(KIND) == []


@pytest.mark.parametrize("field", ["passenger", "car_status", "door_zone"])
def test_off_level_needs_to_be_known(field: str) -> None:
    lift, _ = off_level(without=(field,))
    lift.wait(120)
    assert judge(lift).raised(KIND) == []


@pytest.mark.parametrize("field", ["door_closed", "car_position", "position_m", "speed_mps", "power", "car_direction"])
def test_off_level_does_not_need_other_fields(field: str) -> None:
    lift, stopped = off_level(without=(field,))
    lift.wait(120)
    assert judge(lift).raised(KIND) == [stopped + 20]


# -- at level, door closed, for 60 s: came here


def test_at_level_is_raised_after_60_s() -> None:
    lift, came = at_level()
    lift.wait(100)
    assert judge(lift).raised(KIND) == [came + 60]
    assert judge(lift).since(KIND) == [came]


def test_at_level_is_not_raised_when_the_door_opens_just_before_60_s() -> None:
    lift, _ = at_level()
    lift.wait(59.9)
    lift.alight()
    lift.wait(60)
    assert judge(lift).raised(KIND) == []


def test_at_level_is_not_raised_in_silence() -> None:
    lift, _ = at_level()
    lift.wait(40)
    assert judge(lift).raised(KIND) == []


def test_at_level_is_raised_between_two_samples_while_the_last_is_believed() -> None:
    lift, came = at_level()
    lift.wait(50)
    assert judge(lift).raised(KIND) == [came + 60]


def test_who_stays_aboard_when_the_door_has_opened_is_not_trapped() -> None:
    lift, _ = at_level()
    lift.open_door()
    lift.wait(4)
    lift.close_door()
    lift.wait(300)
    assert judge(lift).raised(KIND) == []


def test_after_several_stops_the_last_floor_counts() -> None:
    lift = Lift()
    lift.board()
    for floor in (4, 7):
        lift.run_to(floor)
        lift.open_door()
        lift.wait(4)
        lift.close_door()
        lift.wait(2)
    lift.run_to(9)
    came = lift.s
    lift.wait(100)
    assert judge(lift).raised(KIND) == [came + 60]


def test_a_car_that_stands_with_nobody_aboard_traps_nobody() -> None:
    lift = Lift()
    lift.run_to(5)
    lift.wait(600)
    assert judge(lift).raised(KIND) == []


@pytest.mark.parametrize("mode", [2, 4])
def test_at_level_in_inspection_or_firefighter_mode_is_none(mode: int) -> None:
    lift, _ = at_level()
    lift.change(service_mode=mode)
    lift.wait(200)
    assert judge(lift).raised(KIND) == []


@pytest.mark.parametrize("dropout", [1, 5])
def test_drop_outs_up_to_5_s_do_not_restart_the_clock_at_level(dropout: float) -> None:
    lift, came = at_level()
    lift.wait(31)
    lift.change(passenger=0)
    lift.wait(dropout)
    lift.change(passenger=1)
    lift.wait(60)
    assert judge(lift).raised(KIND) == [came + 60]


@pytest.mark.parametrize("field", ["passenger", "car_status", "door_zone", "door_closed"])
def test_at_level_needs_to_be_known(field: str) -> None:
    lift, _ = at_level(without=(field,))
    lift.wait(300)
    assert judge(lift).raised(KIND) == []


@pytest.mark.parametrize("field", ["car_position", "position_m", "speed_mps", "power", "car_direction", "service_mode"])
def test_at_level_does_not_need_other_fields(field: str) -> None:
    lift, came = at_level(without=(field,))
    lift.wait(100)
    assert judge(lift).raised(KIND) == [came + 60]


def test_a_car_first_heard_of_standing_was_not_seen_to_come() -> None:
    lift = Lift(state={"passenger": 1})
    lift.wait(300)
    assert judge(lift).raised(KIND) == []


# -- at level: boarded and it does not leave


def test_who_boards_and_does_not_leave_is_trapped_60_s_after_the_door_closed() -> None:
    lift = Lift()
    lift.board()
    closed = lift.s
    lift.wait(100)
    assert judge(lift).raised(KIND) == [closed + 60]


@pytest.mark.parametrize(("after", "trapped"), [(0.1, True), (5, True), (5.1, False), (20, False)])
def test_the_flag_may_rise_up_to_5_s_after_the_door_was_open(after: float, trapped: bool) -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(3)
    lift.close_door()
    lift.wait(after)
    lift.change(passenger=1)
    rose = lift.s
    lift.wait(100)
    assert judge(lift).raised(KIND) == ([rose + 60] if trapped else [])


def test_the_door_opening_again_restarts_the_clock_of_who_boarded() -> None:
    lift = Lift()
    lift.board()
    lift.wait(50)
    lift.open_door()
    lift.wait(2)
    lift.close_door()
    closed = lift.s
    lift.wait(100)
    assert judge(lift).raised(KIND) == [closed + 60]


def test_who_boards_and_leaves_with_the_car_is_not_trapped() -> None:
    lift = Lift()
    lift.board()
    lift.wait(55)
    lift.run_to(5)
    lift.alight()
    lift.wait(100)
    assert judge(lift).raised(KIND) == []


def test_who_boards_and_walks_out_again_is_not_trapped() -> None:
    lift = Lift()
    lift.board()
    lift.wait(10)
    lift.alight()
    lift.wait(100)
    assert judge(lift).raised(KIND) == []


# -- broken sensor


def with_stuck_sensor() -> Lift:
    """A car whose sensor was found stuck, standing at floor 1, door closed."""
    lift = Lift(state={"passenger": 1})
    for _ in range(8):
        lift.open_door()
        lift.wait(3)
        lift.close_door()
        lift.wait(130)
    return lift


def test_at_level_is_not_raised_by_the_flag_of_a_broken_sensor() -> None:
    lift = with_stuck_sensor()
    lift.run_to(5)
    lift.wait(300)
    lines = judge(lift)
    assert lines.raised("passenger_sensor_stuck") != []
    assert lines.raised(KIND) == []
    assert lines.raised("door_open_fault") == []


def test_off_level_is_raised_even_by_the_flag_of_a_broken_sensor() -> None:
    lift = with_stuck_sensor()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(40)
    assert judge(lift).raised(KIND) == [stopped + 20]


def test_a_sensor_that_works_again_is_believed_again() -> None:
    lift = with_stuck_sensor()
    lift.run_to(5)
    lift.alight()
    lift.wait(20)
    lift.board()
    closed = lift.s
    lift.wait(100)
    lines = judge(lift)
    assert lines.cleared("passenger_sensor_stuck") != [None]
    assert lines.raised(KIND) == [closed + 60]
