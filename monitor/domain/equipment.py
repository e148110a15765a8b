"""Special equipment (特种设备) as the registry knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

#: One empty mapping for all: a million equipments have a million registers of nothing.
_NONE: Mapping[str, Any] = MappingProxyType({})


class EquipmentKind(StrEnum):
    """The ten kinds that may stand in a topic (protocol §1)."""

    LIFT = "lift"
    ESCALATOR = "escalator"
    WALKWAY = "walkway"
    BOILER = "boiler"
    VESSEL = "vessel"
    PIPELINE = "pipeline"
    CRANE = "crane"
    VEHICLE = "vehicle"
    RIDE = "ride"
    ROPEWAY = "ropeway"


class Reports(StrEnum):
    """How a source reports: every 10 s whatever happens, or only when something changes (protocol §8)."""

    SAMPLES = "samples"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """One piece of equipment.

    `number` is the dense row number, given by the database (or by the replay, in order of appearance); it is
    the index into the fleet's columns. `registered` is False for equipment first seen on the wire.
    `overrides` maps a threshold's name in `detectors.rules.Thresholds` to this equipment's own value.
    """

    number: int
    equipment_id: str
    division: str
    kind: EquipmentKind
    registered: bool = True
    rescue_code: str | None = None
    bottom_floor: int | None = None
    top_floor: int | None = None
    floor_height_m: float | None = None
    rated_speed_mps: float | None = None
    firm_id: str | None = None
    reports: Reports = Reports.SAMPLES
    profile: str | None = None
    limits: tuple[Mapping[str, float | str], ...] = ()
    overrides: Mapping[str, float] = field(default_factory=lambda: _NONE)
    place: Mapping[str, str | float] = field(default_factory=lambda: _NONE)
