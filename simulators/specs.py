"""What equipment is, and what is going to happen to it: values that never change while the town lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulators.car import Doors, TerminalModel
from simulators.motion import Drive, Shaft


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftSpec:
    """What a lift is: never changes while the town lives."""

    equipment_id: str
    division: str
    rescue_code: str
    firm_id: str
    shaft: Shaft
    entrance: int
    floor_height_m: float
    drive: Drive
    doors: Doors
    model: TerminalModel
    profile: str
    traffic: float = 1.0
    #: Goes home empty after this idle time; None: stays where it is.
    homing_after_ms: int | None = None
    #: Has a battery that brings the car to a floor when the mains fails.
    rescue_device: bool = False
    sensor_hold_ms: int = 4_000
    place: Mapping[str, str | float] = field(default_factory=dict)
    maker: str = ""
    installed: int = 2016


class Plan(NamedTuple):
    """Something that is going to happen to an equipment, from `at_ms` on."""

    at_ms: int
    kind: str
    options: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSpec:
    """Equipment without a car: escalators, walkways, boilers."""

    equipment_id: str
    division: str
    kind: str
    rescue_code: str
    firm_id: str
    place: Mapping[str, str | float]
    rated_speed_mps: float | None = None
    limits: tuple[Mapping[str, str | float], ...] = ()
    maker: str = ""
