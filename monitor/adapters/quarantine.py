"""Messages that could not be read: kept whole, within bounds, and counted for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from monitor.adapters.pgtext import clean, instant, milliseconds
from monitor.adapters.pool import Database, Session
from monitor.domain.commit import Quarantined

_STORE = """
INSERT INTO tiwei.quarantine (received_at, topic, reason, detail, size, payload)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bytea[])
"""

_COUNT = """
INSERT INTO tiwei.quarantine_count AS c (reason, messages, last_at)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[])
ON CONFLICT (reason) DO UPDATE
SET messages = c.messages + excluded.messages, last_at = greatest(c.last_at, excluded.last_at)
"""

_TRIM = """
DELETE FROM tiwei.quarantine WHERE quarantine_id IN (
    SELECT quarantine_id FROM (
        SELECT quarantine_id, row_number() OVER newest_first AS place,
               sum(octet_length(payload)) OVER newest_first AS octets
        FROM tiwei.quarantine WINDOW newest_first AS (ORDER BY quarantine_id DESC)
    ) AS kept WHERE place > $1 OR octets > $2)
"""

_LIST = """
SELECT quarantine_id, received_at, topic, reason, detail, size, requested_at, resubmitted_at,
    substring(payload FOR 200) AS payload, octet_length(payload) AS kept
FROM tiwei.quarantine WHERE ($2::text IS NULL OR reason = $2)
ORDER BY quarantine_id DESC LIMIT $1
"""

_WHOLE = (
    "SELECT *, octet_length(payload) AS kept FROM tiwei.quarantine WHERE quarantine_id = ANY ($1::bigint[]) ORDER BY 1"
)

# What was cut when it was set aside is not the message any more.
_REQUEST = """
UPDATE tiwei.quarantine SET requested_at = $2, resubmitted_at = NULL
WHERE quarantine_id = ANY ($1::bigint[]) AND octet_length(payload) = size RETURNING quarantine_id
"""

_REQUESTED = """
SELECT *, octet_length(payload) AS kept FROM tiwei.quarantine WHERE requested_at IS NOT NULL AND resubmitted_at IS NULL
ORDER BY quarantine_id LIMIT $1
"""

_HELD = "SELECT count(*) AS messages, coalesce(sum(octet_length(payload)), 0)::bigint AS octets FROM tiwei.quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineBounds:
    """The newest are kept: at most so many messages and so many bytes of payload."""

    messages: int = 10_000
    octets: int = 256 * 2**20


@dataclass(slots=True, kw_only=True)
class Held:
    """About how much is in quarantine, as far as this process knows; never less than there is of its own."""

    messages: int = 0
    octets: int = 0


async def held(session: Session) -> Held:
    """How much is in quarantine now."""
    row = await session.fetchrow(_HELD)
    assert row is not None
    return Held(messages=row["messages"], octets=row["octets"])


async def store_quarantined(session: Session, messages: Sequence[Quarantined]) -> None:
    """Set messages aside and count them; part of a batch's transaction."""
    await session.execute(
        _STORE,
        [instant(one.received_ms) for one in messages],
        [clean(one.topic) for one in messages],
        [clean(one.reason) for one in messages],
        [clean(one.detail) for one in messages],
        [one.size for one in messages],
        [one.payload for one in messages],
    )
    counts = Counter(clean(one.reason) for one in messages)
    last = {clean(one.reason): one.received_ms for one in sorted(messages, key=lambda one: one.received_ms)}
    await session.execute(_COUNT, list(counts), list(counts.values()), [instant(last[reason]) for reason in counts])


async def trim(session: Session, bounds: QuarantineBounds) -> None:
    """Let the oldest go until what is left is within `bounds`."""
    await session.execute(_TRIM, bounds.messages, bounds.octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """One message in quarantine. `payload` may be only its beginning: `kept` bytes of `size` are stored."""

    quarantine_id: int
    received_ms: int
    topic: str
    reason: str
    detail: str
    size: int
    kept: int
    payload: bytes
    requested_at: datetime | None
    resubmitted_at: datetime | None


def _set_aside(row: asyncpg.Record) -> SetAside:
    return SetAside(
        quarantine_id=row["quarantine_id"],
        received_ms=milliseconds(row["received_at"]),
        topic=row["topic"],
        reason=row["reason"],
        detail=row["detail"],
        size=row["size"],
        kept=row["kept"],
        payload=row["payload"],
        requested_at=row["requested_at"],
        resubmitted_at=row["resubmitted_at"],
    )


class Quarantine:
    """The quarantine for people, and for the monitor that judges again what they ask for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, limit: int, reason: str | None = None) -> list[SetAside]:
        """What was set aside last, newest first, with the first 200 bytes of each payload."""
        async with self._database.session() as session:
            return [_set_aside(row) for row in await session.fetch(_LIST, limit, reason)]

    async def fetch(self, ids: Sequence[int]) -> list[SetAside]:
        """These messages whole; what is not there any more is left out."""
        async with self._database.session() as session:
            return [_set_aside(row) for row in await session.fetch(_WHOLE, list(ids))]

    async def counts(self) -> dict[str, int]:
        """Messages ever set aside, by reason."""
        async with self._database.session() as session:
            rows = await session.fetch(
                "SELECT reason, messages FROM tiwei.quarantine_count ORDER BY messages DESC, reason"
            )
        return {row["reason"]: row["messages"] for row in rows}

    async def request(self, ids: Sequence[int], now_ms: int) -> list[int]:
        """Ask the monitor to judge these again. Returns those taken: not what is gone or was cut."""
        async with self._database.session() as session:
            rows = await session.fetch(_REQUEST, list(ids), instant(now_ms))
        return sorted(row["quarantine_id"] for row in rows)

    async def requested(self, limit: int) -> list[SetAside]:
        """What is asked for and not done, oldest first, whole."""
        async with self._database.session() as session:
            return [_set_aside(row) for row in await session.fetch(_REQUESTED, limit)]

    async def mark_resubmitted(self, ids: Sequence[int]) -> None:
        """These were judged again and what came of it is committed; what is still unreadable has a new row."""
        async with self._database.session() as session:
            await session.execute(
                "UPDATE tiwei.quarantine SET resubmitted_at = now() WHERE quarantine_id = ANY ($1::bigint[])", list(ids)
            )

    async def discard(self, ids: Sequence[int]) -> list[int]:
        """Throw these away; returns those that were there."""
        async with self._database.session() as session:
            rows = await session.fetch(
                "DELETE FROM tiwei.quarantine WHERE quarantine_id = ANY ($1::bigint[]) RETURNING quarantine_id",
                list(ids),
            )
        return sorted(row["quarantine_id"] for row in rows)
