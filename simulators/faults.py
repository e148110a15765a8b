"""What goes wrong, how often, and when: plans for every lift from the published rates (domain.md §3.2)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from simulators import breakdowns, entrapments, mains, routines
from simulators.lift import Lift
from simulators.specs import LiftSpec, Plan

Script = Callable[[Lift, Plan], Iterator[int]]

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultType:
    """`per_10k_days`: how many times a day in 10,000 lifts. `group`: which multiplier of a scenario applies."""

    script: Script
    group: str
    per_10k_days: float
    #: Lifts without this optional field cannot show it.
    needs_speed: bool = False
    #: Metres of travel that it takes.
    needs_travel_m: float = 0.0


def _type(script: Script, group: str, rate: float, **needs: float) -> FaultType:
    return FaultType(
        script=script,
        group=group,
        per_10k_days=rate,
        needs_speed=bool(needs.get("speed")),
        needs_travel_m=needs.get("travel_m", 0.0),
    )


#: Entrapments together: 3 a day in 10,000 lifts, 2.6 % of them self-freed, a fifth from power cuts. The others have no
#: published rate: ours are what a maintenance firm would call usual.
FAULTS: Mapping[str, FaultType] = {
    "trapped_between_floors": _type(entrapments.trapped_between_floors, "entrapments", 0.9),
    "trapped_by_power_cut": _type(entrapments.trapped_by_power_cut, "entrapments", 0.6),
    "trapped_at_floor": _type(entrapments.trapped_at_floor, "entrapments", 0.7),
    "boarded_and_does_not_start": _type(entrapments.boarded_and_does_not_start, "entrapments", 0.32),
    "trapped_with_flickering_sensor": _type(entrapments.trapped_with_flickering_sensor, "entrapments", 0.1),
    "trapped_and_pressed": _type(entrapments.trapped_and_pressed, "entrapments", 0.2),
    "trapped_then_self_freed": _type(entrapments.trapped_then_self_freed, "entrapments", 0.08),
    "trapped_during_outage": _type(entrapments.trapped_during_outage, "entrapments", 0.1),
    "stopped_between_floors_empty": _type(breakdowns.stopped_between_floors_empty, "faults", 2.0),
    "unintended_car_movement": _type(breakdowns.unintended_car_movement, "faults", 0.1),
    "door_opens_while_moving": _type(breakdowns.door_opens_while_moving, "faults", 0.5),
    "overspeed": _type(breakdowns.overspeed, "faults", 0.2, speed=True, travel_m=20.0),
    "top_overrun": _type(breakdowns.top_overrun, "faults", 0.2),
    "pit_overrun": _type(breakdowns.pit_overrun, "faults", 0.2),
    "door_never_closes": _type(breakdowns.door_never_closes, "faults", 8.0),
    "door_keeps_reopening": _type(breakdowns.door_keeps_reopening, "faults", 8.0),
    "motor_runs_without_moving": _type(breakdowns.motor_runs_without_moving, "faults", 1.0),
    "floor_lost": _type(breakdowns.floor_lost, "faults", 2.0),
    "sensor_stuck": _type(breakdowns.sensor_stuck, "faults", 3.0),
    "controller_code": _type(breakdowns.controller_code, "faults", 20.0),
    "alarm_by_mistake": _type(breakdowns.alarm_by_mistake, "faults", 20.0, travel_m=14.0),
    "outage": _type(routines.outage, "network", 80.0),
    "silence_with_riders": _type(routines.silence_with_riders, "network", 5.0),
    "terminal_reboot": _type(routines.terminal_reboot, "network", 40.0),
    "clock_set": _type(routines.clock_set, "network", 10.0),
    "inspection": _type(routines.inspection, "routines", 667.0),
    "fire_drill": _type(routines.fire_drill, "routines", 20.0),
    "test_call": _type(routines.test_call, "routines", 3_333.0),
}

GROUPS = ("entrapments", "faults", "network", "routines")

SCRIPTS: Mapping[str, Script] = {
    **{name: one.script for name, one in FAULTS.items()},
    "mains_failure": mains.mains_failure,
}


def feasible(spec: LiftSpec, fault: FaultType) -> bool:
    """Whether this lift can show that fault."""
    if fault.needs_speed and not spec.model.speed:
        return False
    return spec.shaft.heights[-1] >= fault.needs_travel_m * max(spec.drive.speed / 1.75, 1.0)


def chances(spec: LiftSpec, multipliers: Mapping[str, float]) -> dict[str, float]:
    """Times a day for each kind on this lift."""
    rates = {
        name: one.per_10k_days / 10_000 * multipliers.get(one.group, 1.0)
        for name, one in FAULTS.items()
        if feasible(spec, one)
    }
    return {name: rate for name, rate in rates.items() if rate > 0}


def plans(
    spec: LiftSpec, rng: random.Random, multipliers: Mapping[str, float], start_ms: int, fixed: list[Plan]
) -> Iterator[Plan]:
    """This lift's plans in order of time, for ever: a Poisson stream by the rates, and the fixed ones among them."""
    waiting = sorted(fixed, key=lambda plan: plan.at_ms)
    rates = chances(spec, multipliers)
    total = sum(rates.values())
    if not total:
        yield from waiting
        return
    names, weights = list(rates), list(rates.values())
    at = float(start_ms)
    while True:
        at += rng.expovariate(total / DAY_MS)
        while waiting and waiting[0].at_ms <= at:
            yield waiting.pop(0)
        yield Plan(int(at), rng.choices(names, weights)[0])
