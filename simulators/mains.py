"""A power failure of a whole quarter: the script of one lift in it, whatever it was doing at that moment."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.breakdowns import CREEPING, OUTSIDE_MS, begin, creep_back
from simulators.car import EMERGENCY_POWER, NORMAL
from simulators.entrapments import (
    OFF_LEVEL_MS,
    OUTSIDE,
    help_ms,
    let_free,
    perhaps_alarm,
    rescued,
    sit,
    starts_again,
)
from simulators.lift import Lift
from simulators.specs import Plan

MINUTE_MS = 60_000


def mains_failure(lift: Lift, plan: Plan) -> Iterator[int]:
    """Mains gone at `plan.at_ms` for `minutes`. On the way, `Lift.ride` has already let the brake drop in."""
    car = lift.car
    back_at = plan.at_ms + int(plan.options.get("minutes", 30) * MINUTE_MS)
    if lift.now >= back_at - MINUTE_MS:
        return
    car.event(41)
    car.wait(lift.rng.randint(100, 600))
    car.set(power=0)
    if car.zone:
        yield from _at_floor(lift)
    elif lift.riders:
        yield from _with_riders(lift, plan, back_at)
    else:
        yield from _empty(lift, plan, back_at)
    yield from lift.pause(back_at - lift.now)
    if not car.power:
        _power_back(lift)
    yield lift.now


def _power_back(lift: Lift) -> None:
    lift.car.event(41, "cleared")
    lift.car.set(power=1)


def _at_floor(lift: Lift) -> Iterator[int]:
    """The battery opens the door for whoever is inside."""
    if lift.riders:
        lift.car.wait(2_000)
        lift.car.open_door()
        lift.let_out(None)
        yield from lift.pause(3_000)
        lift.car.close_door()
    yield lift.now


def _with_riders(lift: Lift, plan: Plan, back_at: int) -> Iterator[int]:
    stopped = lift.now
    note = "mains failed, riders between floors"
    case = begin(lift, plan, note, *OUTSIDE)
    if lift.spec.rescue_device:
        case.may.add("entrapment")
        yield from lift.pause(lift.rng.randint(6_000, 12_000))
        lift.car.set(mode=EMERGENCY_POWER)
        lift.car.follow(lift.car.run_to(lift.car.shaft.heights[lift.car.index], CREEPING))
        yield from let_free(lift, case)
        yield from lift.pause(4_000)
        lift.car.close_door()
        yield from lift.pause(back_at - lift.now)
        lift.car.set(mode=NORMAL)
        return
    case.expect("entrapment", stopped + OFF_LEVEL_MS, late_ms=40_000)
    help_at = stopped + help_ms(lift)
    yield from sit(lift, case, min(help_at, back_at) - lift.now, alarm_after_ms=perhaps_alarm(lift, 0.4))
    if help_at < back_at:
        yield from rescued(lift, case)
    else:
        _power_back(lift)
        yield from starts_again(lift, case)


def _empty(lift: Lift, plan: Plan, back_at: int) -> Iterator[int]:
    case = begin(lift, plan, "mains failed on an empty run")
    # somebody may have left the flag up a few seconds ago
    case.expect("stopped_outside_door_zone", lift.now + OUTSIDE_MS, late_ms=40_000)
    yield from lift.pause(max(back_at - lift.now, 60_000))
    _power_back(lift)
    yield from creep_back(lift, case, "stopped_outside_door_zone")
