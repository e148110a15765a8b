"""How the monitor does: counters, distributions and gauges, for whoever watches it (`GET /api/v1/metrics`).

`Vitals.body` is one JSON object, stored in tiwei.monitor_figures every 5 s. Its keys (all always there):

    started_at        when this monitor began, ms since 1970 UTC: counters and histograms count from then
    counters          {name: number}: messages, samples, events, measurements, rides, links, calls, actions, batches
                      (turns of the clock without messages too), retries (attempts to reach the database again)
    quarantined       {reason: messages set aside}
    faults_raised     {kind: number}
    faults_cleared    {kind: number}
    histograms        {name: {"le": [upper bounds], "counts": [of each bucket alone, one more than bounds: above all],
                      "sum": number}}, cumulative since `started_at`:
                        device_lag_s    from the device's corrected time to commit, each sample of the present
                        receipt_lag_s   from receipt to commit, each sample; without samples the oldest message
                        batch_messages  messages of a batch (of turns that had any)
                        commit_s        from handing a batch to the database to its commit, retries included
    gauges            {name: number or null}:
                        waiting_messages   received and not yet taken into a batch
                        held_messages      received and not yet acknowledged
                        hearing            1 while telemetry reaches us, else 0
                        equipment          known by number
                        unregistered       of these, those that no register knows
                        silent             of these, those shown as silent
                        clock_offset_median_s, clock_offset_max_s
                                           of receipt minus `ts` as sent, absolute, the last sample of each equipment
                                           heard in the last minute; null when there is none
                        checkpoint_age_s   since the last checkpoint stored by this monitor; null before the first
                        shown_waiting      equipment whose change is not yet shown (tiwei.latest)
                        shown_lag_s        how long the oldest of them has been waiting
                        shown_flush_s      what the last write of tiwei.latest took; null before the first
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.domain.fault import FaultState
from monitor.domain.reading import BROKEN_CLOCK, HISTORY
from monitor.services.judging import Turn

#: Upper bounds of the buckets.
LAG_S: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0)
BATCH_MESSAGES: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 2_000.0, 4_000.0, 10_000.0)
COMMIT_S: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 600.0)

COUNTERS: Final = (
    "messages",
    "samples",
    "events",
    "measurements",
    "rides",
    "links",
    "calls",
    "actions",
    "batches",
    "retries",
)


class Histogram:
    """How often values fell at or below each bound, cumulative in time and not in the buckets."""

    def __init__(self, bounds: Sequence[float]) -> None:
        assert all(low < high for low, high in pairwise(bounds))
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values."""
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(values.sum())

    def add_one(self, value: float) -> None:
        """Count one value."""
        self._counts[np.searchsorted(self._bounds, value)] += 1
        self._sum += value

    def body(self) -> dict[str, Any]:
        """As described above."""
        return {"le": self._bounds.tolist(), "counts": self._counts.tolist(), "sum": round(self._sum, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What is so at the moment; see above."""

    waiting_messages: int
    held_messages: int
    hearing: int
    equipment: int
    unregistered: int
    silent: int
    clock_offset_median_s: float | None
    clock_offset_max_s: float | None
    checkpoint_age_s: float | None
    shown_waiting: int
    shown_lag_s: float
    shown_flush_s: float | None


class Vitals:
    """Counts what the line does. `started_ms`: when it began, ms since 1970 UTC."""

    def __init__(self, started_ms: int) -> None:
        self._started_ms = started_ms
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._quarantined: Counter[str] = Counter()
        self._raised: Counter[str] = Counter()
        self._cleared: Counter[str] = Counter()
        self._device_lag = Histogram(LAG_S)
        self._receipt_lag = Histogram(LAG_S)
        self._batch_messages = Histogram(BATCH_MESSAGES)
        self._commit = Histogram(COMMIT_S)

    def retried(self) -> None:
        """The database was asked again."""
        self._counters["retries"] += 1

    def committed(self, turn: Turn, took_s: float, now_ms: int) -> None:
        """A turn is committed."""
        commit, counters = turn.commit, self._counters
        counters["batches"] += 1
        counters["messages"] += len(turn.messages)
        counters["samples"] += len(commit.readings)
        for name in ("events", "measurements", "rides", "links", "calls", "actions"):
            counters[name] += len(getattr(commit, name))
        self._quarantined.update(one.reason for one in commit.quarantined)
        for one in commit.faults:
            told = self._raised if one.state is FaultState.RAISED else self._cleared
            told[str(one.kind)] += 1
        self._commit.add_one(took_s)
        if turn.messages:
            self._batch_messages.add_one(len(turn.messages))
        self._count_lags(turn, now_ms)

    def _count_lags(self, turn: Turn, now_ms: int) -> None:
        rows = turn.commit.readings
        if not len(rows):
            if turn.messages:
                self._receipt_lag.add_one((now_ms - turn.received_ms) / 1000)
            return
        self._receipt_lag.add((now_ms - rows["received_ms"]) / 1000)
        present = (rows["flags"] & (HISTORY | BROKEN_CLOCK)) == 0
        times = rows["time_ms"] if present.all() else rows["time_ms"][present]
        self._device_lag.add(np.maximum(now_ms - times, 0) / 1000)

    def body(self, gauges: Gauges) -> Mapping[str, Any]:
        """Everything, as described above."""
        return {
            "started_at": self._started_ms,
            "counters": dict(self._counters),
            "quarantined": dict(self._quarantined),
            "faults_raised": dict(self._raised),
            "faults_cleared": dict(self._cleared),
            "histograms": {
                "device_lag_s": self._device_lag.body(),
                "receipt_lag_s": self._receipt_lag.body(),
                "batch_messages": self._batch_messages.body(),
                "commit_s": self._commit.body(),
            },
            "gauges": {name: getattr(gauges, name) for name in Gauges.__dataclass_fields__},
        }
