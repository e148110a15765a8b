"""Door rules of protocol §7, and the car that leaves with its door open."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.network import in_order
from tests.detectors.world import T0, Lift, Message

CLOSE, OPEN, REOPENING = "door_close_fault", "door_open_fault", "door_reopening"
UCM, MOVING = "unintended_car_movement", "door_open_while_moving"


# -- stopped_outside_door_zone


def test_stopped_outside_is_raised_after_10_s_and_cleared_in_the_zone() -> None:
    lift = Lift()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(30)
    lift.change(door_zone=1)
    lift.wait(10)
    assert judge(lift).spans("stopped_outside_door_zone") == [(stopped + 10, lift.s - 10)]


def test_stopped_outside_is_not_raised_when_it_runs_on_before_10_s() -> None:
    lift = Lift()
    lift.stop_between(4)
    lift.wait(9.9)
    lift.run_to(5)
    lift.wait(30)
    assert judge(lift).raised("stopped_outside_door_zone") == []


@pytest.mark.parametrize(
    ("mode", "counts"), [(0, 0), (1, 1), (2, 0), (3, 0), (4, 0), (5, 1), (6, 0), (7, 0), (None, 0)]
)
def test_stopped_outside_counts_in_modes_1_and_5(mode: int | None, counts: int) -> None:
    lift = Lift()
    lift.change(service_mode=mode)
    lift.stop_between(4)
    lift.wait(60)
    assert len(judge(lift).raised("stopped_outside_door_zone")) == counts


def test_stopped_outside_with_somebody_aboard_is_an_entrapment_instead() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(60)
    assert judge(lift).kinds() == {"entrapment"}


def test_stopped_outside_where_no_flag_is_sent() -> None:
    lift = Lift(without=("passenger",))
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(30)
    assert judge(lift).raised("stopped_outside_door_zone") == [stopped + 10]


# -- unintended_car_movement


def walked_off(**more: object) -> tuple[Lift, float]:
    """A car that stood with its door open and leaves the zone so, and when it left."""
    lift = Lift(**more)  # type: ignore[arg-type]
    lift.open_door()
    lift.wait(3)
    lift.change(car_status=1, car_direction=1)
    lift.now += 500
    lift.change(door_zone=0, position_m=0.3)
    return lift, lift.s


def repair(lift: Lift, firm: str = "F-1", key: str = "A-1") -> Message:
    """A maintenance firm says that it repaired the lift."""
    payload = {"ts": T0 + lift.now, "id": key, "action": "repair", "equipment_id": lift.equipment_id}
    return Message(sent=lift.now, at=lift.now + 100, topic=f"firms/v1/{firm}/actions", payload=payload)


def test_leaving_with_the_door_open_is_raised_at_once_and_not_as_moving_with_the_door_open() -> None:
    lift, left = walked_off()
    lift.wait(5)
    lines = judge(lift)
    assert lines.raised(UCM) == [left]
    assert lines.raised(MOVING) == []


def test_it_stays_until_a_person_resets_it() -> None:
    lift, left = walked_off()
    lift.wait(5)
    lift.change(car_status=0)
    lift.wait(5)
    lift.close_door()
    lift.change(car_status=1, door_zone=1)
    lift.change(car_status=0)
    lift.wait(300)
    mail = in_order([*lift.mail, repair(lift)])
    assert judge(lift, mail=mail, firm_id="F-1").spans(UCM) == [(left, lift.s)]


def test_a_firm_that_does_not_keep_the_lift_resets_nothing() -> None:
    lift, left = walked_off()
    lift.wait(30)
    mail = in_order([*lift.mail, repair(lift, firm="F-2")])
    assert judge(lift, mail=mail, firm_id="F-1").spans(UCM) == [(left, None)]


def test_mode_2_resets_it_and_it_is_not_raised_again_by_itself() -> None:
    lift, left = walked_off()
    lift.wait(5)
    lift.change(car_status=0)
    lift.wait(30)
    lift.change(service_mode=2)
    inspected = lift.s
    lift.wait(60)
    lift.change(service_mode=1)
    lift.wait(60)
    assert judge(lift).spans(UCM) == [(left, inspected)]


def test_in_mode_2_it_is_none() -> None:
    lift, _ = walked_off(state={"service_mode": 2})
    lift.wait(10)
    assert judge(lift).kinds() == set()


def test_a_car_that_did_not_stand_at_the_landing_is_moving_with_the_door_open() -> None:
    lift = Lift()
    lift.depart()
    lift.wait(2)
    lift.change(door_zone=1, car_position=2)
    lift.now += 200
    lift.open_door()
    lift.now += 200
    lift.change(door_zone=0)
    lift.wait(3)
    lines = judge(lift)
    assert lines.raised(UCM) == []
    assert len(lines.raised(MOVING)) == 1


def test_a_door_closed_when_it_leaves_is_none() -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(2)
    lift.close_door()
    lift.run_to(4)
    assert judge(lift).kinds() == set()


@pytest.mark.parametrize("field", ["door_closed", "door_zone"])
def test_it_needs_to_be_known(field: str) -> None:
    lift, _ = walked_off(without=(field,))
    lift.wait(10)
    assert judge(lift).raised(UCM) == []


@pytest.mark.parametrize("field", ["car_position", "position_m", "car_direction", "passenger", "service_mode"])
def test_it_does_not_need_other_fields(field: str) -> None:
    lift, left = walked_off(without=(field,))
    lift.wait(10)
    assert judge(lift).raised(UCM) == [left]


# -- door_open_while_moving


def test_a_door_that_opens_in_the_run_is_raised_and_cleared_when_closed() -> None:
    lift = Lift()
    lift.depart()
    lift.wait(1)
    lift.open_door()
    opened = lift.s
    lift.wait(3)
    lift.close_door()
    closed = lift.s
    lift.wait(3)
    assert judge(lift).spans(MOVING) == [(opened, closed)]


def test_it_is_cleared_when_the_car_stops_at_level_and_not_off_level() -> None:
    lift = Lift()
    lift.depart()
    lift.wait(1)
    lift.open_door()
    opened = lift.s
    lift.wait(3)
    lift.change(car_status=0)
    lift.wait(5)
    lift.change(car_status=1)
    lift.wait(2)
    lift.change(door_zone=1)
    lift.wait(1)
    lift.change(car_status=0)
    stopped = lift.s
    lift.wait(10)
    assert judge(lift).spans(MOVING) == [(opened, stopped)]


def test_moving_in_the_zone_with_the_door_open_is_relevelling() -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(2)
    lift.change(car_status=1)
    lift.wait(3)
    lift.change(car_status=0)
    lift.wait(5)
    assert judge(lift).kinds() == set()


@pytest.mark.parametrize(("mode", "counts"), [(0, 1), (1, 1), (2, 0), (3, 1), (4, 1), (7, 1), (None, 1)])
def test_it_counts_in_all_modes_but_2(mode: int | None, counts: int) -> None:
    lift = Lift()
    lift.change(service_mode=mode)
    lift.depart()
    lift.wait(1)
    lift.open_door()
    lift.wait(3)
    assert len(judge(lift).raised(MOVING)) == counts


def test_an_unknown_door_is_neither_open_nor_closed() -> None:
    lift = Lift(without=("door_closed",))
    lift.run_to(5)
    assert judge(lift).kinds() == set()


# -- door_close_fault


def test_a_door_open_for_120_s_is_raised_and_cleared_when_closed() -> None:
    lift = Lift()
    lift.open_door()
    opened = lift.s
    lift.wait(200)
    lift.close_door()
    lines = judge(lift)
    assert lines.spans(CLOSE) == [(opened + 120, lift.s)]
    assert lines.since(CLOSE) == [opened]


def test_a_door_that_closes_just_before_120_s_is_none() -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(119.9)
    lift.close_door()
    lift.wait(30)
    assert judge(lift).kinds() == set()


@pytest.mark.parametrize(("mode", "counts"), [(0, 0), (1, 1), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0)])
def test_the_door_counts_in_mode_1_only(mode: int, counts: int) -> None:
    lift = Lift()
    lift.change(service_mode=mode)
    lift.open_door()
    lift.wait(300)
    assert len(judge(lift).raised(CLOSE)) == counts


def test_a_mode_change_restarts_the_clock_and_does_not_clear() -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(60)
    lift.change(service_mode=3)
    lift.wait(10)
    lift.change(service_mode=1)
    back = lift.s
    lift.wait(150)
    lift.change(service_mode=3)
    lift.wait(20)
    assert judge(lift).spans(CLOSE) == [(back + 120, None)]


# -- door_open_fault


def test_a_door_that_stays_closed_after_a_run_is_raised_after_15_s() -> None:
    lift = Lift()
    lift.board()
    lift.run_to(5)
    came = lift.s
    lift.wait(30)
    lift.open_door()
    assert judge(lift).spans(OPEN) == [(came + 15, lift.s)]


def test_a_door_that_opens_before_15_s_is_none() -> None:
    lift = Lift()
    lift.board()
    lift.run_to(5)
    lift.wait(14.9)
    lift.open_door()
    lift.wait(10)
    assert judge(lift).raised(OPEN) == []


def test_it_is_cleared_when_the_car_moves_on() -> None:
    lift = Lift()
    lift.board()
    lift.run_to(5)
    lift.wait(30)
    lift.depart()
    moved = lift.s - 0.5
    lift.wait(3)
    assert judge(lift).cleared(OPEN) == [moved]


@pytest.mark.parametrize(("mode", "counts"), [(0, 1), (1, 1), (2, 0), (3, 1), (4, 0), (5, 1)])
def test_it_does_not_count_in_modes_2_and_4(mode: int, counts: int) -> None:
    lift = Lift()
    lift.board()
    lift.change(service_mode=mode)
    lift.run_to(5)
    lift.wait(40)
    assert len(judge(lift).raised(OPEN)) == counts


def test_an_empty_run_is_none() -> None:
    lift = Lift()
    lift.run_to(5)
    lift.wait(300)
    assert judge(lift).kinds() == set()


def test_who_boards_without_a_run_raises_none() -> None:
    lift = Lift()
    lift.board()
    lift.wait(50)
    assert judge(lift).raised(OPEN) == []


# -- door_reopening


def reopen(lift: Lift, turns: int, pace: float) -> list[float]:
    """The door opens, then closes and opens again so often, each turn taking `pace` s; when it opened again."""
    lift.open_door()
    lift.wait(3)
    opened = []
    for _ in range(turns):
        lift.close_door()
        lift.wait(2)
        lift.open_door()
        opened.append(lift.s)
        lift.wait(pace - 2)
    return opened


def test_4_turns_within_60_s_are_raised_and_cleared_60_s_after_the_last() -> None:
    lift = Lift()
    opened = reopen(lift, 4, 10)
    lift.close_door()
    lift.wait(100)
    assert judge(lift).spans(REOPENING) == [(opened[3], opened[3] + 60)]


def test_3_turns_are_none() -> None:
    lift = Lift()
    reopen(lift, 3, 8)
    lift.close_door()
    lift.wait(100)
    assert judge(lift).kinds() == set()


def test_4_turns_in_more_than_60_s_are_none() -> None:
    lift = Lift()
    reopen(lift, 6, 20)
    lift.close_door()
    lift.wait(100)
    assert judge(lift).kinds() == set()


def test_a_run_between_the_turns_begins_anew() -> None:
    lift = Lift()
    reopen(lift, 2, 6)
    lift.close_door()
    lift.run_to(3)
    reopen(lift, 2, 6)
    lift.close_door()
    lift.wait(100)
    assert judge(lift).kinds() == set()


def test_more_turns_go_on_as_one_fault() -> None:
    lift = Lift()
    opened = reopen(lift, 12, 10)
    lift.close_door()
    lift.wait(100)
    assert judge(lift).spans(REOPENING) == [(opened[3], opened[-1] + 60)]
