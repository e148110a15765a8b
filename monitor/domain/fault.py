"""Faults (故障): conditions of an equipment that are raised and cleared."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: Namespace of every UUIDv5 made here; a constant of the project, never random.
NAMESPACE = uuid.UUID("6f5d0c52-96b3-5333-8f0a-7469776569aa")


class FaultKind(StrEnum):
    """Every kind of line the centre raises (protocol §3 codes and §7 table)."""

    # Raised from `status` by the rules of protocol §7.
    ENTRAPMENT = "entrapment"
    LOST_CONTACT_OCCUPIED = "lost_contact_occupied"
    PASSENGER_SENSOR_STUCK = "passenger_sensor_stuck"
    STOPPED_OUTSIDE_DOOR_ZONE = "stopped_outside_door_zone"
    UNINTENDED_CAR_MOVEMENT = "unintended_car_movement"
    DOOR_OPEN_WHILE_MOVING = "door_open_while_moving"
    OVERSPEED = "overspeed"
    TOP_OVERRUN = "top_overrun"
    PIT_OVERRUN = "pit_overrun"
    DOOR_CLOSE_FAULT = "door_close_fault"
    DOOR_OPEN_FAULT = "door_open_fault"
    DOOR_REOPENING = "door_reopening"
    MOTOR_RUN_LIMITER = "motor_run_limiter"
    FLOOR_POSITION_LOST = "floor_position_lost"
    OFFLINE = "offline"
    # Raised only by an `event` of the controller (protocol §3).
    REPORTED_FAULT = "reported_fault"
    SAFETY_CIRCUIT_OPEN = "safety_circuit_open"
    RESTART_PREVENTED = "restart_prevented"
    AUTO_RESTORED = "auto_restored"
    MAIN_POWER_OFF = "main_power_off"
    OUT_OF_SERVICE = "out_of_service"
    INSPECTION = "inspection"
    FIRE_RETURN = "fire_return"
    FIREFIGHTER = "firefighter"
    EMERGENCY_POWER = "emergency_power"
    EARTHQUAKE = "earthquake"
    CAR_ALARM_BUTTON = "car_alarm_button"


class FaultState(StrEnum):
    """What happened to the fault."""

    RAISED = "raised"
    CLEARED = "cleared"


#: Kinds that happen at an instant: the line is raised, nothing stays open (protocol §3: "momentary").
MOMENTARY = frozenset({FaultKind.CAR_ALARM_BUTTON, FaultKind.AUTO_RESTORED})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChange:
    """One line of the centre's output: a fault was raised or cleared.

    Times are ms since 1970 UTC. `at_ms`: when it was decided, on the receiver's clock. `since_ms`: when the
    condition began, on the device's clock corrected by its estimated offset (protocol §8). `raised_at_ms`: `at_ms`
    of the raise that this change belongs to; with number and kind it names the fault for ever.
    """

    at_ms: int
    number: int
    equipment_id: str
    kind: FaultKind
    state: FaultState
    since_ms: int
    raised_at_ms: int
    evidence: Mapping[str, Any]

    @property
    def fault_id(self) -> uuid.UUID:
        """The same for the raise and its clearing, the same on every repeat of the same input."""
        return uuid.uuid5(NAMESPACE, f"{self.equipment_id}/{self.kind}/{self.raised_at_ms}/{self.since_ms}")
