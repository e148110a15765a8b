"""How far each equipment's clock has ever been from the corrected time: bounds the search for repeated readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.adapters.pool import Session
from monitor.domain.reading import BROKEN_CLOCK

#: Spans are widened in steps, so that they are seldom written.
STEP_MS = 60_000

_STORE = """
INSERT INTO tiwei.clock_span (number, low_ms, high_ms)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[])
ON CONFLICT (number) DO UPDATE SET low_ms = excluded.low_ms, high_ms = excluded.high_ms
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """New spans of some equipment, to be taken over after they are committed."""

    numbers: NDArray[np.int64]
    low_ms: NDArray[np.int64]
    high_ms: NDArray[np.int64]


class ClockSpans:
    """The bounds of `time_ms - ts` of every equipment, by number. What is unknown spans nothing (low > high)."""

    def __init__(self) -> None:
        self._low = np.empty(0, np.int64)
        self._high = np.empty(0, np.int64)

    async def learn(self, session: Session) -> None:
        """Read the stored spans."""
        self._low, self._high = np.empty(0, np.int64), np.empty(0, np.int64)
        rows = await session.fetch("SELECT number, low_ms, high_ms FROM tiwei.clock_span")
        table = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 3)
        self.take_over(Widened(numbers=table[:, 0], low_ms=table[:, 1], high_ms=table[:, 2]))

    def bounds(self, numbers: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lowest and highest `time_ms - ts` of each of `numbers`."""
        self._reach(numbers)
        return self._low[numbers], self._high[numbers]

    def widened(self, rows: NDArray[np.void]) -> Widened | None:
        """The spans that READING rows go beyond, widened; nothing is taken over. None where none is."""
        rows = rows[(rows["flags"] & BROKEN_CLOCK) == 0]
        numbers = rows["number"]
        offset = rows["time_ms"] - rows["ts"]
        low, high = self.bounds(numbers)
        beyond = (offset < low) | (offset > high)
        if not beyond.any():
            return None
        changed, place = np.unique(numbers[beyond], return_inverse=True)
        low, high = self.bounds(changed)
        np.minimum.at(low, place, offset[beyond] // STEP_MS * STEP_MS)
        np.maximum.at(high, place, -(-offset[beyond] // STEP_MS) * STEP_MS)
        return Widened(numbers=changed.astype(np.int64), low_ms=low, high_ms=high)

    def take_over(self, widened: Widened) -> None:
        """Keep what was committed."""
        self._reach(widened.numbers)
        self._low[widened.numbers] = widened.low_ms
        self._high[widened.numbers] = widened.high_ms

    def _reach(self, numbers: NDArray[np.integer]) -> None:
        needed = int(numbers.max(initial=-1)) + 1
        if needed > len(self._low):
            more = max(needed, 2 * len(self._low)) - len(self._low)
            self._low = np.append(self._low, np.full(more, np.iinfo(np.int64).max))
            self._high = np.append(self._high, np.full(more, np.iinfo(np.int64).min))


async def store_spans(session: Session, widened: Widened) -> None:
    """Write new spans; part of a batch's transaction."""
    await session.execute(_STORE, widened.numbers.tolist(), widened.low_ms.tolist(), widened.high_ms.tolist())
