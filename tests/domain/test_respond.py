"""What people do about incidents, and any life of one between faults and people."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitor.domain.fault import MOMENTARY, FaultChange, FaultKind, FaultState
from monitor.domain.incident import (
    TRANSITIONS,
    Change,
    Clock,
    Incident,
    NotForRoleError,
    Reason,
    Severity,
    StaleVersionError,
    Status,
    Step,
    StepRefusedError,
    TextNeededError,
)
from monitor.domain.respond import BY_FIRMS, BY_PEOPLE, LONGEST_TEXT, Action, on_action
from monitor.domain.triage import TRIAGE, on_fault
from tests.domain.test_triage import fault, opened

AT = 60_000
ENDED = {Status.CLOSED, Status.FALSE_ALARM}


def action(incident: Incident, step: Step, text: str = "", role: str = "operator") -> Action:
    return Action(step=step, version=incident.version, actor="wang", role=role, text=text)


def done(incident: Incident, *steps: Step, text: str = "") -> Incident:
    for step in steps:
        incident = on_action(incident, action(incident, step, text), AT).incident
    return incident


def test_a_rescue_step_by_step() -> None:
    incident = opened(FaultKind.ENTRAPMENT)
    for step, status in (
        (Step.NOTE, Status.REPORTED),
        (Step.DISPATCH, Status.DISPATCHED),
        (Step.ACCEPT, Status.ACCEPTED),
        (Step.ARRIVE, Status.ARRIVED),
        (Step.FREE, Status.FREED),
        (Step.CLOSE, Status.CLOSED),
    ):
        assert incident.people == (step is not Step.CLOSE)
        change = on_action(incident, action(incident, step, "so" if step is Step.NOTE else ""), AT)
        assert (change.incident.status, change.incident.version) == (status, incident.version + 1)
        assert (change.entry.what, change.entry.actor, change.reason) == (step.value, "wang", Reason.OPERATOR)
        incident = change.incident
    assert not incident.is_open
    assert incident.closed_at_ms == AT


@pytest.mark.parametrize("status", [status for status in Status if status not in ENDED])
@pytest.mark.parametrize("step", sorted(BY_PEOPLE))
def test_every_step_in_every_status_goes_by_the_table(status: Status, step: Step) -> None:
    incident = replace(opened(FaultKind.OVERSPEED), status=status)
    if (status, step) in TRANSITIONS:
        assert on_action(incident, action(incident, step, "why"), AT).incident.status is TRANSITIONS[status, step]
    else:
        with pytest.raises(StepRefusedError):
            on_action(incident, action(incident, step, "why"), AT)


@pytest.mark.parametrize("status", sorted(ENDED))
@pytest.mark.parametrize("step", sorted(BY_PEOPLE))
def test_nothing_goes_on_after_the_end(status: Status, step: Step) -> None:
    incident = replace(opened(FaultKind.OVERSPEED), status=status, closed_at_ms=AT)
    with pytest.raises(StepRefusedError):
        on_action(incident, action(incident, step, "why"), AT)


def test_closing_while_people_may_be_inside_needs_their_freeing_or_a_reason() -> None:
    incident = done(opened(FaultKind.ENTRAPMENT), Step.ARRIVE)
    for text in ("", "  \n"):
        with pytest.raises(TextNeededError):
            on_action(incident, action(incident, Step.CLOSE, text), AT)
    closed = on_action(incident, action(incident, Step.CLOSE, " called back: nobody inside "), AT)
    assert closed.entry.detail["text"] == "called back: nobody inside"
    assert done(incident, Step.FREE, Step.CLOSE).status is Status.CLOSED
    assert done(opened(FaultKind.OVERSPEED), Step.CLOSE).status is Status.CLOSED


@pytest.mark.parametrize("step", [Step.FALSE_ALARM, Step.NOTE])
def test_what_is_nothing_without_a_text(step: Step) -> None:
    incident = done(opened(FaultKind.ENTRAPMENT), Step.FREE)
    with pytest.raises(TextNeededError):
        on_action(incident, action(incident, step), AT)
    change = on_action(incident, action(incident, step, "x" * 9_999), AT)
    assert len(change.entry.detail["text"]) == LONGEST_TEXT


def test_who_looks_at_an_old_version_is_told_how_it_stands() -> None:
    incident = opened(FaultKind.ENTRAPMENT)
    now = done(incident, Step.DISPATCH)
    with pytest.raises(StaleVersionError) as told:
        on_action(now, action(incident, Step.DISPATCH), AT)
    assert told.value.present == now


@pytest.mark.parametrize("step", sorted(set(Step) - BY_PEOPLE))
def test_people_do_not_take_the_steps_of_faults(step: Step) -> None:
    incident = opened(FaultKind.OVERSPEED)
    with pytest.raises(StepRefusedError):
        on_action(incident, action(incident, step, "why"), AT)


@pytest.mark.parametrize("step", sorted(BY_PEOPLE))
def test_a_firm_makes_claims_and_never_ends_an_incident(step: Step) -> None:
    incident = opened(FaultKind.ENTRAPMENT)
    claim = action(incident, step, "why", role="firm")
    if step in BY_FIRMS:
        change = on_action(incident, claim, AT)
        assert (change.reason, change.entry.source) == (Reason.FIRM, "firm")
        assert change.incident.is_open
    else:
        with pytest.raises(NotForRoleError):
            on_action(incident, claim, AT)


def test_an_instant_that_a_person_names_is_theirs_unless_it_is_still_to_come() -> None:
    incident = opened(FaultKind.ENTRAPMENT)
    named = replace(action(incident, Step.ARRIVE), occurred_ms=AT - 5_000, detail={"unit": "7"})
    entry = on_action(incident, named, AT).entry
    assert (entry.occurred_ms, entry.at_ms, entry.clock, entry.detail) == (AT - 5_000, AT, Clock.PERSON, {"unit": "7"})
    for to_come in (replace(named, occurred_ms=AT + 1), replace(named, occurred_ms=None)):
        entry = on_action(incident, to_come, AT).entry
        assert (entry.occurred_ms, entry.clock) == (AT, Clock.CENTRE)


def test_a_fault_after_the_freeing_that_may_shut_people_in_begins_the_rescue_anew() -> None:
    incident = done(opened(FaultKind.ENTRAPMENT), Step.DISPATCH, Step.FREE)
    lesser = on_fault(incident, fault(FaultKind.OVERSPEED, raised=90_000))
    assert lesser is not None
    assert (lesser.incident.status, lesser.incident.people) == (Status.FREED, False)
    again = on_fault(incident, fault(FaultKind.CAR_ALARM_BUTTON, raised=90_000))
    assert again is not None
    assert (again.reason, again.incident.status, again.incident.people) == (Reason.PEOPLE_AGAIN, Status.REPORTED, True)
    with pytest.raises(TextNeededError):
        on_action(again.incident, action(again.incident, Step.CLOSE), AT)


class Life(RuleBasedStateMachine):
    """Any faults of a few lifts, and people who do anything, also the impossible and the outdated."""

    def __init__(self) -> None:
        super().__init__()
        self.incidents: dict[uuid.UUID, Incident] = {}
        self.entries: dict[uuid.UUID, int] = {}
        self.open_faults: dict[tuple[int, FaultKind], FaultChange] = {}
        self.now = 1_000

    def _open_of(self, number: int) -> Incident | None:
        found = [one for one in self.incidents.values() if one.number == number and one.is_open]
        assert len(found) <= 1, "two open incidents of one lift"
        return found[0] if found else None

    def _take(self, before: Incident | None, change: Change, *, by_person: bool) -> None:
        after = change.incident
        if before is None:
            assert change.opened
            assert after.incident_id not in self.incidents
            assert after.version == 1
        else:
            assert after.incident_id == before.incident_id
            assert after.version == before.version + 1
            assert before.is_open, "an ended incident went on"
            assert after.severity >= before.severity
        if before is not None and before.people and not after.people:
            assert by_person, "nobody said that people are freed"
        if not after.is_open:
            assert by_person or not after.people, "closed over people's heads"
            assert after.closed_at_ms is not None
        self.incidents[after.incident_id] = after
        self.entries[after.incident_id] = self.entries.get(after.incident_id, 0) + 1

    @rule(number=st.integers(1, 3), kind=st.sampled_from(list(FaultKind)), age=st.integers(0, 50_000))
    def raise_fault(self, number: int, kind: FaultKind, age: int) -> None:
        self.now += 1_000
        if (number, kind) in self.open_faults:
            return
        change = FaultChange(
            at_ms=self.now,
            number=number,
            equipment_id=f"L{number}",
            kind=kind,
            state=FaultState.RAISED,
            since_ms=self.now - age,
            raised_at_ms=self.now,
            evidence={},
        )
        if kind not in MOMENTARY:
            self.open_faults[number, kind] = change
        before = self._open_of(number)
        decided = on_fault(before, change)
        assert (decided is None) == (kind not in TRIAGE)
        if decided is not None:
            self._take(before, decided, by_person=False)
            assert decided.incident.people >= TRIAGE[kind].people

    @precondition(lambda self: self.open_faults)
    @rule(draw=st.data())
    def clear_fault(self, draw: st.DataObject) -> None:
        self.now += 1_000
        key = draw.draw(st.sampled_from(sorted(self.open_faults)))
        cleared = replace(self.open_faults.pop(key), state=FaultState.CLEARED, at_ms=self.now)
        before = self._open_of(key[0])
        decided = on_fault(before, cleared)
        if decided is not None:
            self._take(before, decided, by_person=False)

    @precondition(lambda self: self.incidents)
    @rule(
        draw=st.data(),
        step=st.sampled_from(list(Step)),
        late=st.booleans(),
        text=st.sampled_from(["", "because"]),
        role=st.sampled_from(["operator", "shift_leader", "firm"]),
    )
    def act(self, draw: st.DataObject, step: Step, late: bool, text: str, role: str) -> None:
        self.now += 1_000
        before = self.incidents[draw.draw(st.sampled_from(sorted(self.incidents)))]
        asked = Action(step=step, version=before.version - late, actor="li", role=role, text=text)
        try:
            change = on_action(before, asked, self.now)
        except StaleVersionError:
            assert late
        except TextNeededError:
            assert not text
        except NotForRoleError:
            assert role == "firm"
        except StepRefusedError:
            assert step not in BY_PEOPLE or (before.status, step) not in TRANSITIONS
        else:
            assert not late
            self._take(before, change, by_person=True)

    @invariant()
    def every_open_one_can_end(self) -> None:
        for incident in self.incidents.values():
            assert incident.version == self.entries[incident.incident_id]
            assert incident.severity in Severity
            if incident.is_open:
                for step in (Step.CLOSE, Step.FALSE_ALARM):
                    assert not on_action(incident, action(incident, step, "why"), self.now).incident.is_open

    @invariant()
    def open_faults_are_open(self) -> None:
        still = {one.fault_id for one in self.open_faults.values()}
        for incident in self.incidents.values():
            if incident.is_open:
                assert incident.open_faults <= still


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
