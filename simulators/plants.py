"""Escalators, walkways and boilers: simpler lives than a lift's, told every 10 s and at each change."""

from __future__ import annotations

import random
from collections.abc import Iterator

from simulators.car import Report
from simulators.network import Line
from simulators.people import PROFILES, local_hour
from simulators.specs import PlantSpec
from simulators.truth import TruthLog

PERIOD_MS = 10_000
VENDOR_CODES = ("E61", "E62", "E64")


class Stairs:
    """An escalator or walkway: runs while its house is open, slowly when nobody comes, stops on a fault of its own.

    `faults_per_day` is of its own controller's codes; each becomes `reported_fault` (protocol §3).
    """

    def __init__(
        self,
        *,
        spec: PlantSpec,
        rng: random.Random,
        line: Line,
        truth: TruthLog,
        start_ms: int,
        shift_ms: int,
        faults_per_day: float,
    ) -> None:
        self.spec = spec
        self.line = line
        self.now = start_ms + rng.randrange(10_000)
        self._rng = rng
        self._truth = truth
        self._shift_ms = shift_ms
        self._reports: list[Report] = []
        self._direction = 1 + rng.randrange(2)
        self._moving = self._passenger = 0
        self._speed = 0.0
        self._fault_ms = self._next_fault(faults_per_day)
        self._faults_per_day = faults_per_day

    def take_reports(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def live(self) -> Iterator[int]:
        """For ever."""
        while True:
            if self.now >= self._fault_ms and self._moving:
                yield from self._break_down()
            busy = self._busy()
            self._moving = int(busy > 0)
            self._speed = (0.5 if self._passenger else 0.2) if self._moving else 0.0
            until = self.now + PERIOD_MS
            if self._moving:
                mean_s = 25.0 * busy if self._passenger else 20.0 / busy
                until = self.now + max(int(self._rng.expovariate(1 / mean_s) * 1000), 700)
            while self.now < until:
                self._emit()
                self.now = min(self.now + PERIOD_MS, until)
                yield self.now
            self._passenger = 1 - self._passenger if self._moving else 0

    def _busy(self) -> float:
        """How busy the house is, 0 (shut) to 1."""
        return PROFILES["mall"].hours[local_hour(self.now, self._shift_ms)] / 72

    def _emit(self) -> None:
        direction = self._direction if self._moving else 0
        self._reports.append(
            Report(
                self.now,
                "status",
                f'"service_mode":1,"moving":{self._moving},"direction":{direction},"speed_mps":{self._speed},'
                f'"passenger":{self._passenger},"power":1',
            )
        )

    def _next_fault(self, per_day: float) -> int:
        return self.now + int(self._rng.expovariate(per_day / 86_400_000)) if per_day else 1 << 62

    def _break_down(self) -> Iterator[int]:
        code = self._rng.choice(VENDOR_CODES)
        case = self._truth.open(self.spec.equipment_id, "stairs_fault", self.now, note=f"controller code {code}")
        case.expect("reported_fault", self.now, early_ms=2_000, late_ms=15_000)
        self._code(code, "raised")
        self._moving, self._speed, self._passenger = 0, 0.0, 0
        until = self.now + self._rng.randint(3, 15) * 60_000
        while self.now < until:
            self._emit()
            self.now += PERIOD_MS
            yield self.now
        self._code(code, "cleared")
        case.over("reported_fault", self.now)
        self._truth.close(case, self.now)
        self._fault_ms = self._next_fault(self._faults_per_day)

    def _code(self, vendor_code: str, state: str) -> None:
        self._reports.append(Report(self.now, "event", f'"code":0,"state":"{state}","vendor_code":"{vendor_code}"'))


class Boiler:
    """A steam boiler that keeps its pressure, water and flue gas well within its limits."""

    #: quantity, set point, pull towards it a sample, noise a sample, decimals
    QUANTITIES = (
        ("pressure_mpa", 0.72, 0.05, 0.008, 3),
        ("water_level_mm", 0.0, 0.1, 2.5, 1),
        ("flue_gas_c", 152.0, 0.04, 1.2, 1),
    )

    def __init__(self, *, spec: PlantSpec, rng: random.Random, line: Line, start_ms: int) -> None:
        self.spec = spec
        self.line = line
        self.now = start_ms + rng.randrange(10_000)
        self._rng = rng
        self._reports: list[Report] = []
        self._values = [setpoint for _, setpoint, *_ in self.QUANTITIES]

    def take_reports(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def live(self) -> Iterator[int]:
        """For ever."""
        while True:
            parts = []
            for n, (name, setpoint, pull, noise, decimals) in enumerate(self.QUANTITIES):
                self._values[n] += (setpoint - self._values[n]) * pull + self._rng.gauss(0, noise)
                parts.append(f'"{name}":{round(self._values[n], decimals)}')
            self._reports.append(Report(self.now, "status", f'"values":{{{",".join(parts)}}}'))
            self.now += PERIOD_MS
            yield self.now
