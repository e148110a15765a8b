"""Incidents as stored, with what is known beside them, and as JSON for whoever reads (HTTP, WebSocket, feed)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from monitor.adapters.pgtext import milliseconds, utc_text
from monitor.adapters.pool import Session
from monitor.domain.incident import Clock, Entry, Incident, IncidentKind, Reason, Severity, Status

# A fault cleared by the batch at hand is still open for what is decided about it.
_OPEN_FAULTS = """
SELECT j.incident_id, f.fault_id, f.kind FROM tiwei.incident_fault j JOIN tiwei.fault f USING (fault_id)
WHERE j.incident_id = ANY ($1::uuid[]) AND (f.cleared_at IS NULL OR f.cleared_in = $2)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an incident beside how it stands. Division and firm are those of its opening."""

    incident_no: str
    division: str | None
    firm_id: str | None
    rescue_code: str | None
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An incident with its facts; `kinds` has (at least) the kinds of its open faults."""

    incident: Incident
    facts: Facts
    kinds: Mapping[uuid.UUID, str]


async def with_faults(session: Session, rows: Sequence[asyncpg.Record], position: int | None = None) -> list[Case]:
    """Cases of rows of tiwei.incident, each with `equipment_id`, `rescue_code` and `address` of its equipment.

    Their open faults are those of now, or of before the batch at `position`.
    """
    found = await session.fetch(_OPEN_FAULTS, [row["incident_id"] for row in rows], position)
    kinds: dict[uuid.UUID, dict[uuid.UUID, str]] = {}
    for one in found:
        kinds.setdefault(_uuid(one["incident_id"]), {})[_uuid(one["fault_id"])] = one["kind"]
    return [_case(row, kinds.get(_uuid(row["incident_id"]), {})) for row in rows]


def _uuid(value: uuid.UUID) -> uuid.UUID:
    """The driver's own class of UUIDs is not for others."""
    return uuid.UUID(int=value.int)


def _case(row: asyncpg.Record, kinds: Mapping[uuid.UUID, str]) -> Case:
    incident = Incident(
        incident_id=_uuid(row["incident_id"]),
        number=row["number"],
        equipment_id=row["equipment_id"],
        kind=IncidentKind(row["kind"]),
        severity=Severity(row["severity"]),
        status=Status(row["status"]),
        level=row["level"],
        opened_at_ms=milliseconds(row["opened_at"]),
        since_ms=milliseconds(row["since_at"]),
        people=row["people"],
        open_faults=frozenset(kinds),
        version=row["version"],
        closed_at_ms=row["closed_at"] and milliseconds(row["closed_at"]),
    )
    facts = Facts(
        incident_no=row["incident_no"],
        division=row["division"],
        firm_id=row["firm_id"],
        rescue_code=row["rescue_code"],
        address=row["address"],
    )
    return Case(incident=incident, facts=facts, kinds=kinds)


def entry_of(row: asyncpg.Record) -> Entry:
    """A row of tiwei.incident_entry as a value."""
    return Entry(
        occurred_ms=milliseconds(row["occurred_at"]),
        at_ms=milliseconds(row["entered_at"]),
        clock=Clock(row["clock"]),
        source=row["source"],
        actor=row["actor"],
        what=row["what"],
        reason=Reason(row["reason"]),
        detail=json.loads(row["detail"]),
    )


def incident_json(case: Case) -> dict[str, Any]:
    """An incident as everybody gets it."""
    incident, facts = case.incident, case.facts
    open_faults = [{"fault_id": str(one), "kind": case.kinds[one]} for one in sorted(incident.open_faults)]
    return {
        "incident_id": str(incident.incident_id),
        "incident_no": facts.incident_no,
        "equipment_id": incident.equipment_id,
        "division": facts.division,
        "firm_id": facts.firm_id,
        "kind": incident.kind.value,
        "severity": incident.severity.name.lower(),
        "status": incident.status.value,
        "level": incident.level,
        "people": incident.people,
        "opened_at": utc_text(incident.opened_at_ms),
        "since_at": utc_text(incident.since_ms),
        "closed_at": None if incident.closed_at_ms is None else utc_text(incident.closed_at_ms),
        "version": incident.version,
        "open_faults": open_faults,
        "rescue_code": facts.rescue_code,
        "address": facts.address,
    }


def entry_json(place: int, entry: Entry) -> dict[str, Any]:
    """A line of the timeline; `place` counts from 1."""
    return {
        "place": place,
        "occurred_at": utc_text(entry.occurred_ms),
        "entered_at": utc_text(entry.at_ms),
        "clock": entry.clock.value,
        "source": entry.source,
        "actor": entry.actor,
        "what": entry.what,
        "reason": entry.reason.value,
        "detail": dict(entry.detail),
    }
