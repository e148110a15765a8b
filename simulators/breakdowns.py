"""Scripts of things that break with nobody shut in. Each starts and ends with the lift at a floor, shut and empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulators.car import DOWN, INSPECTION, NORMAL, UP
from simulators.entrapments import WINDING, halting_s
from simulators.lift import Lift
from simulators.motion import Drive, Run
from simulators.people import Group
from simulators.specs import Plan
from simulators.truth import Case

CREEPING = Drive(speed=0.25, acceleration=0.2, jerk=0.5)
DRIFTING = Drive(speed=0.6, acceleration=0.35, jerk=1.0)

#: Delays of protocol §7.
OUTSIDE_MS = 10_000
DOOR_OPEN_MS = 120_000
MOTOR_MS = 30_000
MOTOR_BLIND_MS = 60_000
STUCK_MS = 15 * 60_000
STUCK_OPENINGS = 6
TURNS = 4

#: Codes of protocol §3 that a controller reports out of the blue, and the kind each becomes.
CONTROLLER_CODES = (
    (1, "safety_circuit_open"),
    (2, "door_close_fault"),
    (3, "door_open_fault"),
    (6, "motor_run_limiter"),
    (7, "floor_position_lost"),
    (8, "restart_prevented"),
    (0, "reported_fault"),
)
VENDOR_CODES = ("E02", "E13", "E30", "E37", "0201", "0402")


def begin(lift: Lift, plan: Plan, note: str, *may: str, at_ms: int | None = None) -> Case:
    start = lift.now if at_ms is None else at_ms
    return lift.truth.open(lift.spec.equipment_id, plan.kind, start, persons=lift.persons, note=note, may=may)


def end(lift: Lift, case: Case) -> None:
    lift.truth.close(case, lift.now)


def scaled(lift: Lift, low_s: int, high_s: int, at_least_s: int) -> int:
    """A repair time in ms, shorter in a town whose help is quick."""
    return max(int(lift.rng.randint(low_s, high_s) * 1000 * lift.rescue), at_least_s * 1000)


def far_end(lift: Lift) -> int:
    """The end floor farther from the car."""
    last = len(lift.car.shaft.floors) - 1
    return last if lift.car.index <= last // 2 else 0


def stopped_between_floors_empty(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from lift.until_empty()
    lift.car.wait(800)
    run = lift.car.run_to(lift.car.shaft.heights[far_end(lift)])
    lift.brake(run, halting_s(lift, run))
    yield lift.now
    case = begin(lift, plan, "stopped on an empty run")
    case.expect("stopped_outside_door_zone", lift.now + OUTSIDE_MS)
    yield from lift.pause(scaled(lift, 120, 900, 45))
    yield from creep_back(lift, case, "stopped_outside_door_zone")


def creep_back(lift: Lift, case: Case, kind: str) -> Iterator[int]:
    """The controller recovers and finds the next floor at low speed."""
    car, start = lift.car, lift.now
    car.event(40)
    car.follow(car.run_to(car.shaft.heights[car.index], CREEPING))
    case.over(kind, start, lift.now - start + 31_000)
    end(lift, case)
    yield lift.now


def unintended_car_movement(lift: Lift, plan: Plan) -> Iterator[int]:
    """The brake slips: the empty car drifts up from an open door; mechanics come and wind it back in mode 2."""
    yield from lift.empty_to(max(len(lift.car.shaft.floors) // 2, 1))
    car = lift.car
    car.wait(1_000)
    car.open_door()
    car.wait(lift.rng.randint(1_500, 3_000))
    run = car.run_to(car.height + lift.rng.uniform(0.7, 1.1), DRIFTING)
    leaves = lift.now + int(run.trajectory.time_at(0.2) * 1000)
    case = begin(
        lift,
        plan,
        "drifts away from an open door",
        "door_open_while_moving",
        "stopped_outside_door_zone",
        "door_close_fault",
    )
    case.expect("unintended_car_movement", leaves, early_ms=3_000, late_ms=15_000)
    car.follow(run)
    yield from lift.pause(scaled(lift, 400, 1_200, 60))
    case.over("unintended_car_movement", lift.now)
    car.event(43)
    car.set(mode=INSPECTION)
    yield from lift.pause(20_000)
    car.set(door_closed=1)
    car.follow(car.run_to(car.shaft.heights[car.index], WINDING))
    yield from lift.pause(scaled(lift, 300, 900, 30))
    end(lift, case)
    car.event(43, "cleared")
    car.set(mode=NORMAL)
    yield from lift.pause(5_000)


def door_opens_while_moving(lift: Lift, plan: Plan) -> Iterator[int]:
    """Somebody leans on the door: it opens a crack between two floors, for a few seconds."""
    yield from lift.until_empty()
    lift.car.wait(1_000)
    run = lift.car.run_to(lift.car.shaft.heights[far_end(lift)])
    at = crack_ms(lift, run)
    case = begin(lift, plan, "the door opens a crack on the way", "unintended_car_movement", at_ms=lift.now + at)
    case.expect("door_open_while_moving", lift.now + at, early_ms=3_000, late_ms=20_000)
    shut = at + lift.rng.randint(2_200, 3_500)
    begun = lift.now
    lift.car.follow(run, [(at, "door_closed", 0), (min(shut, run.duration_ms - 300), "door_closed", 1)])
    case.over("door_open_while_moving", begun + shut)
    end(lift, case)
    yield lift.now


def crack_ms(lift: Lift, run: Run) -> int:
    """A moment of the run with the car well outside every zone."""
    shaft = lift.car.shaft
    outside = [p.ms + 60 for p in run.waypoints if not p.in_zone]
    clear = [ms for ms in outside if not shaft.in_zone(run.height(ms)) and not shaft.in_zone(run.height(ms + 250))]
    chosen = clear or outside
    return chosen[len(chosen) // 3]


def overspeed(lift: Lift, plan: Plan) -> Iterator[int]:
    """The governor trips late: the empty car runs at a third above its rated speed."""
    car, spec = lift.car, lift.spec
    yield from lift.until_empty()
    yield from lift.empty_to(len(car.shaft.floors) - 1)
    rated = spec.drive.speed
    run = car.run_to(car.shaft.heights[0], Drive(speed=rated * 1.32, acceleration=1.1, jerk=1.4))
    over = [p.ms for p in run.waypoints if p.speed >= rated * 1.15]
    if len(over) < 3 or not car.model.speed:
        yield from lift.pause(1_000)
        return
    case = begin(lift, plan, "runs at 1.32 times the rated speed", at_ms=lift.now + over[0])
    case.expect("overspeed", lift.now + over[1], early_ms=4_000, late_ms=20_000)
    case.over("overspeed", lift.now + over[-1], 40_000)
    car.follow(run)
    end(lift, case)
    yield lift.now


def top_overrun(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from _overrun(lift, plan, "top_overrun", UP)


def pit_overrun(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from _overrun(lift, plan, "pit_overrun", DOWN)


def _overrun(lift: Lift, plan: Plan, kind: str, direction: int) -> Iterator[int]:
    """The empty car passes the end floor and stands on the limit switch."""
    car, heights = lift.car, lift.car.shaft.heights
    last = len(heights) - 1
    target, way = (last, 1) if direction == UP else (0, -1)
    yield from lift.until_empty()
    yield from lift.empty_to(max(last - 2, 0) if direction == UP else min(2, last))
    car.wait(1_000)
    run = car.run_to(heights[target] + way * lift.rng.uniform(0.32, 0.48))
    leaves = lift.now + int(run.trajectory.time_at(abs(heights[target] - car.height) + 0.2) * 1000)
    case = begin(lift, plan, "passed the end floor", "stopped_outside_door_zone", at_ms=leaves)
    case.expect(kind, leaves, early_ms=4_000, late_ms=25_000)
    car.follow(run)
    yield from lift.pause(scaled(lift, 90, 400, 40))
    yield from creep_back(lift, case, kind)


def door_never_closes(lift: Lift, plan: Plan) -> Iterator[int]:
    """Something stands in the door."""
    yield from lift.until_empty()
    car = lift.car
    case = begin(lift, plan, "an object holds the door")
    case.expect("door_close_fault", lift.now + DOOR_OPEN_MS)
    car.open_door()
    yield from lift.pause(scaled(lift, 180, 1_200, 160))
    car.close_door()
    case.over("door_close_fault", lift.now)
    end(lift, case)
    yield lift.now


def door_keeps_reopening(lift: Lift, plan: Plan) -> Iterator[int]:
    """Dirt on the sill: the door closes, and opens again, and again."""
    yield from lift.until_empty()
    car, rng = lift.car, lift.rng
    case = begin(lift, plan, "the door closes and opens by turns", "door_close_fault")
    car.open_door()
    turns = rng.randint(7, 11)
    for turn in range(1, turns + 1):
        car.wait(rng.randint(1_000, 2_000))
        car.close_door()
        car.wait(rng.randint(600, 1_400))
        if turn == TURNS:
            case.expect("door_reopening", lift.now, early_ms=40_000, late_ms=30_000)
        if turn < turns:
            car.open_door()
        yield lift.now
    case.over("door_reopening", lift.now, 60_000 + 31_000)
    end(lift, case)


def motor_runs_without_moving(lift: Lift, plan: Plan) -> Iterator[int]:
    """The ropes slip: the motor turns, the car does not move."""
    yield from lift.until_empty()
    car = lift.car
    needed = MOTOR_MS if car.model.position else MOTOR_BLIND_MS
    case = begin(lift, plan, "the motor runs, the car stays")
    case.expect("motor_run_limiter", lift.now + needed)
    car.run_count += 1
    car.set(moving=1, direction=UP if far_end(lift) else DOWN)
    yield from lift.pause(needed + lift.rng.randint(15_000, 40_000))
    car.set(moving=0, direction=0)
    case.over("motor_run_limiter", lift.now)
    end(lift, case)
    yield lift.now


def floor_lost(lift: Lift, plan: Plan) -> Iterator[int]:
    """The floor counter is out of its range until the car has found itself again."""
    yield from lift.until_empty()
    car = lift.car
    case = begin(lift, plan, "car_position out of range")
    case.expect("floor_position_lost", lift.now + 10_000, early_ms=12_000)
    true_floor = car.floor
    car.set(floor=lift.rng.choice((-9, 99)))
    yield from lift.pause(lift.rng.randint(30_000, 120_000))
    car.set(floor=true_floor)
    case.over("floor_position_lost", lift.now, 45_000)
    end(lift, case)
    yield from lift.pause(15_000)


def sensor_stuck(lift: Lift, plan: Plan) -> Iterator[int]:
    """The presence sensor stays at 1 through an hour's traffic."""
    yield from lift.with_riders()
    car, rng = lift.car, lift.rng
    while not car.flag:
        car.wait(200)
    car.sensor.stick()
    rose = lift.now
    case = begin(lift, plan, "the presence sensor stays at 1", at_ms=rose)
    lift.homing = False
    openings = car.openings
    sixth: int | None = None
    until = rose + STUCK_MS + rng.randint(5, 25) * 60_000
    while lift.now < until or lift.riders:
        if not lift.riders and not lift.queue and rng.random() < 0.7:
            lift.queue.append(_call(lift))
        yield from lift.serve()
        if sixth is None and car.openings - openings >= STUCK_OPENINGS:
            sixth = lift.now
            must = case.expect("passenger_sensor_stuck", max(sixth, rose + STUCK_MS), late_ms=40_000)
            must.raised_after -= 20_000
    car.sensor.release(lift.now)
    yield from lift.pause(1_000)
    case.over("passenger_sensor_stuck", lift.now)
    if not case.must or lift.now < case.must[0].raised_before:
        case.drop("passenger_sensor_stuck")
    end(lift, case)
    lift.homing = True


def _call(lift: Lift) -> Group:
    """Somebody at any floor, half a minute from now at the earliest: the car shall rest now and then."""
    last = len(lift.car.shaft.floors) - 1
    origin = lift.rng.randint(0, last)
    target = lift.rng.choice([i for i in range(last + 1) if i != origin])
    return Group(lift.now, origin, target, 1)


def controller_code(lift: Lift, plan: Plan) -> Iterator[int]:
    """The controller reports a fault of its own and stands still until it has cleared it."""
    yield from lift.until_empty()
    car, rng = lift.car, lift.rng
    code, kind = rng.choice(CONTROLLER_CODES)
    extra: dict[str, Any] = {"vendor_code": rng.choice(VENDOR_CODES)} if code == 0 else {}
    case = begin(lift, plan, f"controller code {code}")
    case.expect(kind, lift.now, early_ms=2_000, late_ms=15_000)
    car.event(code, **extra)
    yield from lift.pause(scaled(lift, 60, 900, 40))
    if code and rng.random() < 0.5:
        car.event(40)
    else:
        car.event(code, "cleared", **extra)
    case.over(kind, lift.now)
    end(lift, case)
    yield lift.now


def alarm_by_mistake(lift: Lift, plan: Plan) -> Iterator[int]:
    """Somebody leans on the alarm button of a car that runs well: a line for the operator, and no entrapment."""
    yield from lift.with_riders(span=3)
    car = lift.car
    car.wait(600)
    run = car.run_to(car.shaft.heights[lift.riders[0].target])
    if run.duration_ms < 12_000:
        return
    pressed = lift.now + 3_000
    case = begin(lift, plan, "pressed by mistake on the way", at_ms=pressed)
    case.expect("car_alarm_button", pressed, early_ms=2_000, late_ms=15_000)
    car.event(90, at_ms=pressed)
    car.follow(run)
    end(lift, case)
    yield from lift.stop()
