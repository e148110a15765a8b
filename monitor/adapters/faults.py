"""The fault table: changes in, lists and the feed out."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg

from monitor.adapters.pgtext import instant, json_text, milliseconds, utc_text
from monitor.adapters.pool import Database, Session, database_errors
from monitor.domain.errors import UnavailableError
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
SELECT r.fault_id, r.number, r.kind, r.since_at, r.raised_at, r.cleared_at, r.repeated, $1::bigint,
    CASE WHEN r.cleared_at IS NOT NULL THEN $1::bigint END, r.raise_evidence::jsonb, r.clear_evidence::jsonb
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
    $8::boolean[], $9::text[], $10::text[])
    AS r (fault_id, number, kind, since_at, raised_at, cleared_at, repeated, raise_evidence, clear_evidence)
ON CONFLICT (fault_id) DO NOTHING
"""

_LIST = """
SELECT f.*, e.equipment_id, e.division FROM tiwei.fault f JOIN tiwei.equipment e USING (number)
WHERE (NOT $2 OR f.cleared_at IS NULL) AND ($3::text IS NULL OR e.division = $3)
ORDER BY f.raised_at DESC, f.fault_id LIMIT $1
"""

# What the batch at that position did; the change feed shows it and triage knows whose it is.
_STORED = """
SELECT f.*, e.equipment_id, e.division, e.firm_id, e.rescue_code, e.place ->> 'address' AS address
FROM tiwei.fault f JOIN tiwei.equipment e USING (number)
WHERE f.fault_id = ANY ($1::uuid[]) AND (f.raised_in = $2 OR f.cleared_in = $2)
"""

# Positions of commits become visible in their order, so that nothing is ever passed over.
_FEED = """
SELECT f.*, e.equipment_id, e.division FROM tiwei.fault f JOIN tiwei.equipment e USING (number)
WHERE f.raised_in > $1 OR f.cleared_in > $1
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultLine:
    """One fault as stored, times in ms since 1970. `evidence` is the raise's."""

    fault_id: uuid.UUID
    equipment_id: str
    division: str
    kind: str
    since_ms: int
    raised_ms: int
    cleared_ms: int | None
    repeated: bool
    evidence: Mapping[str, Any]
    clear_evidence: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """One committed change: what became of the fault, and the position of the commit."""

    position: int
    state: FaultState
    fault: FaultLine

    @property
    def at_ms(self) -> int:
        """When it was decided, on the receiver's clock."""
        cleared = self.fault.cleared_ms
        return cleared if self.state is FaultState.CLEARED and cleared is not None else self.fault.raised_ms


def fault_line(row: asyncpg.Record) -> FaultLine:
    """A row of tiwei.fault with the `equipment_id` and `division` of its equipment."""
    return FaultLine(
        fault_id=uuid.UUID(int=row["fault_id"].int),
        equipment_id=row["equipment_id"],
        division=row["division"],
        kind=row["kind"],
        since_ms=milliseconds(row["since_at"]),
        raised_ms=milliseconds(row["raised_at"]),
        cleared_ms=row["cleared_at"] and milliseconds(row["cleared_at"]),
        repeated=row["repeated"],
        evidence=json.loads(row["raise_evidence"]),
        clear_evidence=row["clear_evidence"] and json.loads(row["clear_evidence"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A fault that a batch raised or cleared (or both), and what the register says of its equipment."""

    line: FaultLine
    raised_in: int
    cleared_in: int | None
    firm_id: str | None
    rescue_code: str | None
    address: str | None

    def line_at(self, state: FaultState) -> FaultLine:
        """The fault as it was after that change. A button is over when it is pressed."""
        if state is FaultState.CLEARED or self.line.kind in MOMENTARY:
            return self.line
        return replace(self.line, cleared_ms=None, clear_evidence=None)


async def stored_in(session: Session, position: int, changes: Sequence[FaultChange]) -> dict[uuid.UUID, Stored]:
    """What the batch at `position` stored of `changes`; faults that it left as they were are not in it."""
    rows = await session.fetch(_STORED, list({one.fault_id for one in changes}), position)
    found = [
        Stored(
            line=fault_line(row),
            raised_in=row["raised_in"],
            cleared_in=row["cleared_in"],
            firm_id=row["firm_id"],
            rescue_code=row["rescue_code"],
            address=row["address"],
        )
        for row in rows
    ]
    return {one.line.fault_id: one for one in found}


def fault_json(line: FaultLine) -> dict[str, Any]:
    """A fault as everybody gets it (HTTP, WebSocket, feed)."""
    return {
        "fault_id": str(line.fault_id),
        "equipment_id": line.equipment_id,
        "division": line.division,
        "kind": line.kind,
        "since_at": utc_text(line.since_ms),
        "raised_at": utc_text(line.raised_ms),
        "cleared_at": None if line.cleared_ms is None else utc_text(line.cleared_ms),
        "repeated": line.repeated,
        "evidence": line.evidence,
        "clear_evidence": line.clear_evidence,
    }


def _feed_lines(rows: Sequence[asyncpg.Record], after: int) -> list[FeedLine]:
    lines = []
    for row in rows:
        fault = fault_line(row)
        if row["raised_in"] > after:
            lines.append(FeedLine(position=row["raised_in"], state=FaultState.RAISED, fault=fault))
        # A button is over when it is pressed: nothing tells of its end.
        if row["cleared_in"] is not None and row["cleared_in"] > after and row["clear_evidence"] is not None:
            lines.append(FeedLine(position=row["cleared_in"], state=FaultState.CLEARED, fault=fault))
    return sorted(
        lines, key=lambda line: (line.position, line.at_ms, line.state is FaultState.CLEARED, line.fault.kind)
    )


class Faults:
    """The faults for readers outside the monitor."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, limit: int, *, open_only: bool = False, division: str | None = None) -> list[FaultLine]:
        """What was raised last, newest first."""
        async with self._database.session() as session:
            return [fault_line(row) for row in await session.fetch(_LIST, limit, open_only, division)]

    async def position(self) -> int:
        """The position of the last commit, for `changes_after`; -1 before the first."""
        async with self._database.session() as session:
            found = await session.fetchval("SELECT position FROM tiwei.progress")
        return -1 if found is None else int(found)

    async def changes_after(self, position: int) -> list[FeedLine]:
        """Every change committed after `position`, in the order of the commits."""
        async with self._database.session() as session:
            return _feed_lines(await session.fetch(_FEED, position), position)

    async def follow(self, position: int, poll_s: float = 5.0) -> AsyncGenerator[FeedLine, None]:
        """Every change committed after `position`, as it comes, for ever; goes on after the database was away.

        The server's notice wakes, looking every `poll_s` guarantees.
        """
        woken = asyncio.Event()
        listener: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            while True:
                with suppress(UnavailableError):
                    if listener is None or listener.is_closed():
                        listener = await self._listener(woken)
                    woken.clear()
                    for line in await self.changes_after(position):
                        yield line
                        position = line.position
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), poll_s)
        finally:
            if listener is not None:
                listener.terminate()

    async def _listener(self, woken: asyncio.Event) -> asyncpg.Connection[asyncpg.Record]:
        listener = await self._database.alone("tiwei faults")
        try:
            with database_errors():
                await listener.add_listener(CHANNEL, lambda *_: woken.set())
        except BaseException:
            listener.terminate()
            raise
        return listener
