"""Keeping the history in shape: room ahead, rollups up to date, what is too old gone."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: An hour is rolled up this long after its end; what comes later has it rolled up again.
SETTLED_MS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long things are kept. Hours of rollups and events outlive the samples they were made of.

    `quarantine_messages` and `quarantine_octets`: the newest unreadable messages that are kept at most.
    """

    history_days: int = 90
    rollup_days: int = 1_500
    compress_after_days: int = 7
    quarantine_days: int = 30
    quarantine_messages: int = 100_000
    quarantine_octets: int = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintained:
    """What one maintenance did. `waiting` names what a reader was in the way of: the next one tries again."""

    rolled_hours: int = 0
    dropped_parts: int = 0
    waiting: tuple[str, ...] = ()


class Turn(Protocol):
    """The upkeep of one database while nobody else does it."""

    async def make_ahead(self, now_ms: int) -> None:
        """Make room for the days to come."""

    async def roll_up(self, until_ms: int) -> int:
        """Recompute some dirty hours that begin before `until_ms`; how many, 0 when none is left."""

    async def drop_samples(self, before_ms: int) -> int | None:
        """Drop samples, measurements and rides before; how many parts. None: not possible now."""

    async def drop_summaries(self, before_ms: int) -> int | None:
        """Drop rollups and events before; how many parts. None: not possible now."""

    async def compress(self, after_days: int) -> None:
        """Have samples older than that compressed, where the server can."""

    async def trim(self, oldest_ms: int, messages: int, octets: int) -> None:
        """Hold the quarantine within its bounds, and drop the journal that a checkpoint covers."""

    async def trim_feed(self, now_ms: int) -> None:
        """Take from the change feed what is too old for any reader."""


class Upkeep(Protocol):
    """Gives turns: one at a time over all processes."""

    def turn(self) -> AbstractAsyncContextManager[Turn | None]:
        """A turn; None while another process has it."""


async def maintain(upkeep: Upkeep, keeping: Keeping, now_ms: int) -> Maintained | None:
    """Do everything that is due at `now_ms`. As often as one likes, beside a monitor at work.

    Returns None when another process is at it. Raises UnavailableError where the database is away: what was done
    stays done, the rest is done the next time.
    """
    async with upkeep.turn() as turn:
        if turn is None:
            return None
        await turn.make_ahead(now_ms)
        rolled = 0
        while done := await turn.roll_up(now_ms - HOUR_MS - SETTLED_MS + 1):
            rolled += done
        dropped: dict[str, int | None] = {
            "samples": await turn.drop_samples(now_ms - keeping.history_days * DAY_MS),
            "summaries": await turn.drop_summaries(now_ms - keeping.rollup_days * DAY_MS),
        }
        await turn.compress(keeping.compress_after_days)
        await turn.trim(
            now_ms - keeping.quarantine_days * DAY_MS, keeping.quarantine_messages, keeping.quarantine_octets
        )
        await turn.trim_feed(now_ms)
    return Maintained(
        rolled_hours=rolled,
        dropped_parts=sum(count or 0 for count in dropped.values()),
        waiting=tuple(name for name, count in dropped.items() if count is None),
    )
