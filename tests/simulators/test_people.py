"""Who comes when: groups by the hours of the house, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from simulators.people import DAY_MS, HOUR_MS, PROFILES, Crowd, Group, is_weekend, local_hour
from simulators.scenario import FILE_START_MS

FLOORS, ENTRANCE = 18, 1
TUESDAY, SATURDAY = FILE_START_MS + DAY_MS, FILE_START_MS + 5 * DAY_MS


def day_of(profile: str, *, seed: int = 1, start_ms: int = TUESDAY, traffic: float = 20.0) -> list[Group]:
    """A day of twenty such lifts."""
    crowd = Crowd(
        random.Random(seed),
        PROFILES[profile],
        floors=FLOORS,
        entrance=ENTRANCE,
        traffic=traffic,
        start_ms=start_ms,
    )
    return crowd.take(start_ms + DAY_MS - 1)


def test_the_stream_starts_on_a_monday_at_midnight_in_china() -> None:
    assert local_hour(FILE_START_MS) == 0
    assert [is_weekend(FILE_START_MS + n * DAY_MS) for n in range(7)] == [False] * 5 + [True] * 2


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_as_many_groups_come_as_the_profile_says(profile: str) -> None:
    expected = PROFILES[profile].groups_per_floor * (FLOORS - 1 - ENTRANCE) * 20
    if profile == "mall":
        assert len(day_of(profile, start_ms=SATURDAY)) > 1.3 * expected
    assert len(day_of(profile)) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_groups_come_in_order_from_a_floor_to_another(profile: str) -> None:
    groups = day_of(profile)
    assert [g.at_ms for g in groups] == sorted(g.at_ms for g in groups)
    for group in groups:
        assert 0 <= group.origin < FLOORS
        assert 0 <= group.target < FLOORS
        assert group.origin != group.target
        assert 1 <= group.persons <= 6


def test_an_office_fills_in_the_morning_and_empties_in_the_evening() -> None:
    groups = [g for g in day_of("office") if min(g.origin, g.target) <= ENTRANCE]
    up = Counter(local_hour(g.at_ms) for g in groups if g.target > g.origin)
    down = Counter(local_hour(g.at_ms) for g in groups if g.target < g.origin)
    assert up[8] > 5 * down[8]
    assert down[17] > 5 * up[17]


def test_homes_empty_in_the_morning_and_fill_in_the_evening() -> None:
    groups = [g for g in day_of("residential") if min(g.origin, g.target) <= ENTRANCE]
    up = Counter(local_hour(g.at_ms) for g in groups if g.target > g.origin)
    down = Counter(local_hour(g.at_ms) for g in groups if g.target < g.origin)
    assert down[7] > 3 * up[7]
    assert up[18] > 2 * down[18]


def test_hospitals_and_offices_go_between_floors_more_than_homes() -> None:
    def between(profile: str) -> float:
        groups = day_of(profile)
        return sum(min(g.origin, g.target) > ENTRANCE for g in groups) / len(groups)

    assert between("residential") < 0.06 < between("office") < between("hospital") < 0.4


def test_an_office_rests_on_saturday() -> None:
    assert len(day_of("office", start_ms=SATURDAY)) < 0.2 * len(day_of("office"))


def test_the_night_is_quiet_at_home() -> None:
    hours = Counter(local_hour(g.at_ms) for g in day_of("residential"))
    assert sum(hours[h] for h in range(5)) < 0.03 * sum(hours.values())


def test_the_same_seed_brings_the_same_people_and_another_seed_others() -> None:
    assert day_of("hospital", seed=4) == day_of("hospital", seed=4)
    assert day_of("hospital", seed=4) != day_of("hospital", seed=5)


def test_nobody_comes_twice_and_nobody_is_lost_when_taken_bit_by_bit() -> None:
    def crowd() -> Crowd:
        return Crowd(random.Random(9), PROFILES["office"], floors=9, entrance=0, traffic=2.0, start_ms=TUESDAY)

    whole = crowd().take(TUESDAY + 12 * HOUR_MS)
    bits, parts = crowd(), []
    for minute in range(12 * 60 + 1):
        at = TUESDAY + minute * 60_000
        bits.next_at(at + 90_000)
        parts += bits.take(at)
    assert parts == whole
