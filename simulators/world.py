"""The whole town in one heap of events: every unit lives on when its time has come, and what they send is put in order.

A record is final when no unit can any more send one with an earlier receive time: units never send into their past.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from simulators.callers import Callers
from simulators.car import Report
from simulators.faults import SCRIPTS, plans
from simulators.fleet import DIVISION, Town, make_town
from simulators.lift import Lift, Surroundings
from simulators.network import Line, Record
from simulators.people import HOUR_MS, PROFILES, Crowd, local_hour
from simulators.plants import Boiler, Stairs
from simulators.scenario import Scenario
from simulators.specs import LiftSpec, Plan, PlantSpec
from simulators.truth import TruthLog

#: Lived time between two sortings of what was sent, ms.
SORT_EVERY_MS = 30_000
#: Faults of an escalator's own controller, a day (before the scenario's multiplier).
STAIRS_FAULTS_PER_DAY = 0.002


class Unit(Protocol):
    """Anything that lives in the town and reports."""

    line: Line

    @property
    def now(self) -> int: ...

    def live(self) -> Iterator[int]: ...

    def take_reports(self) -> list[Report]: ...


class World:
    """A town from `start_ms` on (true ms since 1970 UTC). The same scenario and start give the same records."""

    def __init__(self, scenario: Scenario, *, start_ms: int, truth: TruthLog | None = None) -> None:
        self.scenario = scenario
        self.start_ms = start_ms
        self.truth = truth or TruthLog(slack_ms=scenario.slack_ms)
        self.town: Town = make_town(
            seed=scenario.seed, lifts=scenario.lifts, traffic=scenario.traffic, plants=scenario.plants
        )
        self._shift_ms = 0
        if scenario.start_hour is not None:
            self._shift_ms = (scenario.start_hour - local_hour(start_ms)) * HOUR_MS
        self._fixed = self._fixed_plans()
        units: list[Unit] = [self._lift(n, spec) for n, spec in enumerate(self.town.lifts)]
        units += [self._plant(len(units) + n, spec) for n, spec in enumerate(self.town.plants)]
        self._units = units
        self._lives = [unit.live() for unit in units]
        self._heap = [(start_ms, n) for n in range(len(units))]
        self._pending: list[Record] = []
        self._sort_at = start_ms + SORT_EVERY_MS

    def records(self, until_ms: int | None = None) -> Iterator[list[Record]]:
        """Batches of records in order of receive time; ends with the last one received before `until_ms`."""
        while until_ms is None or self._heap[0][0] < until_ms:
            self._advance(min(self._sort_at, until_ms or self._sort_at))
            yield self._final(self._heap[0][0] if until_ms is None else min(self._heap[0][0], until_ms))
            self._sort_at = max(self._sort_at, self._heap[0][0]) + SORT_EVERY_MS

    def due(self, now_ms: int) -> list[Record]:
        """What the centre receives by `now_ms` (included) and was not handed out before, in order."""
        self._advance(now_ms + 1)
        return self._final(now_ms + 1)

    def _advance(self, until_ms: int) -> None:
        """Let every unit live up to `until_ms`."""
        heap, pending = self._heap, self._pending
        while heap[0][0] < until_ms:
            _, number = heap[0]
            unit = self._units[number]
            lived_to = next(self._lives[number])
            pending.extend(unit.line.deliver(unit.take_reports(), lived_to))
            heapq.heapreplace(heap, (lived_to, number))

    def _final(self, before_ms: int) -> list[Record]:
        pending = self._pending
        pending.sort()
        low, high = 0, len(pending)
        while low < high:
            middle = (low + high) // 2
            if pending[middle].at_ms < before_ms:
                low = middle + 1
            else:
                high = middle
        self._pending = pending[low:]
        return pending[:low]

    # -- making the units ----------------------------------------------------------------------------------------

    def _rng(self, purpose: str, equipment_id: str) -> random.Random:
        return random.Random(f"{purpose}/{self.scenario.seed}/{equipment_id}")

    def _line(self, unit: int, kind: str, equipment_id: str) -> Line:
        return Line(
            unit=unit,
            topic=f"se/v1/{DIVISION}/{kind}/{equipment_id}",
            equipment_id=equipment_id,
            rng=self._rng("line", equipment_id),
            quality=self.scenario.network,
            truth=self.truth,
            start_ms=self.start_ms,
        )

    def _lift(self, number: int, spec: LiftSpec) -> Lift:
        key = spec.equipment_id
        crowd = Crowd(
            self._rng("people", key),
            PROFILES[spec.profile],
            floors=len(spec.shaft.floors),
            entrance=spec.entrance,
            traffic=spec.traffic,
            start_ms=self.start_ms,
            shift_ms=self._shift_ms,
        )
        around = Surroundings(
            rng=self._rng("life", key),
            crowd=crowd,
            plans=plans(
                spec, self._rng("faults", key), self.scenario.rates, self.start_ms, self._fixed.get(number, [])
            ),
            scripts=SCRIPTS,
            line=self._line(number, "lift", key),
            truth=self.truth,
            callers=Callers(self._rng("calls", key), division=DIVISION, share=self.scenario.calls),
            rescue=self.scenario.rescue,
        )
        return Lift(spec, around, start_ms=self.start_ms)

    def _plant(self, number: int, spec: PlantSpec) -> Unit:
        line = self._line(number, spec.kind, spec.equipment_id)
        rng = self._rng("life", spec.equipment_id)
        if spec.kind == "boiler":
            return Boiler(spec=spec, rng=rng, line=line, start_ms=self.start_ms)
        return Stairs(
            spec=spec,
            rng=rng,
            line=line,
            truth=self.truth,
            start_ms=self.start_ms,
            shift_ms=self._shift_ms,
            faults_per_day=STAIRS_FAULTS_PER_DAY * self.scenario.rates.get("faults", 1.0),
        )

    def _fixed_plans(self) -> Mapping[int, list[Plan]]:
        """The scenario's own plans and blackouts, by lift."""
        fixed: dict[int, list[Plan]] = {}
        for plan in self.scenario.plans:
            chosen = {"persons": plan.persons, "minutes": plan.minutes}
            options: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
            at = self.start_ms + round(plan.after_s * 1000)
            fixed.setdefault(plan.lift % max(len(self.town.lifts), 1), []).append(Plan(at, plan.kind, options))
        for number, blackout in enumerate(self.scenario.blackouts):
            rng = self._rng("blackout", str(number))
            for lift in range(len(self.town.lifts)):
                if rng.random() < blackout.share:
                    at = self.start_ms + round(blackout.after_s * 1000)
                    fixed.setdefault(lift, []).append(Plan(at, "mains_failure", {"minutes": blackout.minutes}))
        return fixed
