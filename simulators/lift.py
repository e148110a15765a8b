"""A lift at work: collective control, passengers in and out, homing, and whatever its plans bring upon it.

A lift is a generator: each `yield` gives the instant up to which it has lived. Whoever resumes it lets it live on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from simulators.callers import Callers
from simulators.car import NEVER, Car, PresenceSensor, Report
from simulators.motion import Run, braked, sampled
from simulators.network import Line
from simulators.people import Crowd, Group
from simulators.specs import LiftSpec, Plan
from simulators.truth import TruthLog

CAPACITY = 13
#: From here on the car passes landing calls by.
FULL = 10
#: A held door is let go in time: 120 s open are a fault.
HELD_AT_MOST_MS = 70_000
#: People who have waited this long take the stairs.
PATIENCE_MS = 180_000
#: Between two things that go wrong with one lift.
CALM_MS = 150_000
#: A landing call reopens the door at most this often before the car must go (4 turns in a minute are a fault).
REOPENINGS = 2


class Rider(NamedTuple):
    target: int
    persons: int


def _instant(report: Report) -> int:
    return report.at_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a lift lives with: people, fate, its line to the centre. `rescue` scales the time until help comes."""

    rng: random.Random
    crowd: Crowd
    plans: Iterator[Plan]
    scripts: Mapping[str, Callable[[Lift, Plan], Iterator[int]]]
    line: Line
    truth: TruthLog
    callers: Callers
    rescue: float


class Lift:
    """One lift's life from `start_ms` on."""

    def __init__(self, spec: LiftSpec, around: Surroundings, *, start_ms: int) -> None:
        rng = around.rng
        self.spec = spec
        self.rng = rng
        self.line = around.line
        self.truth = around.truth
        self.callers = around.callers
        self.rescue = around.rescue
        self._crowd = around.crowd
        self._plans = around.plans
        self._scripts = around.scripts
        self.plan = next(self._plans, Plan(NEVER, "end"))
        self._calm_until = start_ms
        sensor = PresenceSensor(
            rng, hold_ms=spec.sensor_hold_ms, latency_ms=rng.randint(150, 600), misses_every_ms=900_000
        )
        self.car = Car(
            shaft=spec.shaft,
            drive=spec.drive,
            doors=spec.doors,
            sensor=sensor,
            model=spec.model,
            now=start_ms + rng.randrange(10_000),
            index=spec.entrance if rng.random() < 0.4 else rng.randrange(len(spec.shaft.floors)),
            run_count=rng.randrange(20_000, 900_000),
        )
        self.riders: list[Rider] = []
        self.queue: list[Group] = []
        self.heading = 0
        self.homing = True
        self._reopened = 0
        self._playing = False
        self._draining = False
        self._opened_ms = start_ms
        self._idle_since = self.car.now

    @property
    def now(self) -> int:
        return self.car.now

    def take_reports(self) -> list[Report]:
        reports, self.car.reports = self.car.reports, []
        reports.sort(key=_instant)
        return reports

    def live(self) -> Iterator[int]:
        """For ever."""
        while True:
            if self.due():
                yield from self._play()
            else:
                yield from self.serve()

    def due(self) -> bool:
        """Whether the next plan wants to be played now."""
        return self.car.now >= max(self.plan.at_ms, self._calm_until)

    def _play(self) -> Iterator[int]:
        plan, self.plan = self.plan, next(self._plans, Plan(NEVER, "end"))
        self._playing = True
        yield from self._scripts[plan.kind](self, plan)
        self._playing = False
        self.calm(self.car.now)
        self._idle_since = self.car.now
        self.heading = 0
        yield self.car.now

    def calm(self, since_ms: int) -> None:
        """Nothing else goes wrong here for a while after `since_ms`."""
        self._calm_until = max(self._calm_until, since_ms + CALM_MS)

    def serve(self) -> Iterator[int]:
        """One step of ordinary work: a trip, or rest until something is to do (at most a minute)."""
        now = self.car.now
        self.queue = [g for g in self.queue if now - g.at_ms < PATIENCE_MS]
        self.queue.extend(g for g in self._crowd.take(now) if now - g.at_ms < PATIENCE_MS)
        if self._draining:
            self.queue.clear()
        target = self._next_stop()
        if target is None:
            yield from self._rest()
        else:
            if target != self.car.index:
                arrived = yield from self._go(target)
                if not arrived:
                    return
            yield from self.stop()

    # -- where to ------------------------------------------------------------------------------------------------

    def _next_stop(self) -> int | None:
        """The next floor of collective control; the floor here when somebody waits for this door; None: nothing."""
        here = self.car.index
        if self._wanted_here(here):
            return here
        if self.heading == 0:
            self.heading = self._first_heading(here)
        for heading in (self.heading, -self.heading):
            ahead = [r.target for r in self.riders if (r.target - here) * heading > 0]
            calls = [g for g in self.queue if (g.origin - here) * heading > 0] if self.persons < FULL else []
            ahead += [g.origin for g in calls if (g.target - g.origin) * heading > 0]
            turning = [g.origin for g in calls]
            if ahead or turning:
                self.heading = heading
                if ahead:
                    return min(ahead) if heading > 0 else max(ahead)
                return max(turning) if heading > 0 else min(turning)
        self.heading = 0
        return None

    def _wanted_here(self, here: int) -> bool:
        if self._reopened >= REOPENINGS and self.riders:
            return False
        return any(self._may_board(g) for g in self.queue if g.origin == here)

    def _first_heading(self, here: int) -> int:
        floors = [r.target for r in self.riders] or [g.origin for g in self.queue]
        return 1 if floors and floors[0] > here else -1

    def _may_board(self, group: Group) -> bool:
        aboard = sum(r.persons for r in self.riders)
        same_way = not self.riders or (group.target - group.origin) * self.heading > 0
        return same_way and (not aboard or aboard + group.persons <= CAPACITY)

    # -- moving --------------------------------------------------------------------------------------------------

    def _go(self, target: int) -> Generator[int, None, bool]:
        """To the floor, or on the way to one that calls in time. False when the mains failed on the way."""
        self._start_delay()
        run = self.car.run_to(self.car.shaft.heights[self._on_the_way(target)])
        return (yield from self.ride(run))

    def ride(self, run: Run) -> Generator[int, None, bool]:
        """Make a run; False when the mains failed on the way and the brake stopped the car."""
        cut = self.plan.at_ms - self.car.now
        self._reopened = 0
        cuttable = self.plan.kind == "mains_failure" and self.plan.at_ms >= self._calm_until and not self._playing
        if cuttable and 0 < cut < run.duration_ms:
            self.brake(run, cut / 1000)
            yield self.car.now
            return False
        self.car.follow(run)
        yield self.car.now
        return True

    def _start_delay(self) -> None:
        rng = self.rng
        if len(self.riders) == 1 and rng.random() < 0.012:
            # boarded and has pressed no button yet
            self.car.wait(rng.randint(8_000, 38_000))
        self.car.wait(rng.randint(300, 1_600))

    def _on_the_way(self, target: int) -> int:
        """The first floor between that calls, in our direction, before the car must slow down for it."""
        car, here = self.car, self.car.index
        sign = 1 if target > here else -1
        run = car.run_to(car.shaft.heights[target])
        margin = self.spec.drive.speed / self.spec.drive.acceleration + 1.5
        for group in self._crowd.coming(car.now + run.duration_ms):
            if group.at_ms >= car.now + run.duration_ms:
                break
            between = 0 < (group.origin - here) * sign < (target - here) * sign
            if not between or (group.target - group.origin) * sign <= 0:
                continue
            passes_s = run.trajectory.time_at(abs(car.shaft.heights[group.origin] - car.height))
            if group.at_ms < car.now + (passes_s - margin) * 1000:
                return group.origin
        return target

    # -- at a floor ----------------------------------------------------------------------------------------------

    def stop(self) -> Iterator[int]:
        """Door open, people out and in, door closed."""
        car, rng = self.car, self.rng
        self._reopened += 1
        car.wait(rng.randint(300, 800))
        self._opened_ms = car.now
        car.open_door()
        yield car.now
        self.let_out(car.index)
        boarded = self._let_in()
        self._dwell(boarded)
        yield car.now
        car.close_door()
        self._idle_since = car.now
        yield car.now

    def let_out(self, floor: int | None) -> None:
        """Riders for `floor` leave (None: all)."""
        for rider in [r for r in self.riders if floor is None or r.target == floor]:
            for _ in range(rider.persons):
                self.car.wait(self.rng.randint(700, 1_300))
            self.riders.remove(rider)
            self._weigh()
            if not self.riders:
                self.car.sensor.leave(self.car.now)

    def _let_in(self) -> int:
        """Whoever waits here and may come along; their number."""
        car, boarded = self.car, 0
        self.queue.extend(self._crowd.take(car.now))
        for group in [g for g in self.queue if g.origin == car.index]:
            if self._may_board(group):
                self.board(group)
                boarded += group.persons
        return boarded

    def board(self, group: Group) -> None:
        car = self.car
        if group in self.queue:
            self.queue.remove(group)
        for n in range(group.persons):
            car.wait(self.rng.randint(700, 1_200))
            if n == 0 and not self.riders:
                self.heading = 1 if group.target > group.origin else -1
                car.sensor.enter(car.now)
        self.riders.append(Rider(group.target, group.persons))
        self._weigh()
        if group.persons >= 6:
            self._relevel()

    def _weigh(self) -> None:
        persons = sum(r.persons for r in self.riders)
        self.car.load_kg = 5 * round(persons * 13.6) if persons else 0

    def _relevel(self) -> None:
        """A full load has stretched the ropes: the car creeps up a few millimetres with its door open."""
        car = self.car
        car.set(height=round(car.height - 0.008, 3), moving=1, direction=1, speed=0.02)
        car.wait(self.rng.randint(400, 700))
        car.set(height=round(car.height + 0.008, 3), moving=0, direction=0, speed=0.0)

    def _dwell(self, boarded: int) -> None:
        """The door's time, people who hold it, and people who run for it."""
        car, rng = self.car, self.rng
        car.wait(max(car.doors.dwell_ms - 700 * boarded, 1_500))
        if rng.random() < 0.015:
            car.wait(min(rng.randint(8_000, 40_000), max(self._held_left(), 0)))
        while rng.random() < 0.05 and self._held_left() > 0:
            car.reverse_door(rng.uniform(0.2, 0.8))
            car.wait(1_500)
        if self._held_left() > 0:
            self._let_in()

    def _held_left(self) -> int:
        return self._opened_ms + HELD_AT_MOST_MS - self.car.now

    # -- nothing to do -------------------------------------------------------------------------------------------

    def _rest(self) -> Iterator[int]:
        car, now = self.car, self.car.now
        home_at = NEVER
        if self.homing and self.spec.homing_after_ms is not None and car.index != self.spec.entrance:
            home_at = self._idle_since + self.spec.homing_after_ms
        if now >= home_at and not car.flag:
            yield from self.go_home()
            return
        wake = min(now + 60_000, max(home_at, now + 1_000))
        if not self._playing:
            wake = min(wake, max(self.plan.at_ms, self._calm_until))
        wake = max(self._crowd.next_at(wake), now + 1)
        if wake - now > 20_000 and self.rng.random() < 0.004:
            car.sensor.blip(now + self.rng.randint(1_000, wake - now - 6_000))
        car.wait_until(wake)
        yield car.now

    def go_home(self) -> Iterator[int]:
        """Empty to the entrance; the door stays closed."""
        yield from self.ride(self.car.run_to(self.car.shaft.heights[self.spec.entrance]))
        self._idle_since = self.car.now

    # -- for the scripts -----------------------------------------------------------------------------------------

    def until_empty(self) -> Iterator[int]:
        """Bring everybody to where they want to go; ends with the door closed at a floor and nobody seen inside."""
        self._draining = True
        while self.riders:
            yield from self.serve()
        self._draining = False
        while self.car.flag:
            self.car.wait(1_000)
            yield self.car.now

    def with_riders(self, persons: int | None = None, span: int = 1) -> Iterator[int]:
        """Somebody boards who wants to go at least `span` floors; ends with the door closed and them inside."""
        car, rng = self.car, self.rng
        yield from self.until_empty()
        self.queue = [g for g in self.queue if g.origin != car.index]
        floors = [i for i in range(len(car.shaft.floors)) if abs(i - car.index) >= span]
        if not floors:
            floors = [0 if car.index > len(car.shaft.floors) // 2 else len(car.shaft.floors) - 1]
        number = persons or rng.choices((1, 2, 3, 4), (40, 36, 16, 8))[0]
        self.queue.insert(0, Group(car.now, car.index, rng.choice(floors), number))
        yield from self.stop()

    def empty_to(self, index: int) -> Iterator[int]:
        """Nobody inside, door closed, at floor `index`."""
        yield from self.until_empty()
        if self.car.index != index:
            self.car.wait(self.rng.randint(300, 1_500))
            yield from self.ride(self.car.run_to(self.car.shaft.heights[index]))

    def pause(self, ms: float) -> Iterator[int]:
        """Let time pass, ten seconds at a go."""
        end = self.car.now + int(ms)
        while self.car.now < end:
            self.car.wait(min(10_000, end - self.car.now))
            yield self.car.now

    def brake(self, run: Run, at_s: float) -> None:
        """Make `run`, but stop hard after `at_s` seconds."""
        self.car.follow(sampled(self.car.shaft, braked(run.trajectory, at_s, 2.0), run.start, run.sign))

    @property
    def persons(self) -> int:
        return sum(r.persons for r in self.riders)
