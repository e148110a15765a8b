"""One lift car and its terminal: state, door machine, presence sensor, and a sample whenever protocol §2 wants one.

Instants are true milliseconds since 1970 UTC; the terminal's own wrong clock is added by `network`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulators.motion import Drive, Run, Shaft
from simulators.motion import run as run_between

NEVER = 1 << 62
MOVING_PERIOD_MS = 1_000
STANDING_PERIOD_MS = 10_000

NONE, UP, DOWN = 0, 1, 2
NORMAL, INSPECTION, FIRE_RETURN, FIREFIGHTER, EMERGENCY_POWER = 1, 2, 3, 4, 5


class Report(NamedTuple):
    """One thing a terminal sends: `body` is the inside of the JSON object after `ts` (and `seq`)."""

    at_ms: int
    channel: str
    body: str
    #: Somebody in the car and the door closed, as far as this sample tells.
    shut_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalModel:
    """Which optional fields a make of terminal sends."""

    name: str
    speed: bool = True
    position: bool = True
    power: bool = True
    load: bool = True
    runs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Times of the door machine in ms; the `door_closed` flag is 1 only when shut and locked."""

    opening_ms: int
    closing_ms: int
    dwell_ms: int


class PresenceSensor:
    """The passenger flag: an infrared sensor that holds after the last movement and now and then misses a person.

    `next_ms` is when the flag turns next; `turn` turns it. Its own noise never lasts longer than 4 s.
    """

    def __init__(self, rng: random.Random, *, hold_ms: int, latency_ms: int, misses_every_ms: int) -> None:
        self.value = 0
        self.next_ms = NEVER
        self._rng = rng
        self._hold_ms = hold_ms
        self._latency_ms = latency_ms
        self._misses_every_ms = misses_every_ms
        self._occupied = False
        self._stuck = False
        self._flicker = False

    def enter(self, now: int) -> None:
        """The first person is in."""
        self._occupied = True
        if self._stuck:
            return
        self.next_ms = self._next_miss(now) if self.value else now + self._latency_ms

    def leave(self, now: int) -> None:
        """The last person is out."""
        self._occupied = self._flicker = False
        if not self._stuck:
            self.next_ms = now + self._hold_ms if self.value else NEVER

    def stick(self) -> None:
        """From now on the flag stays as it is, 1."""
        self._stuck = True
        self.next_ms = NEVER

    def release(self, now: int) -> None:
        """Repaired: the flag falls shortly, unless somebody is there."""
        self._stuck = False
        self.next_ms = self._next_miss(now) if self._occupied else now + 500

    def flicker(self, now: int) -> None:
        """A loose contact: misses of up to 4 s every few seconds while somebody is there."""
        self._flicker = True
        self.next_ms = self._next_miss(now)

    def blip(self, at_ms: int) -> None:
        """Sees somebody in an empty car at `at_ms`, for at most 2 s."""
        if not self._occupied and not self.value:
            self.next_ms = at_ms

    def turn(self) -> None:
        now = self.next_ms
        self.value = 1 - self.value
        if self.value:
            self.next_ms = self._next_miss(now) if self._occupied else now + self._rng.randint(500, 2_000)
        else:
            self.next_ms = now + self._rng.randint(600, 4_000) if self._occupied else NEVER

    def _next_miss(self, now: int) -> int:
        if self._flicker:
            return now + self._rng.randint(3_000, 12_000)
        return now + 2_000 + int(self._rng.expovariate(1 / self._misses_every_ms))


class Car:
    """The car's state at `now`; every method that takes time appends the samples due meanwhile to `reports`."""

    def __init__(
        self,
        *,
        shaft: Shaft,
        drive: Drive,
        doors: Doors,
        sensor: PresenceSensor,
        model: TerminalModel,
        now: int,
        index: int,
        run_count: int,
    ) -> None:
        self.shaft = shaft
        self.drive = drive
        self.doors = doors
        self.sensor = sensor
        self.model = model
        self.now = now
        self.run_count = run_count
        self.mode = NORMAL
        self.moving = 0
        self.direction = NONE
        self.door_closed = 1
        self.height = shaft.heights[index]
        self.floor = shaft.floors[index]
        self.zone = 1
        self.speed = 0.0
        self.power = 1
        self.load_kg = 0
        #: Times the door has opened.
        self.openings = 0
        self.reports: list[Report] = []
        self._last_ms = now
        self.emit()

    @property
    def index(self) -> int:
        return self.shaft.index_at(self.height)

    @property
    def flag(self) -> int:
        return self.sensor.value

    def body(self) -> str:
        """The status sample's fields after `ts` and `seq`."""
        model = self.model
        text = (
            f'"service_mode":{self.mode},"car_status":{self.moving},"car_direction":{self.direction},'
            f'"door_zone":{self.zone},"car_position":{self.floor},"door_closed":{self.door_closed},'
            f'"passenger":{self.sensor.value}'
        )
        if model.speed:
            text += f',"speed_mps":{self.speed}'
        if model.position:
            text += f',"position_m":{self.height:.3f}'
        if model.power:
            text += f',"power":{self.power}'
        if model.load:
            text += f',"load_kg":{self.load_kg}'
        return f'{text},"run_count":{self.run_count}' if model.runs else text

    def emit(self, at_ms: int | None = None) -> None:
        """A sample of the state as it is."""
        at = self.now if at_ms is None else at_ms
        self.reports.append(Report(at, "status", self.body(), bool(self.sensor.value and self.door_closed)))
        self._last_ms = at

    def set(self, **changes: Any) -> None:
        """Change fields of the state now, and tell."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.emit()

    def event(self, code: int, state: str = "raised", *, at_ms: int | None = None, **extra: Any) -> None:
        """A coded fault, event or alarm (protocol §3)."""
        more = "".join(f',"{name}":{json.dumps(value, ensure_ascii=False)}' for name, value in extra.items())
        at = self.now if at_ms is None else at_ms
        self.reports.append(Report(at, "event", f'"code":{code},"state":"{state}"{more}'))

    def wait(self, ms: int) -> None:
        """Let `ms` pass with nothing changing but the presence flag."""
        until = self.now + ms
        sensor = self.sensor
        while True:
            period = MOVING_PERIOD_MS if self.moving or not self.door_closed else STANDING_PERIOD_MS
            due = self._last_ms + period
            limit = min(until, sensor.next_ms)
            if due < limit:
                body, shut_in = self.body(), bool(sensor.value and self.door_closed)
                times = range(due, limit, period)
                self.reports.extend(Report(at, "status", body, shut_in) for at in times)
                self._last_ms = times[-1]
            if sensor.next_ms >= until:
                break
            at = max(sensor.next_ms, self.now)
            sensor.turn()
            self.emit(at)
        self.now = until

    def wait_until(self, at_ms: int) -> None:
        if at_ms > self.now:
            self.wait(at_ms - self.now)

    def open_door(self) -> None:
        """Unlock and open; returns when fully open."""
        self.openings += 1
        self.set(door_closed=0)
        self.wait(self.doors.opening_ms)

    def close_door(self) -> None:
        """Close and lock; returns when locked."""
        self.wait(self.doors.closing_ms)
        self.set(door_closed=1)

    def reverse_door(self, share: float) -> None:
        """Close by `share` of the way, meet somebody, open again: the flag never says closed."""
        self.wait(int(self.doors.closing_ms * share) + 300)
        self.wait(int(self.doors.opening_ms * share))

    def run_to(self, height: float, drive: Drive | None = None) -> Run:
        """The run from here to `height`, not yet made."""
        return run_between(self.shaft, drive or self.drive, self.height, height)

    def follow(self, run: Run, overlay: Sequence[tuple[int, str, int]] = ()) -> None:
        """Make the run; `overlay` changes fields of the state meanwhile: (ms after the start, field, value)."""
        start = self.now
        self.run_count += 1
        self.moving = 1
        self.direction = UP if run.sign > 0 else DOWN
        pending = list(overlay)
        sensor = self.sensor
        for ms, height, speed, index, in_zone in run.waypoints:
            if pending or sensor.next_ms < start + ms:
                self._meanwhile(run, start, ms, pending)
            self.height, self.speed, self.zone = height, speed, int(in_zone)
            self.floor = self.shaft.floors[index]
            self.emit(start + ms)
        self._meanwhile(run, start, run.duration_ms, pending)
        self.now = start + run.duration_ms
        self._place(run.end)
        self.set(moving=0, direction=NONE, speed=0.0)

    def _meanwhile(self, run: Run, start: int, until_ms: int, pending: list[tuple[int, str, int]]) -> None:
        """Changes of the flag and of the overlay that come before `until_ms` of the run."""
        while True:
            flag_ms = self.sensor.next_ms - start
            change_ms = pending[0][0] if pending else NEVER
            ms = max(min(flag_ms, change_ms), 0)
            if ms >= until_ms:
                return
            self._place(run.height(ms))
            self.speed = round(run.trajectory.speed(ms / 1000), 3)
            if flag_ms <= change_ms:
                self.sensor.turn()
            else:
                _, name, value = pending.pop(0)
                setattr(self, name, value)
            self.emit(start + ms)

    def _place(self, height: float) -> None:
        self.height = round(height, 3)
        index, in_zone = self.shaft.place(height)
        self.floor, self.zone = self.shaft.floors[index], int(in_zone)
