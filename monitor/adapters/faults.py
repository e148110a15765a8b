"""The fault table: changes in, lists and the feed out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.adapters.pgtext import instant, json_text
from monitor.adapters.pool import Session
from monitor.domain.fault import MOMENTARY, FaultChange, FaultState

CHANNEL = "tiwei_fault"

_OPEN_NOW = """
SELECT f.fault_id, f.number, f.kind
FROM unnest($1::integer[], $2::text[]) AS asked (number, kind)
JOIN tiwei.fault f ON f.number = asked.number AND f.kind = asked.kind AND f.cleared_at IS NULL AND NOT f.repeated
"""

_CLEAR = """
UPDATE tiwei.fault f SET cleared_at = c.at, cleared_in = $1, clear_evidence = c.evidence::jsonb
FROM unnest($2::uuid[], $3::timestamptz[], $4::text[]) AS c (fault_id, at, evidence)
WHERE f.fault_id = c.fault_id AND f.cleared_at IS NULL
"""

_RAISE = """
INSERT INTO tiwei.fault (fault_id, number, kind, since_at, raised_at, cleared_at, repeated, raised_in, cleared_in,
    raise_evidence, clear_evidence)
SELECT r.fault_id, r.number, r.kind, r.since_at, r.raised_at, r.cleared_at, r.repeated, $1,
    CASE WHEN r.cleared_at IS NOT NULL THEN $1 END, r.raise_evidence::jsonb, r.clear_evidence::jsonb
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
    $8::boolean[], $9::text[], $10::text[])
    AS r (fault_id, number, kind, since_at, raised_at, cleared_at, repeated, raise_evidence, clear_evidence)
ON CONFLICT (fault_id) DO NOTHING
"""


@dataclass(slots=True, kw_only=True)
class _Raised:
    """A fault that this batch raises, and perhaps clears again."""

    change: FaultChange
    repeated: bool
    cleared_at: datetime | None = None
    clear_evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The changes of one batch put together by fault."""

    raised: dict[uuid.UUID, _Raised]
    cleared: dict[uuid.UUID, FaultChange]


def put_together(changes: Sequence[FaultChange], open_now: dict[tuple[int, str], uuid.UUID]) -> Ledger:
    """Follow `changes` in their order from what is open before them; `open_now` is followed too."""
    ledger = Ledger({}, {})
    for change in changes:
        key, fault_id = (change.number, change.kind.value), change.fault_id
        if change.state is FaultState.RAISED:
            momentary = change.kind in MOMENTARY
            ledger.raised[fault_id] = _Raised(
                change=change,
                repeated=not momentary and key in open_now,
                cleared_at=instant(change.at_ms) if momentary else None,
            )
            if not momentary:
                open_now.setdefault(key, fault_id)
            continue
        if open_now.get(key) == fault_id:
            del open_now[key]
        mine = ledger.raised.get(fault_id)
        if mine is None:
            ledger.cleared[fault_id] = change
        else:
            mine.cleared_at, mine.clear_evidence = instant(change.at_ms), json_text(change.evidence)
    return ledger


async def store_changes(session: Session, position: int, changes: Sequence[FaultChange]) -> None:
    """Write the changes of the batch at `position`; part of its transaction. Listeners are told at its commit."""
    raises = [one for one in changes if one.state is FaultState.RAISED]
    rows = await session.fetch(_OPEN_NOW, [one.number for one in raises], [one.kind.value for one in raises])
    ledger = put_together(changes, {(row["number"], row["kind"]): row["fault_id"] for row in rows})
    if ledger.cleared:
        cleared = list(ledger.cleared.values())
        await session.execute(
            _CLEAR,
            position,
            list(ledger.cleared),
            [instant(one.at_ms) for one in cleared],
            [json_text(one.evidence) for one in cleared],
        )
    if ledger.raised:
        await session.execute(_RAISE, position, *_raise_columns(ledger))
    await session.execute("SELECT pg_notify($1, $2)", CHANNEL, str(position))


def _raise_columns(ledger: Ledger) -> tuple[list[Any], ...]:
    raised = list(ledger.raised.values())
    return (
        list(ledger.raised),
        [one.change.number for one in raised],
        [one.change.kind.value for one in raised],
        [instant(one.change.since_ms) for one in raised],
        [instant(one.change.at_ms) for one in raised],
        [one.cleared_at for one in raised],
        [one.repeated for one in raised],
        [json_text(one.change.evidence) for one in raised],
        [one.clear_evidence for one in raised],
    )
