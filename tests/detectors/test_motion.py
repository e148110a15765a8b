"""Speed, travel and position: protocol §7, the rows from overspeed to floor_position_lost."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.world import RATED, Lift

# -- overspeed


def fast(*speeds: float | None, **more: object) -> tuple[Lift, list[float]]:
    """A running car with a sample of each speed, one a second, and when each was sent."""
    lift = Lift(**more)  # type: ignore[arg-type]
    lift.depart()
    at = []
    for speed in speeds:
        lift.now += 1000
        lift._move(0.5)
        lift.change(speed_mps=speed)
        at.append(lift.s)
    return lift, at


LIMIT = round(1.15 * RATED, 4)


def test_overspeed_needs_two_samples_running() -> None:
    lift, at = fast(1.5, LIMIT, LIMIT, 1.5)
    assert judge(lift).spans("overspeed") == [(at[2], at[3])]


@pytest.mark.parametrize("speeds", [(LIMIT, 1.5, LIMIT, 1.5), (LIMIT, None, LIMIT), (LIMIT - 0.001, LIMIT - 0.001)])
def test_one_fast_sample_or_just_below_is_none(speeds: tuple[float | None, ...]) -> None:
    lift, _ = fast(*speeds)
    assert judge(lift).raised("overspeed") == []


def test_overspeed_is_cleared_below_1_05_only() -> None:
    lift, at = fast(2.5, 2.5, 1.9, 1.85, 1.83)
    assert judge(lift).spans("overspeed") == [(at[1], at[4])]


def test_an_unknown_speed_does_not_clear() -> None:
    lift, at = fast(2.5, 2.5, None, None)
    assert judge(lift).spans("overspeed") == [(at[1], None)]


def test_without_a_rated_speed_nothing_is_too_fast() -> None:
    lift, _ = fast(9.0, 9.0, 9.0)
    assert judge(lift, rated_speed_mps=None).raised("overspeed") == []


def test_the_same_fast_sample_twice_is_one() -> None:
    lift, _ = fast(1.5, 2.5, 1.5, 1.5)
    twice = [m for m in lift.mail for _ in range(1 + (m.payload.get("speed_mps") == 2.5))]
    assert judge(lift, mail=twice).raised("overspeed") == []


# -- top and pit overrun


def beyond(floor: int, direction: int, **more: object) -> tuple[Lift, float]:
    """A car that runs to an end floor, opens, and goes out of its zone further."""
    lift = Lift(floor=5, **more)  # type: ignore[arg-type]
    lift.run_to(floor)
    lift.wait(3)
    lift.change(car_status=1, car_direction=direction)
    lift.now += 500
    lift.change(door_zone=0)
    return lift, lift.s


@pytest.mark.parametrize(("floor", "direction", "kind"), [(10, 1, "top_overrun"), (1, 2, "pit_overrun")])
@pytest.mark.parametrize("without", [(), ("position_m",), ("passenger", "door_closed", "service_mode")])
def test_out_of_the_end_floors_zone_is_raised_at_once_and_cleared_in_the_zone(
    floor: int, direction: int, kind: str, without: tuple[str, ...]
) -> None:
    lift, left = beyond(floor, direction, without=without)
    lift.change(car_status=0, car_direction=0)
    lift.wait(30)
    lift.change(door_zone=1)
    back = lift.s
    lift.wait(10)
    assert judge(lift).spans(kind) == [(left, back)]


@pytest.mark.parametrize(("floor", "direction"), [(10, 2), (1, 1), (9, 1), (2, 2)])
def test_leaving_towards_other_floors_is_none(floor: int, direction: int) -> None:
    lift, _ = beyond(floor, direction)
    lift.wait(5)
    assert judge(lift).kinds() == set()


@pytest.mark.parametrize(("floor", "direction"), [(10, 1), (1, 2)])
def test_in_mode_2_the_ends_may_be_passed(floor: int, direction: int) -> None:
    lift = Lift(floor=5)
    lift.run_to(floor)
    lift.change(service_mode=2)
    lift.change(car_status=1, car_direction=direction)
    lift.now += 500
    lift.change(door_zone=0, position_m=-0.5 if floor == 1 else 27.6)
    lift.wait(5)
    assert judge(lift).kinds() == set()


@pytest.mark.parametrize(
    ("metres", "kinds"),
    [(27.19, set()), (27.2, {"top_overrun"}), (27.5, {"top_overrun"}), (26.0, set())],
)
def test_out_of_the_zone_beyond_where_it_stood_level_at_the_top(metres: float, kinds: set[str]) -> None:
    lift = Lift(floor=5)
    lift.run_to(10)
    lift.wait(3)
    lift.change(door_zone=0, position_m=metres)
    lift.wait(5)
    assert judge(lift).kinds() - {"stopped_outside_door_zone"} == kinds


@pytest.mark.parametrize(
    ("metres", "kinds"), [(-0.19, set()), (-0.2, {"pit_overrun"}), (-0.5, {"pit_overrun"}), (1.0, set())]
)
def test_out_of_the_zone_beyond_where_it_stood_level_at_the_bottom(metres: float, kinds: set[str]) -> None:
    lift = Lift(floor=5)
    lift.run_to(1)
    lift.wait(3)
    lift.change(door_zone=0, position_m=metres)
    lift.wait(5)
    assert judge(lift).kinds() - {"stopped_outside_door_zone"} == kinds


def test_in_the_zone_no_position_is_beyond() -> None:
    lift = Lift(floor=5)
    lift.run_to(10)
    lift.change(position_m=27.3)
    lift.wait(30)
    assert judge(lift).kinds() == set()


# -- motor_run_limiter


def slipping(**more: object) -> tuple[Lift, float]:
    """A car said to move that stays where it is, and since when."""
    lift = Lift(**more)  # type: ignore[arg-type]
    lift.change(car_status=1, car_direction=1)
    return lift, lift.s


def test_a_car_that_moves_and_stays_is_raised_after_30_s() -> None:
    lift, began = slipping()
    lift.wait(40)
    lift.change(car_status=0)
    assert judge(lift).spans("motor_run_limiter") == [(began + 30, lift.s)]


def test_without_a_position_it_is_raised_after_60_s() -> None:
    lift, began = slipping(without=("position_m",))
    lift.wait(70)
    lift.change(car_status=0)
    assert judge(lift).spans("motor_run_limiter") == [(began + 60, lift.s)]


@pytest.mark.parametrize("change", [{"position_m": 0.5}, {"car_position": 2}])
def test_either_change_clears_it(change: dict[str, float]) -> None:
    lift, began = slipping()
    lift.wait(40)
    lift.change(**change)
    changed = lift.s
    lift.wait(5)
    assert judge(lift).spans("motor_run_limiter") == [(began + 30, changed)]


@pytest.mark.parametrize("change", [{"position_m": 0.5}, {"car_position": 2}])
def test_either_change_restarts_the_clock(change: dict[str, float]) -> None:
    lift, _ = slipping()
    lift.wait(29)
    lift.change(**change)
    changed = lift.s
    lift.wait(40)
    assert judge(lift).raised("motor_run_limiter") == [changed + 30]


def test_without_floor_and_position_nothing_can_be_said() -> None:
    lift, _ = slipping(without=("position_m", "car_position"))
    lift.wait(300)
    assert judge(lift).kinds() == set()


def test_an_express_zone_of_50_s_without_position_is_none() -> None:
    lift, _ = slipping(without=("position_m",))
    lift.wait(0.5)
    lift.change(door_zone=0)
    lift.wait(50)
    lift.change(car_position=9)
    lift.wait(5)
    lift.change(door_zone=1, car_position=10)
    lift.change(car_status=0, car_direction=0)
    lift.wait(10)
    assert judge(lift).kinds() == set()


def test_an_express_zone_with_position_is_none() -> None:
    lift, _ = slipping()
    for metre in range(100):
        lift.wait(1)
        lift.change(position_m=float(metre + 1), door_zone=0)
    assert judge(lift).kinds() == set()


def test_a_standing_car_runs_no_motor() -> None:
    lift = Lift()
    lift.wait(600)
    assert judge(lift).kinds() == set()


# -- floor_position_lost


@pytest.mark.parametrize("floor", [0, -3, 11, 99])
def test_two_samples_with_a_floor_out_of_range_are_raised_and_cleared_after_10_s_in_range(floor: int) -> None:
    lift = Lift()
    lift.change(car_position=floor)
    lift.wait(10)
    second = lift.s
    lift.wait(20)
    lift.change(car_position=4)
    back = lift.s
    lift.wait(30)
    assert judge(lift).spans("floor_position_lost") == [(second, back + 10)]


def test_one_sample_out_of_range_is_none() -> None:
    lift = Lift()
    lift.change(car_position=99)
    lift.change(car_position=1)
    lift.wait(30)
    assert judge(lift).raised("floor_position_lost") == []


@pytest.mark.parametrize("floor", [1, 10])
def test_the_end_floors_are_in_range(floor: int) -> None:
    lift = Lift()
    lift.change(car_position=floor)
    lift.wait(60)
    assert judge(lift).raised("floor_position_lost") == []


def test_back_in_range_must_last_10_s() -> None:
    lift = Lift()
    lift.change(car_position=99)
    lift.wait(20)
    lift.change(car_position=4)
    lift.wait(9)
    lift.change(car_position=99)
    lift.wait(30)
    assert judge(lift).cleared("floor_position_lost") == [None]


def test_without_a_range_no_floor_is_out_of_it() -> None:
    lift = Lift()
    lift.change(car_position=99)
    lift.wait(60)
    assert judge(lift, bottom_floor=None, top_floor=None).raised("floor_position_lost") == []


def test_an_unknown_floor_is_not_out_of_range() -> None:
    lift = Lift(without=("car_position",))
    lift.wait(60)
    assert judge(lift).kinds() == set()
