"""Event codes of protocol §3."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from monitor.domain.fault import FaultKind

#: `code` 0: a maker's own fault, named by `vendor_code`.
VENDOR_CODE = 0

#: Code to kind (protocol §3, after GB/T 24476). Codes of other platforms are not portable: see profiles.toml.
KIND_OF_CODE: Mapping[int, FaultKind] = MappingProxyType(
    {
        1: FaultKind.SAFETY_CIRCUIT_OPEN,
        2: FaultKind.DOOR_CLOSE_FAULT,
        3: FaultKind.DOOR_OPEN_FAULT,
        4: FaultKind.STOPPED_OUTSIDE_DOOR_ZONE,
        5: FaultKind.UNINTENDED_CAR_MOVEMENT,
        6: FaultKind.MOTOR_RUN_LIMITER,
        7: FaultKind.FLOOR_POSITION_LOST,
        8: FaultKind.RESTART_PREVENTED,
        40: FaultKind.AUTO_RESTORED,
        41: FaultKind.MAIN_POWER_OFF,
        42: FaultKind.OUT_OF_SERVICE,
        43: FaultKind.INSPECTION,
        44: FaultKind.FIRE_RETURN,
        45: FaultKind.FIREFIGHTER,
        46: FaultKind.EMERGENCY_POWER,
        47: FaultKind.EARTHQUAKE,
        90: FaultKind.CAR_ALARM_BUTTON,
    }
)


def kind_of(code: int, vendor_code: str | None) -> tuple[FaultKind, str | None] | None:
    """The kind of an event and the vendor code to keep with it; None when the event says nothing.

    A code that the protocol does not list is reported all the same, as `reported_fault` under its own number: a
    controller that says something is wrong is not overruled by a table. `code` 0 without `vendor_code` says nothing.
    """
    kind = KIND_OF_CODE.get(code)
    if kind is not None:
        return kind, vendor_code
    if vendor_code:
        return FaultKind.REPORTED_FAULT, vendor_code
    if code == VENDOR_CODE:
        return None
    return FaultKind.REPORTED_FAULT, str(code)
