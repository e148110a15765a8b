"""The incident (事件单): the case people work on. At most one is open for each equipment."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from monitor.domain.errors import TiweiError
from monitor.domain.fault import NAMESPACE, FaultChange


class Status(StrEnum):
    """Where an incident stands."""

    REPORTED = "REPORTED"
    DISPATCHED = "DISPATCHED"
    ACCEPTED = "ACCEPTED"
    ARRIVED = "ARRIVED"
    FREED = "FREED"
    CLOSED = "CLOSED"
    FALSE_ALARM = "FALSE_ALARM"


class Step(StrEnum):
    """What can happen to an incident."""

    JOIN = "join"  # another fault of the same equipment
    CLEAR = "clear"  # one of its faults cleared
    SETTLE = "settle"  # the last of its faults cleared, and nobody can be inside
    DISPATCH = "dispatch"
    ACCEPT = "accept"
    ARRIVE = "arrive"
    FREE = "free"
    CLOSE = "close"
    FALSE_ALARM = "false_alarm"
    NOTE = "note"


class IncidentKind(StrEnum):
    """What the incident is about; a graver kind takes the place of a lesser one."""

    FAULT = "fault"
    LOST_CONTACT = "lost_contact"
    ALARM = "alarm"
    ENTRAPMENT = "entrapment"


class Severity(IntEnum):
    """How grave; stored as its number."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class StepRefusedError(TiweiError):
    """That step is not possible in that status; nothing was changed."""

    def __init__(self, status: Status, step: Step) -> None:
        super().__init__(f"{step} is not possible in {status}")
        self.status, self.step = status, step


_OPEN = (Status.REPORTED, Status.DISPATCHED, Status.ACCEPTED, Status.ARRIVED, Status.FREED)

#: The state machine. A later step may come without an earlier one (a step missing is "not recorded").
TRANSITIONS: Mapping[tuple[Status, Step], Status] = {
    **{(status, step): status for status in _OPEN for step in (Step.JOIN, Step.CLEAR, Step.NOTE)},
    (Status.REPORTED, Step.SETTLE): Status.CLOSED,
    (Status.REPORTED, Step.DISPATCH): Status.DISPATCHED,
    (Status.REPORTED, Step.ACCEPT): Status.ACCEPTED,
    (Status.DISPATCHED, Step.DISPATCH): Status.DISPATCHED,
    (Status.DISPATCHED, Step.ACCEPT): Status.ACCEPTED,
    (Status.ACCEPTED, Step.DISPATCH): Status.DISPATCHED,
    **{(status, Step.ARRIVE): Status.ARRIVED for status in _OPEN[:3]},
    **{(status, Step.FREE): Status.FREED for status in _OPEN[:4]},
    **{(status, Step.CLOSE): Status.CLOSED for status in _OPEN},
    **{(status, Step.FALSE_ALARM): Status.FALSE_ALARM for status in _OPEN},
}


def after(status: Status, step: Step) -> Status:
    """The status after a step.

    Raises:
        StepRefusedError: the step is not possible there.
    """
    try:
        return TRANSITIONS[status, step]
    except KeyError:
        raise StepRefusedError(status, step) from None


class Reason(StrEnum):
    """Why an incident changed; the same word in log, timeline and report."""

    FIRST_FAULT = "first_fault"
    FURTHER_FAULT = "further_fault"
    GRAVER_FAULT = "graver_fault"
    FAULT_CLEARED = "fault_cleared"
    ALL_CLEARED = "all_cleared"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline. `at_ms` on the clock named by `clock` (`receiver`, or `device` for telemetry's own)."""

    at_ms: int
    clock: str
    source: str
    what: str
    reason: Reason
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as it stands. `version` counts its changes; `open_faults` are the ids of faults not cleared yet."""

    incident_id: uuid.UUID
    number: int
    equipment_id: str
    kind: IncidentKind
    severity: Severity
    status: Status
    level: int
    opened_at_ms: int
    since_ms: int
    people: bool
    open_faults: frozenset[uuid.UUID] = frozenset()
    version: int = 1
    closed_at_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether anybody still works on it."""
        return self.status in _OPEN


def incident_id(first: FaultChange) -> uuid.UUID:
    """The same for the same first cause, on every repeat of the same input."""
    return uuid.uuid5(NAMESPACE, f"incident/{first.equipment_id}/{first.fault_id}")
