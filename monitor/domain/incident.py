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
    RELAPSE = "relapse"  # another fault, after whose raise somebody may be inside again
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

    def __init__(self, status: Status, step: Step, why: str = "") -> None:
        super().__init__(f"{step} is not possible in {status}{why and ': '}{why}")
        self.status, self.step = status, step


class TextNeededError(StepRefusedError):
    """That step is possible there, with a text that says why; nothing was changed."""


class NotForRoleError(StepRefusedError):
    """That step is not for whoever asked; nothing was changed."""


class StaleVersionError(TiweiError):
    """Somebody else changed the incident meanwhile; nothing was changed. `present` is how it stands."""

    def __init__(self, present: Incident) -> None:
        super().__init__(f"the incident is at version {present.version} now")
        self.present = present


_OPEN = (Status.REPORTED, Status.DISPATCHED, Status.ACCEPTED, Status.ARRIVED, Status.FREED)

#: The state machine. A later step may come without an earlier one (a step missing is "not recorded").
TRANSITIONS: Mapping[tuple[Status, Step], Status] = {
    **{(status, step): status for status in _OPEN for step in (Step.JOIN, Step.CLEAR, Step.NOTE)},
    **{(status, Step.RELAPSE): status for status in _OPEN[:4]},
    (Status.FREED, Step.RELAPSE): Status.REPORTED,  # the rescuers may have left
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
    PEOPLE_AGAIN = "people_again"  # a fault raised after everybody was freed
    ALL_CLEARED = "all_cleared"
    OPERATOR = "operator"  # a person of the centre says so
    FIRM = "firm"  # a claim of the maintenance firm


class Clock(StrEnum):
    """Whose clock an instant was read from."""

    DEVICE = "device"  # the terminal's, corrected by its estimated offset
    RECEIVER = "receiver"  # the monitor's
    CENTRE = "centre"  # of whoever took a person's word
    PERSON = "person"  # an instant that a person named


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline.

    `occurred_ms`: when it happened, on the clock named by `clock`. `at_ms`: when it was entered, receiver's or
    centre's clock. `source` is the rule or the controller's code that said so, or the role of `actor`, a person.
    """

    occurred_ms: int
    at_ms: int
    clock: Clock
    source: str
    what: str
    reason: Reason
    actor: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as it stands.

    `version` counts its changes; the entry of each has its version as place in the timeline. `open_faults` are the ids
    of faults not cleared yet. `people`: somebody may be inside, and no person said that all are freed.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was decided: the incident as it is from now on, what is added to its timeline, and why."""

    incident: Incident
    entry: Entry
    reason: Reason
    opened: bool = False


def incident_id(first: FaultChange) -> uuid.UUID:
    """The same for the same first cause, on every repeat of the same input."""
    return uuid.uuid5(NAMESPACE, f"incident/{first.equipment_id}/{first.fault_id}")
