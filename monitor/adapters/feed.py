"""The change feed: every committed change in one order without a gap, for readers with a cursor.

A transaction publishes with its last statement. The lock on the feed's head holds other publishers back until it is
over, so that positions become visible in their order: who has seen position n has seen everything before it. Locks are
taken in this order everywhere: incidents, other rows, the feed's head.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from monitor.adapters.pgtext import clean_or_none, instant, json_text, milliseconds
from monitor.adapters.pool import Database, Session, database_errors
from monitor.domain.errors import CursorTooOldError, UnavailableError

CHANNEL = "tiwei_change"

#: How long lines are kept.
KEPT_MS = 48 * 3_600_000
#: Lines of topics whose next line makes the last one void are many: they are kept for so long only.
PASSING_KEPT_MS = 600_000
#: Whoever holds the feed back between publishing and the end of its transaction is ended by the server after this, ms.
PATIENCE_MS = 5_000
#: Changes fetched at once by `follow`.
AT_ONCE = 500


class Topic(StrEnum):
    """What a line is about; `monitor.adapters` has the makers of the bodies."""

    FAULT = "fault"
    INCIDENT = "incident"
    STATES = "states"
    REGISTRY = "registry"


#: Topics of which only the last word counts.
PASSING = (Topic.STATES,)

_PUBLISH = """
WITH head AS (
    UPDATE tiwei.change_head SET position = position + cardinality($1::text[])
    RETURNING position - cardinality($1::text[]) AS before
), stored AS (
    INSERT INTO tiwei.change (position, committed_at, topic, division, firm_id, number, body)
    SELECT head.before + line.place, clock_timestamp(), line.topic, line.division, line.firm_id, line.number,
           line.body::json
    FROM head, unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[])
        WITH ORDINALITY AS line (topic, division, firm_id, number, body, place)
)
SELECT before, pg_notify($6, ''), set_config('idle_in_transaction_session_timeout', $7, true) FROM head
"""

# One statement is one moment: what lies between the cursor and the head is all there, or was trimmed and is told.
_AFTER = """
SELECT h.position AS head, CASE WHEN $3 THEN greatest(h.trimmed, h.passing_trimmed) ELSE h.trimmed END AS trimmed, c.*
FROM tiwei.change_head h LEFT JOIN LATERAL (
    SELECT * FROM tiwei.change WHERE position > $1 AND ($3 OR topic <> ALL ($4::text[])) ORDER BY position LIMIT $2
) c ON true
ORDER BY c.position
"""

_TRIM = """
WITH gone AS (
    DELETE FROM tiwei.change WHERE committed_at < $1 AND ($2::text[] IS NULL OR topic = ANY ($2)) RETURNING position
)
SELECT max(position) FROM gone
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One change to be told: who may see it (division, firm; None: nobody's), of which equipment, and what."""

    topic: Topic
    body: Mapping[str, Any] | str
    division: str | None = None
    firm_id: str | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One committed change. `at_ms`: when it was published, database's clock. `text` is its body, JSON as stored."""

    position: int
    at_ms: int
    topic: Topic
    division: str | None
    firm_id: str | None
    number: int | None
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """`text` read anew."""
        read: dict[str, Any] = json.loads(self.text)
        return read


async def publish(session: Session, lines: Sequence[Line]) -> int | None:
    """Append to the feed: the last statement of the caller's transaction, which must end at once after it.

    Returns the position of the last of `lines`, None for no lines. Holds every other publisher back until the
    transaction is over. A body given as text is JSON already.
    """
    if not lines:
        return None
    before = await session.fetchval(
        _PUBLISH,
        [line.topic.value for line in lines],
        [clean_or_none(line.division) for line in lines],
        [clean_or_none(line.firm_id) for line in lines],
        [line.number for line in lines],
        [line.body if isinstance(line.body, str) else json_text(line.body) for line in lines],
        CHANNEL,
        str(PATIENCE_MS),
    )
    return int(before) + len(lines)


async def trim(session: Session, now_ms: int) -> None:
    """Take away what is too old for any reader, in a transaction of its own."""
    async with session.transaction():
        passing = await session.fetchval(_TRIM, instant(now_ms - PASSING_KEPT_MS), [topic.value for topic in PASSING])
        lasting = await session.fetchval(_TRIM, instant(now_ms - KEPT_MS), None)
        if passing is not None or lasting is not None:
            await session.execute(
                "UPDATE tiwei.change_head SET trimmed = greatest(trimmed, $1::bigint),"
                " passing_trimmed = greatest(passing_trimmed, $2::bigint)",
                lasting,
                passing,
            )


class Feed:
    """The feed for its readers. A reader that wants no passing topics (`lasting`) may come back after 48 h."""

    def __init__(self, database: Database, *, lasting: bool = False) -> None:
        self._database = database
        self._passing = not lasting

    async def position(self) -> int:
        """The position of the last change; 0 before the first."""
        async with self._database.session() as session:
            return int(await session.fetchval("SELECT position FROM tiwei.change_head"))

    async def after(self, position: int, limit: int = AT_ONCE) -> list[Change]:
        """The first `limit` changes after `position`, in their order.

        Raises:
            CursorTooOldError: some of them are not kept any more, or `position` is none of this database: begin anew.
        """
        async with self._database.session() as session:
            return await self._after(session, position, limit)

    async def _after(self, session: Session, position: int, limit: int) -> list[Change]:
        rows = await session.fetch(_AFTER, position, limit, self._passing, [topic.value for topic in PASSING])
        if position < rows[0]["trimmed"] or position > rows[0]["head"]:
            raise CursorTooOldError(position)
        return [_change(row) for row in rows if row["position"] is not None]

    async def follow(self, position: int, *, poll_s: float = 2.0) -> AsyncGenerator[Change, None]:
        """Every change after `position`, as it is committed, for ever; goes on after the database was away.

        The server's notice wakes, looking every `poll_s` guarantees. Raises CursorTooOldError as `after`.
        """
        woken = asyncio.Event()
        session: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            while True:
                found: list[Change] = []
                woken.clear()
                with suppress(UnavailableError):
                    if session is None or session.is_closed():
                        session = await self._listener(woken)
                    with database_errors():
                        found = await self._after(session, position, AT_ONCE)
                for change in found:
                    yield change
                    position = change.position
                if len(found) < AT_ONCE:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), poll_s)
        finally:
            if session is not None:
                session.terminate()

    async def _listener(self, woken: asyncio.Event) -> asyncpg.Connection[asyncpg.Record]:
        session = await self._database.alone("tiwei feed")
        try:
            with database_errors():
                await session.add_listener(CHANNEL, lambda *_: woken.set())
                session.add_termination_listener(lambda *_: woken.set())
        except BaseException:
            session.terminate()
            raise
        return session


def _change(row: asyncpg.Record) -> Change:
    return Change(
        position=row["position"],
        at_ms=milliseconds(row["committed_at"]),
        topic=Topic(row["topic"]),
        division=row["division"],
        firm_id=row["firm_id"],
        number=row["number"],
        text=row["body"],
    )
