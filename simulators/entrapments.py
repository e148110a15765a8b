"""Scripts of people shut in a lift, each played from boarding to the open door.

A script starts with the lift at a floor and leaves it so: door closed, nobody inside, normal mode.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulators.car import INSPECTION, NORMAL
from simulators.lift import Lift
from simulators.motion import Drive, Run, braked
from simulators.specs import Plan
from simulators.truth import Case

#: Delays of protocol §7.
OFF_LEVEL_MS = 20_000
AT_LEVEL_MS = 60_000
DOOR_OPEN_FAULT_MS = 15_000
#: A stop this far from every vane is between floors for any terminal.
CLEAR_OF_ZONE_M = 0.45
#: No rescue is quicker than this, so that every delay of the rules has passed.
SHORTEST_MS = 110_000

WINDING = Drive(speed=0.2, acceleration=0.2, jerk=0.5)
OUTSIDE = ("stopped_outside_door_zone",)


def halting_s(lift: Lift, run: Run) -> float:
    """When to brake so that the car stands between floors."""
    shaft, duration = lift.car.shaft, run.trajectory.duration_s
    for _ in range(200):
        at_s = duration * lift.rng.uniform(0.15, 0.92)
        height = run.start + run.sign * braked(run.trajectory, at_s, 2.0).distance
        if abs(height - shaft.heights[shaft.index_at(height)]) > CLEAR_OF_ZONE_M:
            return at_s
    return duration * 0.5


def next_run(lift: Lift) -> Run:
    """The run that the riders want."""
    return lift.car.run_to(lift.car.shaft.heights[lift.riders[0].target])


def help_ms(lift: Lift) -> int:
    """From the stop until help opens: the way there and the work (domain.md §3.2: some 11 and 5 minutes)."""
    minutes = lift.rng.lognormvariate(2.3, 0.35) + lift.rng.lognormvariate(1.5, 0.5)
    return max(int(minutes * 60_000 * lift.rescue), SHORTEST_MS)


def press_alarm(lift: Lift, case: Case) -> None:
    """The car alarm button, with the car stopped and the door closed: an entrapment at once."""
    lift.car.event(90)
    if not any(m.kind == "car_alarm_button" for m in case.must):
        case.expect("car_alarm_button", lift.now, early_ms=2_000, late_ms=15_000)
    for must in case.must:
        if must.kind == "entrapment" and lift.now < must.due:
            must.due, must.raised_after = lift.now, lift.now - 2_000


def sit(lift: Lift, case: Case, ms: int, *, alarm_after_ms: int | None = None) -> Iterator[int]:
    """`ms` shut in: perhaps they press the alarm, perhaps somebody rings."""
    rng = lift.rng
    moments: list[tuple[int, str]] = [(lift.now + ms, "end"), (lift.now + rng.randint(30_000, 150_000), "ring")]
    if alarm_after_ms is not None:
        first = lift.now + alarm_after_ms
        moments += [(first + n * rng.randint(6_000, 20_000), "alarm") for n in range(rng.choice((1, 1, 2, 3)))]
    for at_ms, what in sorted(moments):
        yield from lift.pause(at_ms - lift.now)
        if what == "end":
            break
        if what == "alarm":
            press_alarm(lift, case)
        else:
            lift.callers.ring(lift.line, lift.now, rescue_code=lift.spec.rescue_code, persons=case.persons)


def perhaps_alarm(lift: Lift, share: float = 0.5) -> int | None:
    return lift.rng.randint(8_000, 120_000) if lift.rng.random() < share else None


def let_free(lift: Lift, case: Case) -> Iterator[int]:
    """At a floor the door opens, by whatever hand, and they walk out."""
    opened = lift.now
    lift.car.open_door()
    for kind in ("entrapment", "door_open_fault"):
        case.over(kind, opened)
    for must in case.must:
        if must.kind == "door_open_fault":
            must.cleared_after = None
    lift.let_out(None)
    lift.truth.close(case, opened)
    yield lift.now


def rescued(lift: Lift, case: Case) -> Iterator[int]:
    """Mechanics switch to inspection, wind the car to the next floor if need be, open, look round, and hand it back."""
    car, rng = lift.car, lift.rng
    car.event(43)
    car.set(mode=INSPECTION)
    yield from lift.pause(rng.randint(10_000, 40_000))
    level = car.shaft.heights[car.index]
    if not car.zone:
        car.follow(car.run_to(level, WINDING))
        yield from lift.pause(rng.randint(5_000, 15_000))
    yield from let_free(lift, case)
    yield from lift.pause(rng.randint(60_000, 240_000) * lift.rescue)
    car.close_door()
    yield from lift.pause(20_000)
    car.event(43, "cleared")
    car.set(mode=NORMAL)
    yield from lift.pause(5_000)


def starts_again(lift: Lift, case: Case) -> Iterator[int]:
    """The controller recovers: the car goes on to a floor and opens."""
    car = lift.car
    car.event(40)
    yield from lift.pause(lift.rng.randint(2_000, 6_000))
    target = next((r.target for r in lift.riders), car.index)
    height = car.shaft.heights[target]
    if abs(height - car.height) < 0.05:
        height = car.shaft.heights[target - 1 if target else 1]
    car.follow(car.run_to(height))
    yield from lift.pause(lift.rng.randint(300, 800))
    yield from let_free(lift, case)
    yield from _close_up(lift)


def _close_up(lift: Lift) -> Iterator[int]:
    yield from lift.pause(lift.car.doors.dwell_ms)
    lift.car.close_door()
    yield lift.now


def halt_between_floors(lift: Lift, plan: Plan) -> Iterator[int]:
    """Common beginning: riders aboard, and the car stops hard between floors."""
    yield from lift.with_riders(plan.options.get("persons"))
    lift.car.wait(lift.rng.randint(300, 900))
    run = next_run(lift)
    lift.brake(run, halting_s(lift, run))
    yield lift.now


def _open_case(lift: Lift, plan: Plan, note: str, *, late_ms: int = 25_000, silent_until_ms: int = 0) -> Case:
    case = lift.truth.open(lift.spec.equipment_id, plan.kind, lift.now, persons=lift.persons, note=note, may=OUTSIDE)
    case.silent_until_ms = silent_until_ms
    case.expect("entrapment", lift.now + OFF_LEVEL_MS, late_ms=late_ms)
    return case


def trapped_between_floors(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from halt_between_floors(lift, plan)
    case = _open_case(lift, plan, "stopped between floors, wound down by mechanics")
    if lift.rng.random() < 0.3:
        lift.car.event(1)
        case.expect("safety_circuit_open", lift.now, early_ms=2_000, late_ms=15_000)
    yield from sit(lift, case, help_ms(lift), alarm_after_ms=perhaps_alarm(lift))
    if any(m.kind == "safety_circuit_open" for m in case.must):
        lift.car.event(1, "cleared")
        case.over("safety_circuit_open", lift.now)
    yield from rescued(lift, case)


def trapped_by_power_cut(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from halt_between_floors(lift, plan)
    case = _open_case(lift, plan, "mains failed on the way")
    car = lift.car
    car.event(41)
    car.wait(lift.rng.randint(100, 600))
    car.set(power=0)
    yield from sit(lift, case, help_ms(lift), alarm_after_ms=perhaps_alarm(lift))
    if lift.rng.random() < 0.5:
        yield from rescued(lift, case)
        car.event(41, "cleared")
        car.set(power=1)
    else:
        car.event(41, "cleared")
        car.set(power=1)
        yield from starts_again(lift, case)


def trapped_at_floor(lift: Lift, plan: Plan) -> Iterator[int]:
    """Arrived, and the door does not open."""
    yield from lift.with_riders(plan.options.get("persons"))
    lift.car.wait(lift.rng.randint(300, 900))
    lift.car.follow(next_run(lift))
    case = lift.truth.open(
        lift.spec.equipment_id, plan.kind, lift.now, persons=lift.persons, note="arrived, door does not open"
    )
    case.expect("door_open_fault", lift.now + DOOR_OPEN_FAULT_MS)
    case.expect("entrapment", lift.now + AT_LEVEL_MS, late_ms=40_000)
    yield from sit(lift, case, help_ms(lift), alarm_after_ms=perhaps_alarm(lift, 0.3))
    yield from rescued(lift, case)


def boarded_and_does_not_start(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from lift.with_riders(plan.options.get("persons"))
    case = lift.truth.open(
        lift.spec.equipment_id,
        plan.kind,
        lift.now,
        persons=lift.persons,
        note="boarded, door closed, the car does not leave",
        may=("door_open_fault",),
    )
    case.expect("entrapment", lift.now + AT_LEVEL_MS, late_ms=40_000)
    yield from sit(lift, case, help_ms(lift), alarm_after_ms=perhaps_alarm(lift, 0.3))
    yield from rescued(lift, case)


def trapped_with_flickering_sensor(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from halt_between_floors(lift, plan)
    lift.car.sensor.flicker(lift.now)
    case = _open_case(lift, plan, "the presence sensor misses them for up to 4 s at a time", late_ms=55_000)
    yield from sit(lift, case, help_ms(lift))
    yield from rescued(lift, case)


def trapped_and_pressed(lift: Lift, plan: Plan) -> Iterator[int]:
    """They press the alarm within seconds."""
    yield from halt_between_floors(lift, plan)
    case = _open_case(lift, plan, "alarm button pressed at once")
    yield from sit(lift, case, help_ms(lift), alarm_after_ms=lift.rng.randint(3_000, 9_000))
    yield from rescued(lift, case)


def trapped_then_self_freed(lift: Lift, plan: Plan) -> Iterator[int]:
    yield from halt_between_floors(lift, plan)
    case = _open_case(lift, plan, "the controller recovers, nobody came")
    yield from sit(lift, case, lift.rng.randint(60_000, 180_000), alarm_after_ms=perhaps_alarm(lift, 0.3))
    yield from starts_again(lift, case)


def trapped_during_outage(lift: Lift, plan: Plan) -> Iterator[int]:
    """The network fails with them inside; the centre hears of it in the burst afterwards, and must still tell."""
    yield from lift.with_riders(plan.options.get("persons"))
    rng = lift.rng
    back_at = lift.now + rng.randint(4 * 60_000, 12 * 60_000)
    after_live = rng.random() < 0.5
    lift.line.outage(lift.now + 250, back_at, will=rng.random() < 0.7, after_live=after_live, note="entrapment inside")
    lift.car.wait(900)
    run = next_run(lift)
    lift.brake(run, halting_s(lift, run))
    case = _open_case(lift, plan, "told by the burst after the outage", silent_until_ms=back_at)
    yield from sit(lift, case, help_ms(lift))
    yield from rescued(lift, case)
    lift.calm(max(lift.now, back_at))
