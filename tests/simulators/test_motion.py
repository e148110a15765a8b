"""Trajectories obey the drive's limits and end where they should; terminals see every change in time."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.motion import MOVING_PERIOD_MS, SCAN_MS, ZONE_M, Drive, Run, Shaft, Trajectory, braked, run, travel

DRIVES = st.builds(
    Drive,
    speed=st.floats(0.1, 6.0),
    acceleration=st.floats(0.2, 1.5),
    jerk=st.floats(0.3, 2.5),
)
DISTANCES = st.floats(0.01, 250.0)
SHAFTS = st.lists(st.floats(2.6, 6.0), min_size=1, max_size=39).map(
    lambda storeys: Shaft(
        tuple(range(1, len(storeys) + 2)), tuple(round(sum(storeys[:n]), 3) for n in range(len(storeys) + 1))
    )
)


def moments(trajectory: Trajectory, steps: int = 200) -> list[float]:
    return [trajectory.duration_s * n / steps for n in range(steps + 1)]


@given(DISTANCES, DRIVES)
def test_a_trip_covers_its_distance_and_stands_at_the_end(distance: float, drive: Drive) -> None:
    trip = travel(distance, drive)
    assert trip.distance == pytest.approx(distance, abs=1e-6)
    assert trip.position(0) == 0
    assert trip.speed(0) == 0
    assert trip.speed(trip.duration_s) == pytest.approx(0, abs=1e-6)
    assert trip.acceleration(trip.duration_s) == pytest.approx(0, abs=1e-6)


@given(DISTANCES, DRIVES)
def test_a_trip_keeps_the_limits_of_jerk_acceleration_and_speed(distance: float, drive: Drive) -> None:
    trip = travel(distance, drive)
    assert all(abs(phase.j) in (0.0, drive.jerk) for phase in trip.phases)
    for t in moments(trip):
        assert trip.speed(t) <= drive.speed + 1e-6
        assert abs(trip.acceleration(t)) <= drive.acceleration + 1e-6


@given(DISTANCES, DRIVES)
def test_position_speed_and_acceleration_are_continuous(distance: float, drive: Drive) -> None:
    trip = travel(distance, drive)
    for one, after in zip(trip.phases, trip.phases[1:], strict=False):
        assert one.position(one.length_s) == pytest.approx(after.x, abs=1e-9)
        assert one.speed(one.length_s) == pytest.approx(after.v, abs=1e-9)
        assert one.a + one.j * one.length_s == pytest.approx(after.a, abs=1e-6)


@given(DISTANCES, DRIVES)
def test_a_trip_never_goes_back_and_tells_when_it_was_where(distance: float, drive: Drive) -> None:
    trip = travel(distance, drive)
    positions = [trip.position(t) for t in moments(trip)]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(positions))
    for share in (0.05, 0.5, 0.95):
        assert trip.position(trip.time_at(distance * share)) == pytest.approx(distance * share, abs=2e-3)


def test_a_longer_trip_reaches_the_rated_speed_and_a_short_one_does_not() -> None:
    drive = Drive(speed=1.75, acceleration=0.9, jerk=1.0)
    assert max(travel(30.0, drive).speed(t) for t in moments(travel(30.0, drive))) == pytest.approx(1.75)
    assert max(travel(2.9, drive).speed(t) for t in moments(travel(2.9, drive))) < 1.4


@given(DISTANCES, DRIVES, st.floats(0.02, 0.98))
def test_the_brake_stops_the_car_on_its_way_within_its_braking_distance(
    distance: float, drive: Drive, share: float
) -> None:
    trip = travel(distance, drive)
    at = trip.duration_s * share
    stopped = braked(trip, at, 2.0)
    reached = trip.position(at)
    assert stopped.position(at) == pytest.approx(reached, abs=1e-9)
    assert 0 <= stopped.distance - reached <= max(trip.speed(at), 0.01) ** 2 / 4 + 1e-6
    assert stopped.speed(stopped.duration_s) == pytest.approx(0, abs=1e-9)


@given(SHAFTS, DRIVES, st.data())
def test_a_run_is_sampled_at_every_change_and_every_second(shaft: Shaft, drive: Drive, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(shaft.floors) - 1))
    last = data.draw(st.integers(0, len(shaft.floors) - 1).filter(lambda n: n != first))
    trip = run(shaft, drive, shaft.heights[first], shaft.heights[last])
    times = [point.ms for point in trip.waypoints]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert all(b - a <= MOVING_PERIOD_MS for a, b in zip(times, [*times[1:], trip.duration_ms], strict=True))
    assert trip.end == pytest.approx(shaft.heights[last], abs=1e-6)
    assert_no_change_is_missed(shaft, trip)


def assert_no_change_is_missed(shaft: Shaft, trip: Run) -> None:
    """At every look of the terminal, what it last told is still so, unless it tells now."""
    told = {point.ms: (point.floor_index, point.in_zone) for point in trip.waypoints}
    state = told[0]
    for ms in range(0, trip.duration_ms, SCAN_MS):
        height = trip.height(ms)
        state = told.get(ms, state)
        near_an_edge = any(abs(abs(height - floor) - ZONE_M) < 0.003 for floor in shaft.heights)
        between = any(abs(height - (a + b) / 2) < 0.003 for a, b in zip(shaft.heights, shaft.heights[1:], strict=False))
        if not near_an_edge and not between:
            assert shaft.place(height) == state, ms


def test_the_nearest_floor_changes_half_way_up() -> None:
    shaft = Shaft((1, 2, 3), (0.0, 3.0, 6.0))
    assert [shaft.index_at(h) for h in (-1.0, 0.0, 1.49, 1.51, 4.4, 4.6, 9.0)] == [0, 0, 0, 1, 1, 2, 2]
    assert shaft.in_zone(3.19)
    assert not shaft.in_zone(3.21)


def test_durations_are_what_lifts_need() -> None:
    """Ten floors at 1.75 m/s: about twenty seconds, as in recorded traffic."""
    trip = travel(29.0, Drive(speed=1.75, acceleration=0.9, jerk=1.0))
    assert math.isclose(trip.duration_s, 19.4, abs_tol=0.2)
