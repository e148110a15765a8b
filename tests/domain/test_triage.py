"""Triage: what a fault does to the open incident of its equipment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.fault import FaultChange, FaultKind, FaultState
from monitor.domain.incident import (
    TRANSITIONS,
    Change,
    Incident,
    IncidentKind,
    Reason,
    Severity,
    Status,
    Step,
    StepRefusedError,
    after,
)
from monitor.domain.triage import TRIAGE, on_fault


def fault(
    kind: FaultKind, state: FaultState = FaultState.RAISED, *, at_ms: int = 1000, raised: int = 1000
) -> FaultChange:
    return FaultChange(
        at_ms=at_ms,
        number=7,
        equipment_id="L7",
        kind=kind,
        state=state,
        since_ms=raised - 500,
        raised_at_ms=raised,
        evidence={"source": kind.value},
    )


def opened(kind: FaultKind) -> Incident:
    change = on_fault(None, fault(kind))
    assert change is not None
    return change.incident


def changed(incident: Incident, one: FaultChange) -> Change:
    change = on_fault(incident, one)
    assert change is not None
    return change


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_opens_an_incident_exactly_when_the_table_says_so(kind: FaultKind) -> None:
    change = on_fault(None, fault(kind))
    if kind not in TRIAGE:
        assert change is None
        return
    assert change is not None
    assert change.opened
    assert change.reason is Reason.FIRST_FAULT
    assert change.incident.status is Status.REPORTED
    assert change.incident.severity == TRIAGE[kind].severity
    assert change.incident.people == TRIAGE[kind].people


def test_the_same_first_fault_gives_the_same_incident() -> None:
    assert opened(FaultKind.ENTRAPMENT).incident_id == opened(FaultKind.ENTRAPMENT).incident_id
    other = on_fault(None, fault(FaultKind.ENTRAPMENT, raised=2000))
    assert other is not None
    assert other.incident.incident_id != opened(FaultKind.ENTRAPMENT).incident_id


def test_a_graver_fault_raises_kind_and_severity_and_a_lesser_one_does_not_lower_them() -> None:
    incident = opened(FaultKind.DOOR_OPEN_FAULT)
    graver = changed(incident, fault(FaultKind.ENTRAPMENT, raised=2000))
    assert (graver.reason, graver.incident.kind) == (Reason.GRAVER_FAULT, IncidentKind.ENTRAPMENT)
    assert graver.incident.severity is Severity.CRITICAL
    assert graver.incident.incident_id == incident.incident_id
    lesser = changed(graver.incident, fault(FaultKind.DOOR_CLOSE_FAULT, raised=3000))
    assert (lesser.reason, lesser.incident.kind) == (Reason.FURTHER_FAULT, IncidentKind.ENTRAPMENT)
    assert lesser.incident.severity is Severity.CRITICAL


def test_clearing_closes_a_fault_without_people_only_when_it_was_the_last() -> None:
    both = changed(opened(FaultKind.OVERSPEED), fault(FaultKind.PIT_OVERRUN, raised=2000)).incident
    one = changed(both, fault(FaultKind.OVERSPEED, FaultState.CLEARED, at_ms=4000))
    assert (one.reason, one.incident.status) == (Reason.FAULT_CLEARED, Status.REPORTED)
    last = changed(one.incident, fault(FaultKind.PIT_OVERRUN, FaultState.CLEARED, at_ms=5000, raised=2000))
    assert (last.reason, last.incident.status) == (Reason.ALL_CLEARED, Status.CLOSED)
    assert last.incident.closed_at_ms == 5000


@pytest.mark.parametrize("kind", [kind for kind, weight in TRIAGE.items() if weight.people])
def test_clearing_closes_nothing_where_people_may_be_inside(kind: FaultKind) -> None:
    incident = opened(kind)
    cleared = on_fault(incident, fault(kind, FaultState.CLEARED, at_ms=9000))
    if kind is FaultKind.CAR_ALARM_BUTTON:
        assert cleared is None  # momentary: nothing of it is open
        return
    assert cleared is not None
    assert cleared.incident.is_open
    assert cleared.reason is Reason.FAULT_CLEARED


def test_clearing_an_unknown_fault_changes_nothing() -> None:
    assert on_fault(None, fault(FaultKind.ENTRAPMENT, FaultState.CLEARED)) is None
    assert on_fault(opened(FaultKind.OVERSPEED), fault(FaultKind.ENTRAPMENT, FaultState.CLEARED)) is None


@given(st.lists(st.sampled_from(list(Step)), max_size=12))
def test_any_steps_lead_through_the_table_or_are_refused_and_change_nothing(steps: list[Step]) -> None:
    status = Status.REPORTED
    for step in steps:
        if (status, step) in TRANSITIONS:
            status = after(status, step)
        else:
            with pytest.raises(StepRefusedError):
                after(status, step)
    assert status in Status


def test_every_open_status_can_end_and_no_ended_one_goes_on() -> None:
    ended = {Status.CLOSED, Status.FALSE_ALARM}
    for status in Status:
        steps = {step for (of, step) in TRANSITIONS if of is status}
        assert (steps == set()) == (status in ended)
        if status not in ended:
            assert {after(status, step) for step in steps} & ended == ended
