"""The figures of a supervision report (protocol §10)."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.domain.fault import MOMENTARY, FaultKind

#: What the controller tells of its mode (protocol §3, codes 41 to 47): events, not faults.
MODE_EVENTS = frozenset(
    {
        FaultKind.MAIN_POWER_OFF,
        FaultKind.OUT_OF_SERVICE,
        FaultKind.INSPECTION,
        FaultKind.FIRE_RETURN,
        FaultKind.FIREFIGHTER,
        FaultKind.EMERGENCY_POWER,
        FaultKind.EARTHQUAKE,
    }
)

#: What `faults_raised` counts.
COUNTED = frozenset(FaultKind) - MOMENTARY - MODE_EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentFigures:
    """One equipment in one period.

    `known_ms`: time in which its service mode was known; `normal_ms`: time of it in mode 1.
    """

    equipment_id: str
    faults_raised: int
    entrapments: int
    known_ms: int
    normal_ms: int

    @property
    def availability(self) -> float | None:
        """Time in service mode 1 / time known; None where nothing is known, which is neither 0 nor 1."""
        return self.normal_ms / self.known_ms if self.known_ms else None
