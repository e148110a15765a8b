"""How a lift car moves: jerk-limited trajectories, emergency stops, and what a terminal sees of them.

Distances along a trajectory are metres travelled (never negative), heights are metres above the bottom floor,
times within a run are seconds. A floor's height is where its door-zone vane sits, a few millimetres off the drawing.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

#: Half the unlocking zone, m (domain.md §6: ±0.20 m).
ZONE_M = 0.2
#: A terminal looks at its inputs this often; a change is seen at the next look.
SCAN_MS = 50
#: A sample is due this often while the car moves (protocol §2).
MOVING_PERIOD_MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """Limits of the machine: speed in m/s, acceleration in m/s², jerk in m/s³."""

    speed: float
    acceleration: float = 0.9
    jerk: float = 1.0


class Phase(NamedTuple):
    """A stretch of constant jerk: from `start_s` on, `x + v t + a t²/2 + j t³/6`, for `length_s`."""

    start_s: float
    length_s: float
    x: float
    v: float
    a: float
    j: float

    def position(self, t: float) -> float:
        return self.x + t * (self.v + t * (self.a / 2 + t * self.j / 6))

    def speed(self, t: float) -> float:
        return self.v + t * (self.a + t * self.j / 2)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Phases in order, from standstill to standstill; distance never falls."""

    phases: tuple[Phase, ...]

    @property
    def duration_s(self) -> float:
        return self.phases[-1].start_s + self.phases[-1].length_s

    @property
    def distance(self) -> float:
        return self.phases[-1].position(self.phases[-1].length_s)

    def _at(self, t: float) -> tuple[Phase, float]:
        t = min(max(t, 0.0), self.duration_s)
        phase = self.phases[bisect_right(self.phases, t, key=lambda p: p.start_s) - 1]
        return phase, min(t - phase.start_s, phase.length_s)

    def position(self, t: float) -> float:
        return self.at(t)[0]

    def speed(self, t: float) -> float:
        return self.at(t)[1]

    def at(self, t: float) -> tuple[float, float]:
        """Distance and speed after `t` seconds."""
        phase, within = self._at(t)
        return phase.position(within), max(phase.speed(within), 0.0)

    def acceleration(self, t: float) -> float:
        phase, within = self._at(t)
        return phase.a + phase.j * within

    def time_at(self, x: float) -> float:
        """When `x` metres have been travelled; 0 ≤ x ≤ distance."""
        phase = self.phases[max(bisect_right(self.phases, x, key=lambda p: p.x) - 1, 0)]
        if phase.a == 0.0 and phase.j == 0.0 and phase.v > 0.0:
            return phase.start_s + min((x - phase.x) / phase.v, phase.length_s)
        low, high = 0.0, phase.length_s
        for _ in range(20):
            middle = (low + high) / 2
            if phase.position(middle) < x:
                low = middle
            else:
                high = middle
        return phase.start_s + high


def _chain(steps: list[tuple[float, float]]) -> Trajectory:
    """Phases from (length, jerk) pairs, each starting where the last one ended."""
    phases: list[Phase] = []
    start = x = v = a = 0.0
    for length, jerk in steps:
        if length <= 0.0:
            continue
        phase = Phase(start, length, x, v, a, jerk)
        phases.append(phase)
        x, v, a = phase.position(length), phase.speed(length), a + jerk * length
        if abs(a) < 1e-9:
            a = 0.0
        start += length
    return Trajectory(tuple(phases))


def _peak(distance: float, drive: Drive) -> tuple[float, float]:
    """The highest speed and acceleration reached over `distance`."""
    to_full = drive.acceleration / drive.jerk
    v = min(drive.speed, drive.acceleration / 2 * (math.sqrt(to_full**2 + 4 * distance / drive.acceleration) - to_full))
    if v < drive.acceleration * to_full:
        v = min(drive.speed, (distance**2 * drive.jerk / 4) ** (1 / 3))
        return v, math.sqrt(v * drive.jerk)
    return v, drive.acceleration


def travel(distance: float, drive: Drive) -> Trajectory:
    """The quickest S-curve over `distance` > 0 metres within the drive's limits."""
    v, a = _peak(distance, drive)
    ramp = a / drive.jerk
    steady = max(v / a - ramp, 0.0)
    cruise = max(distance / v - (v / a + ramp), 0.0)
    up = [(ramp, drive.jerk), (steady, 0.0), (ramp, -drive.jerk)]
    down = [(ramp, -drive.jerk), (steady, 0.0), (ramp, drive.jerk)]
    return _chain([*up, (cruise, 0.0), *down])


def braked(trajectory: Trajectory, at_s: float, deceleration: float) -> Trajectory:
    """The same run, cut off at `at_s` by the brake (no jerk limit: a brake drops in)."""
    kept = [p for p in trajectory.phases if p.start_s < at_s]
    last = kept[-1]
    within = min(at_s - last.start_s, last.length_s)
    x, v = last.position(within), max(last.speed(within), 0.01)
    kept[-1] = last._replace(length_s=within)
    return Trajectory((*kept, Phase(last.start_s + within, v / deceleration, x, v, -deceleration, 0.0)))


@dataclass(frozen=True, slots=True)
class Shaft:
    """Floor numbers as displayed, bottom first, and their heights."""

    floors: tuple[int, ...]
    heights: tuple[float, ...]

    def index_at(self, height: float) -> int:
        """The nearest floor's index."""
        above = bisect_left(self.heights, height)
        if above == 0:
            return 0
        if above == len(self.heights):
            return above - 1
        return above if self.heights[above] - height <= height - self.heights[above - 1] else above - 1

    def in_zone(self, height: float) -> bool:
        return self.place(height)[1]

    def place(self, height: float) -> tuple[int, bool]:
        """The nearest floor's index, and whether its zone is reached."""
        index = self.index_at(height)
        return index, abs(height - self.heights[index]) <= ZONE_M

    def marks(self, low: float, high: float) -> list[float]:
        """Heights strictly between `low` and `high` where zone or floor number change."""
        middles = [(a + b) / 2 for a, b in zip(self.heights, self.heights[1:], strict=False)]
        edges = [h + side for h in self.heights for side in (-ZONE_M, ZONE_M)]
        return [m for m in (*middles, *edges) if low < m < high]


class Waypoint(NamedTuple):
    """What the terminal sees `ms` after the start of a run."""

    ms: int
    height: float
    speed: float
    floor_index: int
    in_zone: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A run between two heights: its trajectory, the samples due while it moves, and its end."""

    trajectory: Trajectory
    start: float
    sign: int
    waypoints: tuple[Waypoint, ...]
    duration_ms: int

    def height(self, ms: float) -> float:
        return self.start + self.sign * self.trajectory.position(ms / 1000)

    @property
    def end(self) -> float:
        return self.start + self.sign * self.trajectory.distance


@lru_cache(maxsize=16_384)
def run(shaft: Shaft, drive: Drive, start: float, end: float) -> Run:
    """The run from height `start` to another height `end`, as the terminal samples it (protocol §2)."""
    return sampled(shaft, travel(abs(end - start), drive), start, 1 if end > start else -1)


def sampled(shaft: Shaft, trajectory: Trajectory, start: float, sign: int) -> Run:
    """Samples at each change of zone and floor and at least once a second."""
    duration = math.ceil(trajectory.duration_s * 1000 / SCAN_MS) * SCAN_MS
    reached = start + sign * trajectory.distance
    looks = {0}
    for mark in shaft.marks(min(start, reached), max(start, reached)):
        # 1 mm beyond the mark, so that the look sees the new state
        beyond = min(abs(mark - start) + 0.001, trajectory.distance)
        looks.add(math.ceil(trajectory.time_at(beyond) * 1000 / SCAN_MS) * SCAN_MS)
    changes = sorted(t for t in looks if t < duration)
    points: list[Waypoint] = []
    for here, after in zip(changes, [*changes[1:], duration], strict=True):
        for ms in range(here, after, MOVING_PERIOD_MS):
            travelled, speed = trajectory.at(ms / 1000)
            height = start + sign * travelled
            points.append(Waypoint(ms, round(height, 3), round(speed, 3), *shaft.place(height)))
    return Run(trajectory, start, sign, tuple(points), duration)
