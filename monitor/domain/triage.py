"""Triage: which fault opens or joins an incident, and how grave that is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from monitor.domain.fault import MOMENTARY, FaultChange, FaultKind, FaultState
from monitor.domain.incident import (
    Change,
    Clock,
    Entry,
    Incident,
    IncidentKind,
    Reason,
    Severity,
    Status,
    Step,
    after,
    incident_id,
)


@dataclass(frozen=True, slots=True)
class Weight:
    """What a fault means for an incident; `people`: somebody may be inside, so that no clearing closes it."""

    kind: IncidentKind
    severity: Severity
    people: bool = False


_F, _S = IncidentKind.FAULT, Severity

#: Every kind that is worth an incident; the others are for the maintenance list.
TRIAGE: Mapping[FaultKind, Weight] = {
    FaultKind.ENTRAPMENT: Weight(IncidentKind.ENTRAPMENT, _S.CRITICAL, people=True),
    FaultKind.CAR_ALARM_BUTTON: Weight(IncidentKind.ALARM, _S.HIGH, people=True),
    FaultKind.LOST_CONTACT_OCCUPIED: Weight(IncidentKind.LOST_CONTACT, _S.MEDIUM, people=True),
    FaultKind.UNINTENDED_CAR_MOVEMENT: Weight(_F, _S.CRITICAL, people=True),
    FaultKind.DOOR_OPEN_WHILE_MOVING: Weight(_F, _S.HIGH),
    FaultKind.OVERSPEED: Weight(_F, _S.HIGH),
    FaultKind.TOP_OVERRUN: Weight(_F, _S.HIGH),
    FaultKind.PIT_OVERRUN: Weight(_F, _S.HIGH),
    FaultKind.SAFETY_CIRCUIT_OPEN: Weight(_F, _S.HIGH),
    FaultKind.EARTHQUAKE: Weight(_F, _S.HIGH),
    FaultKind.STOPPED_OUTSIDE_DOOR_ZONE: Weight(_F, _S.MEDIUM),
    FaultKind.DOOR_OPEN_FAULT: Weight(_F, _S.MEDIUM),
    FaultKind.MOTOR_RUN_LIMITER: Weight(_F, _S.MEDIUM),
    FaultKind.RESTART_PREVENTED: Weight(_F, _S.MEDIUM),
    FaultKind.MAIN_POWER_OFF: Weight(_F, _S.MEDIUM),
    FaultKind.DOOR_CLOSE_FAULT: Weight(_F, _S.LOW),
    FaultKind.DOOR_REOPENING: Weight(_F, _S.LOW),
    FaultKind.FLOOR_POSITION_LOST: Weight(_F, _S.LOW),
    FaultKind.REPORTED_FAULT: Weight(_F, _S.LOW),
}

_RANK = {kind: rank for rank, kind in enumerate(IncidentKind)}


def on_fault(incident: Incident | None, fault: FaultChange) -> Change | None:
    """What a change of a fault does to the open incident of its equipment (None: there is none).

    Returns None where it is nothing for an incident. Pure: load, decide, commit.
    """
    if fault.state is FaultState.RAISED:
        weight = TRIAGE.get(fault.kind)
        if weight is None:
            return None
        return _open(fault, weight) if incident is None else _join(incident, fault, weight)
    if incident is None or fault.fault_id not in incident.open_faults:
        return None
    return _clear(incident, fault)


def _entry(fault: FaultChange, reason: Reason) -> Entry:
    """A raise happened when its condition began, a clearing when it was seen."""
    raised = fault.state is FaultState.RAISED
    return Entry(
        occurred_ms=fault.since_ms if raised else fault.at_ms,
        at_ms=fault.at_ms,
        clock=Clock.DEVICE if raised else Clock.RECEIVER,
        source=str(fault.evidence.get("source", fault.kind.value)),
        what=f"fault_{fault.state.value}",
        reason=reason,
        detail={"fault_id": str(fault.fault_id), "kind": fault.kind.value, "evidence": dict(fault.evidence)},
    )


def _open(fault: FaultChange, weight: Weight) -> Change:
    incident = Incident(
        incident_id=incident_id(fault),
        number=fault.number,
        equipment_id=fault.equipment_id,
        kind=weight.kind,
        severity=weight.severity,
        status=Status.REPORTED,
        level=1,
        opened_at_ms=fault.at_ms,
        since_ms=fault.since_ms,
        people=weight.people,
        open_faults=_held(frozenset(), fault),
    )
    return Change(incident=incident, entry=_entry(fault, Reason.FIRST_FAULT), reason=Reason.FIRST_FAULT, opened=True)


def _held(faults: frozenset[uuid.UUID], fault: FaultChange) -> frozenset[uuid.UUID]:
    return faults if fault.kind in MOMENTARY else faults | {fault.fault_id}


def _join(incident: Incident, fault: FaultChange, weight: Weight) -> Change:
    reason = _reason_to_join(incident, weight)
    joined = replace(
        incident,
        status=after(incident.status, Step.RELAPSE if weight.people else Step.JOIN),
        kind=max(incident.kind, weight.kind, key=_RANK.__getitem__),
        severity=max(incident.severity, weight.severity),
        since_ms=min(incident.since_ms, fault.since_ms),
        people=incident.people or weight.people,
        open_faults=_held(incident.open_faults, fault),
        version=incident.version + 1,
    )
    return Change(incident=joined, entry=_entry(fault, reason), reason=reason)


def _reason_to_join(incident: Incident, weight: Weight) -> Reason:
    if weight.people and incident.status is Status.FREED:
        return Reason.PEOPLE_AGAIN
    graver = weight.severity > incident.severity or _RANK[weight.kind] > _RANK[incident.kind]
    return Reason.GRAVER_FAULT if graver else Reason.FURTHER_FAULT


def _clear(incident: Incident, fault: FaultChange) -> Change:
    left = incident.open_faults - {fault.fault_id}
    settled = not left and not incident.people and incident.status is Status.REPORTED
    reason = Reason.ALL_CLEARED if settled else Reason.FAULT_CLEARED
    cleared = replace(
        incident,
        status=after(incident.status, Step.SETTLE if settled else Step.CLEAR),
        open_faults=left,
        version=incident.version + 1,
        closed_at_ms=fault.at_ms if settled else None,
    )
    return Change(incident=cleared, entry=_entry(fault, reason), reason=reason)
