"""Who wants to go where, and when: groups of passengers by the hours of a home, an office, a hospital or a mall."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: China keeps one time all year: UTC+8.
LOCAL_OFFSET_MS = 8 * HOUR_MS

#: Persons in a group, with weights.
GROUP_SIZES = (1, 2, 3, 4, 6)
GROUP_WEIGHTS = (62, 24, 9, 4, 1)


class Group(NamedTuple):
    """People who come to a landing together; floors are indices into the shaft."""

    at_ms: int
    origin: int
    target: int
    persons: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayProfile:
    """How a kind of building uses its lifts.

    `groups_per_floor`: groups a weekday for each floor above the entrance. `hours`: weight of each hour of the day.
    `up`: of those who come or go, how many go up, by hour. `between`: share that goes from floor to floor.
    `weekend`: traffic of Saturday and Sunday against a weekday.
    """

    groups_per_floor: float
    hours: tuple[int, ...]
    up: tuple[float, ...]
    between: float
    weekend: float


def _hours(night: float, *spans: tuple[int, int, float]) -> tuple[float, ...]:
    """24 values: `night`, and over it (from hour, to hour, value)."""
    values = [night] * 24
    for first, last, value in spans:
        values[first:last] = [value] * (last - first)
    return tuple(values)


PROFILES: Mapping[str, DayProfile] = {
    "residential": DayProfile(
        groups_per_floor=9,
        hours=(2, 1, 1, 1, 1, 4, 20, 56, 46, 28, 30, 38, 40, 30, 24, 26, 36, 54, 58, 44, 36, 26, 14, 6),
        up=_hours(0.6, (5, 9, 0.15), (9, 11, 0.4), (11, 13, 0.6), (13, 15, 0.4), (15, 21, 0.72), (21, 24, 0.85)),
        between=0.03,
        weekend=0.9,
    ),
    "office": DayProfile(
        groups_per_floor=14,
        hours=(0, 0, 0, 0, 0, 1, 4, 30, 90, 50, 34, 56, 60, 46, 32, 32, 36, 66, 50, 20, 10, 6, 3, 1),
        up=_hours(0.5, (6, 10, 0.92), (10, 12, 0.4), (12, 14, 0.65), (14, 17, 0.5), (17, 24, 0.08)),
        between=0.22,
        weekend=0.12,
    ),
    "hospital": DayProfile(
        groups_per_floor=22,
        hours=(6, 5, 4, 4, 6, 14, 30, 56, 70, 72, 66, 56, 44, 44, 60, 58, 50, 44, 36, 28, 22, 16, 10, 8),
        up=_hours(0.5, (6, 10, 0.65), (10, 12, 0.45), (14, 16, 0.6), (16, 19, 0.35)),
        between=0.3,
        weekend=0.7,
    ),
    "mall": DayProfile(
        groups_per_floor=45,
        hours=(0, 0, 0, 0, 0, 0, 1, 3, 8, 26, 50, 66, 62, 54, 56, 60, 62, 64, 70, 72, 60, 36, 6, 1),
        up=_hours(0.5, (9, 12, 0.68), (12, 19, 0.52), (20, 24, 0.15)),
        between=0.35,
        weekend=1.5,
    ),
}


def local_hour(at_ms: int, shift_ms: int = 0) -> int:
    return (at_ms + LOCAL_OFFSET_MS + shift_ms) // HOUR_MS % 24


def is_weekend(at_ms: int, shift_ms: int = 0) -> bool:
    """Day 0 of 1970 was a Thursday."""
    return ((at_ms + LOCAL_OFFSET_MS + shift_ms) // DAY_MS + 3) % 7 >= 5


class Crowd:
    """The groups of one lift in order of time, made an hour at a time.

    `entrance` is the index of the ground floor; floors below it are garages. `traffic` multiplies the profile;
    `shift_ms` moves the town's day against the clock.
    """

    def __init__(
        self,
        rng: random.Random,
        profile: DayProfile,
        *,
        floors: int,
        entrance: int,
        traffic: float,
        start_ms: int,
        shift_ms: int = 0,
    ) -> None:
        self._rng = rng
        self._profile = profile
        self._floors = floors
        self._entrance = entrance
        self._shift_ms = shift_ms
        self._per_day = profile.groups_per_floor * (floors - 1 - entrance) * traffic
        self._hour_ms = start_ms // HOUR_MS * HOUR_MS
        self._start_ms = start_ms
        self._coming: deque[Group] = deque()

    def coming(self, until_ms: int) -> deque[Group]:
        """Groups not yet taken, at least all that come before `until_ms`."""
        while self._hour_ms < until_ms:
            self._make_hour()
        return self._coming

    def take(self, until_ms: int) -> list[Group]:
        """Groups that have come by `until_ms`, once."""
        coming = self.coming(until_ms + 1)
        taken = []
        while coming and coming[0].at_ms <= until_ms:
            taken.append(coming.popleft())
        return taken

    def next_at(self, limit_ms: int) -> int:
        """When the next group comes, or `limit_ms`."""
        coming = self.coming(limit_ms)
        return min(coming[0].at_ms, limit_ms) if coming else limit_ms

    def _make_hour(self) -> None:
        hour = local_hour(self._hour_ms, self._shift_ms)
        weight = self._profile.hours[hour] / sum(self._profile.hours)
        if is_weekend(self._hour_ms, self._shift_ms):
            weight *= self._profile.weekend
        per_ms = max(self._per_day * weight, 0.02) / HOUR_MS
        at = float(self._hour_ms)
        while (at := at + self._rng.expovariate(per_ms)) < self._hour_ms + HOUR_MS:
            group = self._group(int(at), self._profile.up[hour])
            if group.at_ms >= self._start_ms:
                self._coming.append(group)
        self._hour_ms += HOUR_MS

    def _group(self, at_ms: int, up: float) -> Group:
        rng = self._rng
        persons = rng.choices(GROUP_SIZES, GROUP_WEIGHTS)[0]
        upper = rng.randrange(self._entrance + 1, self._floors)
        if rng.random() < self._profile.between and self._floors - self._entrance > 2:
            other = rng.randrange(self._entrance + 1, self._floors - 1)
            return Group(at_ms, upper, other if other < upper else other + 1, persons)
        street = self._entrance
        if self._entrance and rng.random() < 0.3:
            street = rng.randrange(self._entrance)
        if rng.random() < up:
            return Group(at_ms, street, upper, persons)
        return Group(at_ms, upper, street, persons)
