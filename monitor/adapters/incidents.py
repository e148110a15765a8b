"""Incidents in the database: what faults and people do to them, each under the row's lock, whole or not at all."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from monitor.adapters.cases import Case, Facts, entry_json, incident_json, with_faults
from monitor.adapters.faults import Stored, fault_json, stored_in
from monitor.adapters.feed import PATIENCE_MS, Line, Topic
from monitor.adapters.partitions import DAY_MS
from monitor.adapters.pgtext import FIRST_MS, LAST_MS, clean, clean_or_none, instant, json_text
from monitor.adapters.pool import Session
from monitor.domain.fault import FaultChange, FaultState
from monitor.domain.incident import Change, Entry, Incident
from monitor.domain.respond import Action, on_action
from monitor.domain.triage import on_fault

#: Where two sides open an incident of one equipment at once, the later one violates this and decides again.
ONE_OPEN = "incident_open"

# By number: two sides that need the same rows never wait for each other in a ring.
_LOCK_OPEN = """
SELECT i.*, e.equipment_id, e.rescue_code, e.place ->> 'address' AS address
FROM tiwei.incident i JOIN tiwei.equipment e USING (number)
WHERE i.number = ANY ($1::integer[]) AND i.closed_at IS NULL ORDER BY i.number FOR UPDATE OF i
"""

# Whoever stands still with the lock is ended by the server: detection never waits longer for a person's action.
_LOCK_ONE = """
SELECT i.*, e.equipment_id, e.rescue_code, e.place ->> 'address' AS address,
       set_config('idle_in_transaction_session_timeout', $2, true)
FROM tiwei.incident i JOIN tiwei.equipment e USING (number) WHERE i.incident_id = $1 FOR UPDATE OF i
"""

_NUMBERED = """
INSERT INTO tiwei.incident_day AS d (day, last) SELECT * FROM unnest($1::date[], $2::integer[]) AS n (day, last)
ON CONFLICT (day) DO UPDATE SET last = d.last + excluded.last RETURNING day, last
"""

_OPEN = """
INSERT INTO tiwei.incident (incident_id, kind, severity, status, level, people, since_at, closed_at, version,
    incident_no, number, division, firm_id, opened_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::smallint[], $6::boolean[],
    $7::timestamptz[], $8::timestamptz[], $9::integer[], $10::text[], $11::integer[], $12::text[], $13::text[],
    $14::timestamptz[])
"""

_CHANGE = """
UPDATE tiwei.incident i SET kind = c.kind, severity = c.severity, status = c.status, level = c.level,
    people = c.people, since_at = c.since_at, closed_at = c.closed_at, version = c.version
FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::smallint[], $6::boolean[], $7::timestamptz[],
    $8::timestamptz[], $9::integer[])
    AS c (incident_id, kind, severity, status, level, people, since_at, closed_at, version)
WHERE i.incident_id = c.incident_id
"""

_JOIN = """
INSERT INTO tiwei.incident_fault (incident_id, fault_id, joined_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
"""

_ENTER = """
INSERT INTO tiwei.incident_entry (incident_id, place, occurred_at, entered_at, clock, source, actor, what, reason,
    detail)
SELECT incident_id, place, occurred_at, entered_at, clock, source, actor, what, reason, detail::jsonb
FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[])
    AS l (incident_id, place, occurred_at, entered_at, clock, source, actor, what, reason, detail)
"""


@dataclass(slots=True)
class _Decided:
    """What the changes of one batch do: every step in its order, which fault opened an incident, how each stands last.

    An incident's id stands for it: the last word counts.
    """

    steps: list[tuple[FaultChange, Change | None]] = field(default_factory=list)
    opened: dict[uuid.UUID, FaultChange] = field(default_factory=dict)
    last: dict[uuid.UUID, Incident] = field(default_factory=dict)

    @property
    def changes(self) -> list[Change]:
        return [change for _, change in self.steps if change is not None]


def _decide(changes: Iterable[FaultChange], known: Iterable[Incident]) -> _Decided:
    """Follow the changes in their order; `known` are the open incidents of their equipment."""
    now = {incident.number: incident for incident in known}
    decided = _Decided()
    for fault in changes:
        change = on_fault(now.get(fault.number), fault)
        decided.steps.append((fault, change))
        if change is None:
            continue
        incident = change.incident
        if change.opened:
            decided.opened[incident.incident_id] = fault
        decided.last[incident.incident_id] = incident
        if incident.is_open:
            now[fault.number] = incident
        else:
            del now[fault.number]
    return decided


async def on_faults(session: Session, position: int, changes: Sequence[FaultChange], zone: ZoneInfo) -> list[Line]:
    """What the changes of the batch at `position` do to incidents; part of its transaction, after the faults.

    Returns the feed's lines, of faults and of incidents, for the caller to publish last. Days are those of `zone`.
    A violation of ONE_OPEN means that somebody else opened one meanwhile: the transaction is to be done again.
    """
    stored = await stored_in(session, position, changes)
    told = list({(one.fault_id, one.state): one for one in changes if _told(stored, one, position)}.values())
    rows = await session.fetch(_LOCK_OPEN, sorted({one.number for one in told}))
    known = await with_faults(session, rows, position)
    decided = _decide(told, [case.incident for case in known])
    facts = {case.incident.incident_id: case.facts for case in known}
    facts |= await _facts_of_new(session, decided.opened, stored, zone)
    opened = [(incident, facts[one]) for one, incident in decided.last.items() if one in decided.opened]
    await _write(session, decided, opened)
    kinds = {fault_id: kind for case in known for fault_id, kind in case.kinds.items()}
    return _lines(decided, stored, facts, kinds | {one.fault_id: one.kind.value for one in told})


def _told(stored: Mapping[uuid.UUID, Stored], change: FaultChange, position: int) -> bool:
    """Whether that batch stored this change; the same fault again is nothing."""
    one = stored.get(change.fault_id)
    if one is None:
        return False
    return position == (one.raised_in if change.state is FaultState.RAISED else one.cleared_in)


async def _facts_of_new(
    session: Session, opened: Mapping[uuid.UUID, FaultChange], stored: Mapping[uuid.UUID, Stored], zone: ZoneInfo
) -> dict[uuid.UUID, Facts]:
    """Number the incidents, in their order, and freeze whose they are."""
    days = {incident_id: _day(fault.at_ms, zone) for incident_id, fault in opened.items()}
    count = Counter(days.values())
    rows = await session.fetch(_NUMBERED, sorted(count), [count[day] for day in sorted(count)]) if count else []
    before = {row["day"]: row["last"] - count[row["day"]] for row in rows}
    facts = {}
    for incident_id, fault in opened.items():
        day, place = days[incident_id], stored[fault.fault_id]
        before[day] += 1
        facts[incident_id] = Facts(
            incident_no=f"{day:%Y%m%d}-{before[day]:04d}",
            division=place.line.division,
            firm_id=place.firm_id,
            rescue_code=place.rescue_code,
            address=place.address,
        )
    return facts


def _day(at_ms: int, zone: ZoneInfo) -> date:
    """The local day; at the ends of the calendar there is no other zone's."""
    return instant(min(max(at_ms, FIRST_MS + DAY_MS), LAST_MS - DAY_MS)).astimezone(zone).date()


def _lines(
    decided: _Decided,
    stored: Mapping[uuid.UUID, Stored],
    facts: Mapping[uuid.UUID, Facts],
    kinds: Mapping[uuid.UUID, str],
) -> list[Line]:
    lines = []
    for fault, change in decided.steps:
        one = stored[fault.fault_id]
        body = {"state": fault.state.value, "fault": fault_json(one.line_at(fault.state))}
        lines.append(_line(Topic.FAULT, fault.number, one.line.division, one.firm_id, body))
        if change is not None:
            case = Case(incident=change.incident, facts=facts[change.incident.incident_id], kinds=kinds)
            lines.append(_incident_line(case, change.entry))
    return lines


def _incident_line(case: Case, entry: Entry) -> Line:
    body = {"incident": incident_json(case), "entry": entry_json(case.incident.version, entry)}
    return _line(Topic.INCIDENT, case.incident.number, case.facts.division, case.facts.firm_id, body)


def _line(topic: Topic, number: int, division: str | None, firm_id: str | None, body: Mapping[str, Any]) -> Line:
    return Line(topic=topic, body=body, division=division, firm_id=firm_id, number=number)


async def _write(session: Session, decided: _Decided, opened: Sequence[tuple[Incident, Facts]]) -> None:
    """The end of one incident before the beginning of the next of its equipment."""
    changed = [incident for one, incident in decided.last.items() if one not in decided.opened]
    if changed:
        await session.execute(_CHANGE, *_columns(changed))
    if opened:
        await session.execute(
            _OPEN,
            *_columns([incident for incident, _ in opened]),
            [facts.incident_no for _, facts in opened],
            [incident.number for incident, _ in opened],
            [facts.division for _, facts in opened],
            [facts.firm_id for _, facts in opened],
            [instant(incident.opened_at_ms) for incident, _ in opened],
        )
    joined = [
        (change.incident.incident_id, fault.fault_id, instant(fault.at_ms))
        for fault, change in decided.steps
        if change is not None and fault.state is FaultState.RAISED
    ]
    if joined:
        await session.execute(_JOIN, *(list(column) for column in zip(*joined, strict=True)))
    await _enter(session, decided.changes)


def _columns(incidents: Sequence[Incident]) -> tuple[list[Any], ...]:
    return (
        [one.incident_id for one in incidents],
        [one.kind.value for one in incidents],
        [int(one.severity) for one in incidents],
        [one.status.value for one in incidents],
        [one.level for one in incidents],
        [one.people for one in incidents],
        [instant(one.since_ms) for one in incidents],
        [None if one.closed_at_ms is None else instant(one.closed_at_ms) for one in incidents],
        [one.version for one in incidents],
    )


async def _enter(session: Session, changes: Sequence[Change]) -> None:
    if not changes:
        return
    await session.execute(
        _ENTER,
        [change.incident.incident_id for change in changes],
        [change.incident.version for change in changes],
        [instant(change.entry.occurred_ms) for change in changes],
        [instant(change.entry.at_ms) for change in changes],
        [change.entry.clock.value for change in changes],
        [clean(change.entry.source) for change in changes],
        [clean_or_none(change.entry.actor) for change in changes],
        [change.entry.what for change in changes],
        [change.entry.reason.value for change in changes],
        [json_text(change.entry.detail) for change in changes],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What an action did: the incident as it is now, why, and the feed's lines for the caller to publish last."""

    case: Case
    change: Change
    lines: tuple[Line, ...]


async def act(session: Session, incident_id: uuid.UUID, action: Action, at_ms: int) -> Acted | None:
    """Take a person's action into the incident, under its row's lock; part of the caller's transaction.

    Returns None where there is no such incident. Raises what `respond.on_action` raises: then nothing was changed.
    The caller writes what else belongs to it (the audit), publishes the lines last and commits at once.
    """
    rows = await session.fetch(_LOCK_ONE, incident_id, str(PATIENCE_MS))
    if not rows:
        return None
    (case,) = await with_faults(session, rows)
    change = on_action(case.incident, action, at_ms)
    await session.execute(_CHANGE, *_columns([change.incident]))
    await _enter(session, [change])
    case = replace(case, incident=change.incident)
    return Acted(case=case, change=change, lines=(_incident_line(case, change.entry),))
