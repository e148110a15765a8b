"""Which hours a batch touches: the marks from which rollups are recomputed."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from monitor.adapters.pgtext import instant
from monitor.adapters.pool import Session

HOUR_MS = 3_600_000

#: A batch with more equipment than this in one hour marks the hour for every equipment.
NAMED_AT_MOST = 256

_MARK = """
INSERT INTO tiwei.dirty_bucket (hour, numbers)
SELECT marked.hour, CASE WHEN marked.listed <> '' THEN string_to_array(marked.listed, ',')::integer[] END
FROM unnest($1::timestamptz[], $2::text[]) AS marked (hour, listed)
"""


def touched(rows: NDArray[np.void]) -> list[tuple[datetime, str]]:
    """The hours of READING rows, each with its equipment numbers joined by commas; '' stands for every equipment."""
    hours = rows["time_ms"] // HOUR_MS
    first, last = int(hours.min()), int(hours.max())
    if first == last:
        return [(instant(first * HOUR_MS), _listed(rows["number"]))]
    order = np.argsort(hours, kind="stable")
    ordered = hours[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    groups = np.split(rows["number"][order], starts[1:])
    return [
        (instant(int(ordered[start]) * HOUR_MS), _listed(numbers))
        for start, numbers in zip(starts, groups, strict=True)
    ]


def _listed(numbers: NDArray[np.int32]) -> str:
    distinct = np.unique(numbers)
    return "" if len(distinct) > NAMED_AT_MOST else ",".join(map(str, distinct.tolist()))


async def mark(session: Session, rows: NDArray[np.void]) -> None:
    """Mark the hours of READING rows as to be recomputed; part of a batch's transaction."""
    marks = touched(rows)
    await session.execute(_MARK, [hour for hour, _ in marks], [listed for _, listed in marks])
