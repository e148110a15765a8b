"""The rules of protocol §7 as one table. Adding a rule is adding a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitor.detectors import doors, entrapment, motion, sensors
from monitor.detectors.lane import Lane, Ops
from monitor.domain.fault import FaultKind as K


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition with on-delay and clearing, evaluated on a lane.

    `delay` names a threshold, or computes it; None raises at once. `clears` is a condition, `clears_at` an instant on
    the device's clock; either clears. `silent`: goes on beyond the belief in the last sample, on the receiver's clock.
    `told_when_over`: told even when a late burst shows that it is over. `keeps`: a gap in the samples does not
    restart the delay. `ready`: must hold at the moment of raising as well. `since`: when the condition began, where
    that is not the first instant at which it was seen.
    """

    name: str
    kind: K
    condition: Callable[[Lane, Any, Any, Ops], Any]
    clears: Callable[[Lane, Any, Any], Any] | None = None
    clears_at: Callable[[Lane, Any, Ops], Any] | None = None
    delay: str | Callable[[Lane, Any, Ops], Any] | None = None
    since: Callable[[Lane], Any] | None = None
    ready: Callable[[Lane], Any] | None = None
    silent: bool = False
    told_when_over: bool = False
    keeps: bool = False


_ENTRAPMENT: dict[str, Any] = {
    "kind": K.ENTRAPMENT,
    "clears": entrapment.way_out,
    "clears_at": entrapment.nobody_left_at,
    "told_when_over": True,
}

RULES: tuple[Rule, ...] = (
    # Sensor health first: the rules below ask for it.
    Rule(
        name="passenger_sensor_stuck",
        kind=K.PASSENGER_SENSOR_STUCK,
        condition=sensors.flag_never_falls,
        delay="sensor_stuck_ms",
        since=lambda s: s.flag_on,
        clears=sensors.flag_fell,
        keeps=True,
    ),
    Rule(
        name="entrapment_off_level",
        condition=entrapment.off_level,
        delay="entrapment_off_level_ms",
        ready=entrapment.flag_up,
        silent=True,
        keeps=True,
        **_ENTRAPMENT,
    ),
    Rule(
        name="entrapment_at_level",
        condition=entrapment.at_level,
        delay="entrapment_at_level_ms",
        ready=entrapment.flag_up,
        **_ENTRAPMENT,
    ),
    Rule(name="entrapment_alarm_button", condition=entrapment.alarm, silent=True, keeps=True, **_ENTRAPMENT),
    Rule(
        name="stopped_outside_door_zone",
        kind=K.STOPPED_OUTSIDE_DOOR_ZONE,
        condition=entrapment.stopped_outside,
        delay="stopped_outside_ms",
        clears=entrapment.in_zone,
    ),
    Rule(
        name="unintended_car_movement",
        kind=K.UNINTENDED_CAR_MOVEMENT,
        condition=doors.walked_away,
        clears=doors.inspection,
    ),
    Rule(
        name="door_open_while_moving",
        kind=K.DOOR_OPEN_WHILE_MOVING,
        condition=doors.open_while_moving,
        clears=doors.safe_again,
    ),
    Rule(name="overspeed", kind=K.OVERSPEED, condition=motion.too_fast, clears=motion.slow_again),
    Rule(name="top_overrun", kind=K.TOP_OVERRUN, condition=motion.above_top, clears=entrapment.in_zone),
    Rule(name="pit_overrun", kind=K.PIT_OVERRUN, condition=motion.below_bottom, clears=entrapment.in_zone),
    Rule(
        name="door_close_fault",
        kind=K.DOOR_CLOSE_FAULT,
        condition=doors.kept_open,
        delay="door_close_ms",
        clears=doors.shut,
    ),
    Rule(
        name="door_open_fault",
        kind=K.DOOR_OPEN_FAULT,
        condition=doors.stays_shut,
        delay="door_open_ms",
        clears=doors.opened_or_left,
    ),
    Rule(name="door_reopening", kind=K.DOOR_REOPENING, condition=doors.keeps_reopening, clears_at=doors.no_turn_until),
    Rule(
        name="motor_run_limiter",
        kind=K.MOTOR_RUN_LIMITER,
        condition=motion.runs_still,
        delay=motion.run_delay,
        since=lambda s: s.still_since,
        clears=motion.runs_or_stops,
    ),
    Rule(
        name="floor_position_lost",
        kind=K.FLOOR_POSITION_LOST,
        condition=motion.floor_lost,
        clears_at=motion.floor_back_at,
    ),
)

#: Rules about silence, on the receiver's clock: the instant at which each is due; any message clears them.
SILENCE: tuple[tuple[K, Callable[[Lane, Any, Ops], Any]], ...] = (
    (K.LOST_CONTACT_OCCUPIED, sensors.silent_occupied_at),
    (K.OFFLINE, sensors.offline_at),
)

INDEX: dict[str, int] = {rule.name: i for i, rule in enumerate(RULES)}
#: One latch for each rule, then one for each silence.
LATCHES = len(RULES) + len(SILENCE)
STUCK = INDEX["passenger_sensor_stuck"]
UNINTENDED = INDEX["unintended_car_movement"]
ALARM = INDEX["entrapment_alarm_button"]
ENTRAPMENTS = tuple(i for i, rule in enumerate(RULES) if rule.kind is K.ENTRAPMENT)
