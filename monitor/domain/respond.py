"""What people do about an incident: each action is one step, decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.domain.incident import (
    Change,
    Clock,
    Entry,
    Incident,
    NotForRoleError,
    Reason,
    StaleVersionError,
    Status,
    Step,
    StepRefusedError,
    TextNeededError,
    after,
)

#: The steps that people take; the others follow from faults.
BY_PEOPLE = frozenset({Step.NOTE, Step.DISPATCH, Step.ACCEPT, Step.ARRIVE, Step.FREE, Step.CLOSE, Step.FALSE_ALARM})
#: What a maintenance firm may say: claims about its own people (protocol §6: only an operator closes).
BY_FIRMS = frozenset({Step.NOTE, Step.ACCEPT, Step.ARRIVE, Step.FREE})
FIRM = "firm"
#: Characters of an action's text at most; the rest is cut off.
LONGEST_TEXT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a person wants done.

    `version`: of the incident as the person saw it; None: whatever it is now. `role` and `actor`: as what and by which
    name they are signed in. `text`: their words, for a note the note, otherwise the reason. `occurred_ms`: when it
    happened by their word; None, or an instant to come: now. `detail`: more that belongs to the step (persons
    freed, who is sent).
    """

    step: Step
    version: int | None
    actor: str
    role: str
    text: str = ""
    occurred_ms: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def on_action(incident: Incident, action: Action, at_ms: int) -> Change:
    """What a person's action does to an incident. Pure: load under the row's lock, decide, commit.

    Raises:
        StaleVersionError: the incident is not as the person saw it.
        StepRefusedError: the step is not possible in that status, needs a text (TextNeededError), or is not for that
            role (NotForRoleError). In all cases nothing is changed.
    """
    if action.version is not None and action.version != incident.version:
        raise StaleVersionError(incident)
    status, step = incident.status, action.step
    if step not in BY_PEOPLE:
        raise StepRefusedError(status, step, "it follows from faults")
    if action.role == FIRM and step not in BY_FIRMS:
        raise NotForRoleError(status, step, "a firm makes claims, the centre decides")
    into = after(status, step)
    text = action.text.strip()[:LONGEST_TEXT]
    if not text and _needs_text(incident, step):
        raise TextNeededError(status, step, "it needs a text that says why")
    changed = replace(
        incident,
        status=into,
        people=incident.people and step is not Step.FREE,
        version=incident.version + 1,
        closed_at_ms=at_ms if into in (Status.CLOSED, Status.FALSE_ALARM) else None,
    )
    entry = _entry(action, text, at_ms)
    return Change(incident=changed, entry=entry, reason=entry.reason)


def _needs_text(incident: Incident, step: Step) -> bool:
    """A note is its text; a false alarm has a reason, and so has closing while somebody may be inside."""
    return step in (Step.NOTE, Step.FALSE_ALARM) or (step is Step.CLOSE and incident.people)


def _entry(action: Action, text: str, at_ms: int) -> Entry:
    occurred_ms, clock = at_ms, Clock.CENTRE
    if action.occurred_ms is not None and action.occurred_ms <= at_ms:
        occurred_ms, clock = action.occurred_ms, Clock.PERSON
    return Entry(
        occurred_ms=occurred_ms,
        at_ms=at_ms,
        clock=clock,
        source=action.role,
        actor=action.actor,
        what=action.step.value,
        reason=Reason.FIRM if action.role == FIRM else Reason.OPERATOR,
        detail={**action.detail, **({"text": text} if text else {})},
    )
