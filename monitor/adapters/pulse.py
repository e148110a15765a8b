"""Whether the monitor is at work, seen from outside."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from monitor.adapters.partitions import LOCKS
from monitor.adapters.pgtext import milliseconds
from monitor.adapters.pool import Database, database_errors
from monitor.adapters.store import MONITOR_LOCK

# The lock is gone the instant the monitor's connection dies.
_LOOK = """
SELECT p.alive_at, h.backend_start
FROM tiwei.progress p LEFT JOIN LATERAL (
    SELECT a.backend_start FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.classid = $1::integer::oid AND l.objid = $2::integer::oid AND l.objsubid = 2
      AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT 1
) h ON true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What was seen; ms since 1970. `held_since_ms`: since when a monitor holds its lock; None: none does."""

    alive_ms: int | None
    held: bool
    held_since_ms: int | None


class Pulse:
    """Looks on a connection of its own, so that it never waits for a place in the pool."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own: asyncpg.Connection[asyncpg.Record] | None = None

    async def look(self) -> Sign:
        """Look once. Raises UnavailableError or RefusedError; the next look begins with a new connection then."""
        with database_errors():
            try:
                if self._own is None or self._own.is_closed():
                    self._own = await self._database.alone("tiwei api pulse")
                row = await self._own.fetchrow(_LOOK, LOCKS, MONITOR_LOCK, timeout=5)
            except BaseException:
                self.close()
                raise
        if row is None:
            return Sign(alive_ms=None, held=False, held_since_ms=None)
        alive, since = row["alive_at"], row["backend_start"]
        return Sign(
            alive_ms=alive and milliseconds(alive),
            held=since is not None,
            held_since_ms=since and milliseconds(since),
        )

    def close(self) -> None:
        """Let go of the connection at once."""
        own, self._own = self._own, None
        if own is not None:
            own.terminate()
