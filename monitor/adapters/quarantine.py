"""Messages that could not be read: kept whole, within bounds, and counted for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.adapters.pgtext import clean, instant
from monitor.adapters.pool import Session
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
