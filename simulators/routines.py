"""Scripts of ordinary life that must not be taken for a fault, and of the network's troubles."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.breakdowns import CREEPING, begin, end
from simulators.car import FIRE_RETURN, FIREFIGHTER, INSPECTION, NORMAL
from simulators.lift import Lift
from simulators.specs import Plan

MINUTE_MS = 60_000


def inspection(lift: Lift, plan: Plan) -> Iterator[int]:
    """The half-monthly visit: a mechanic rides on inspection speed and stops where he works."""
    yield from lift.until_empty()
    car, rng = lift.car, lift.rng
    case = begin(lift, plan, "maintenance visit")
    car.open_door()
    car.wait(rng.randint(3_000, 6_000))
    car.sensor.enter(lift.now)
    car.event(43)
    car.set(mode=INSPECTION)
    yield from lift.pause(rng.randint(5_000, 20_000))
    car.close_door()
    heights = car.shaft.heights
    for _ in range(rng.randint(4, 9)):
        there = rng.uniform(max(heights[0], car.height - 6.0), min(heights[-1], car.height + 6.0))
        if abs(there - car.height) > 0.3:
            car.follow(car.run_to(there, CREEPING))
        yield from lift.pause(rng.randint(40_000, 200_000))
    level = heights[car.index]
    if abs(level - car.height) > 0.005:
        car.follow(car.run_to(level, CREEPING))
    yield from lift.pause(2_000)
    car.open_door()
    car.sensor.leave(lift.now)
    yield from lift.pause(lift.spec.sensor_hold_ms + 4_000)
    car.event(43, "cleared")
    car.set(mode=NORMAL)
    car.close_door()
    end(lift, case)
    yield lift.now


def fire_drill(lift: Lift, plan: Plan) -> Iterator[int]:
    """Fire return to the entrance, door open; now and then a firefighter's ride; then back to work."""
    yield from lift.until_empty()
    car, rng = lift.car, lift.rng
    case = begin(lift, plan, "fire drill")
    car.event(44)
    car.set(mode=FIRE_RETURN)
    yield from lift.empty_to(lift.spec.entrance)
    car.wait(600)
    car.open_door()
    yield from lift.pause(rng.randint(4, 10) * MINUTE_MS)
    if rng.random() < 0.4:
        car.event(45)
        car.set(mode=FIREFIGHTER)
        yield from _firefighter(lift)
        car.event(45, "cleared")
    car.event(44, "cleared")
    car.set(mode=NORMAL)
    car.wait(2_000)
    car.close_door()
    end(lift, case)
    yield lift.now


def _firefighter(lift: Lift) -> Iterator[int]:
    """Up with somebody inside, a while behind a closed door, down again, door open."""
    car, rng = lift.car, lift.rng
    car.sensor.enter(lift.now)
    yield from lift.pause(8_000)
    car.close_door()
    for index in (len(car.shaft.floors) - 1, lift.spec.entrance):
        yield from lift.pause(rng.randint(2_000, 90_000))
        car.follow(car.run_to(car.shaft.heights[index]))
        yield lift.now
    car.wait(600)
    car.open_door()
    car.sensor.leave(lift.now)
    yield from lift.pause(lift.spec.sensor_hold_ms + 5_000)


def test_call(lift: Lift, plan: Plan) -> Iterator[int]:
    """The periodic test of EN 81-28, every three days."""
    yield from lift.until_empty()
    case = begin(lift, plan, "periodic test call")
    lift.car.event(90, test=True)
    end(lift, case)
    yield from lift.pause(2_000)


def outage(lift: Lift, plan: Plan) -> Iterator[int]:
    """The terminal's network is away for minutes; what it saw comes late, in order or after what is new."""
    rng = lift.rng
    minutes = plan.options.get("minutes") or min(rng.lognormvariate(1.6, 0.8), 90.0)
    start = lift.now + rng.randint(500, 20_000)
    back = start + int(minutes * MINUTE_MS)
    lift.line.outage(start, back, will=rng.random() < 0.7, after_live=rng.random() < 0.3)
    lift.calm(back)
    yield from lift.pause(1_000) if not lift.riders else lift.serve()


def silence_with_riders(lift: Lift, _plan: Plan) -> Iterator[int]:
    """The network goes just when the door has closed behind somebody, who rides on unharmed."""
    yield from lift.with_riders()
    rng = lift.rng
    start = lift.now + 3_500
    back = start + rng.randint(100_000, 300_000)
    lift.line.outage(start, back, will=rng.random() < 0.7, note="somebody was in the car")
    lift.calm(back)
    yield from lift.serve()


def terminal_reboot(lift: Lift, _plan: Plan) -> Iterator[int]:
    """The terminal starts again: seq from 1, and what happened meanwhile is lost."""
    start = lift.now + 1_000
    back = start + lift.rng.randint(15_000, 70_000)
    lift.line.outage(start, back, will=lift.rng.random() < 0.5, reboot=True)
    lift.calm(back)
    yield from lift.until_empty()


def clock_set(lift: Lift, plan: Plan) -> Iterator[int]:
    """Somebody sets the terminal's clock by up to a quarter of an hour; seq counts on."""
    case = begin(lift, plan, "clock set")
    lift.line.set_clock(lift.now + 500, lift.rng.randint(-900_000, 900_000))
    end(lift, case)
    yield from lift.until_empty()
