"""What waits: samples that may still be preceded by a late one, and rows that need their inputs one by one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from monitor.detectors.backlog import Backlog
from monitor.detectors.fleet import RING
from monitor.detectors.judge import Judge
from monitor.detectors.lane import Lane, Sample
from monitor.detectors.order import RESTART_SEQ, WAIT_MS, Place, Row, before, place, set_clock
from monitor.domain.reading import SEQ_NONE

#: Samples of one equipment that may wait; beyond it the oldest are judged at once.
WAITING_MAX = 2000
#: Samples without numbers remembered for each equipment, against redelivery.
RECENT = 64
#: A run of "late" samples at live pace, this long and this many, is a terminal whose clock was set back.
PAST_MS, PAST_COUNT, PAST_SLACK_MS = 15_000, 3, 1000


@dataclass(slots=True)
class Past:
    """A run of samples that all look late."""

    first_recv: int
    last_recv: int
    last_ts: int
    last_seq: int
    count: int = 1

    def continued_by(self, sample: Row) -> bool:
        """Whether the sample follows, made and received at the same pace."""
        if sample.seq != SEQ_NONE and not 0 < sample.seq - self.last_seq <= RESTART_SEQ:
            return False
        paced = abs((sample.ts - self.last_ts) - (sample.recv - self.last_recv)) <= PAST_SLACK_MS
        return paced and sample.ts > self.last_ts


class Intake:
    """Order and waiting of the samples of single rows."""

    def __init__(self, judge: Judge, backlog: Backlog) -> None:
        self._judge = judge
        self._backlog = backlog
        self.waiting: dict[int, list[Row]] = {}
        self._recent: dict[int, deque[int]] = {}
        self._past: dict[int, Past] = {}

    def offer(self, row: int, lane: Lane, sample: Row) -> Place:
        """Take in one received sample: judge it, let it wait, or say that it is the same or late (changing nothing).

        CLOCK_SET, also of a terminal that started again: it may be one that comes twice, too old to be remembered.
        """
        waiting = self.waiting.get(row)
        where = place(lane, sample)
        judged = self._judge.fleet.remembered(row, sample.seq) if sample.seq != SEQ_NONE else None
        if judged == sample.raw:
            return Place.SAME
        if sample.seq == SEQ_NONE and where is Place.EARLIER and sample.ts in self._recent.get(row, ()):
            return Place.SAME
        if where is Place.EARLIER and (judged is not None or self._starts_again(row, lane, sample)):
            where, sample = Place.LATER, sample._replace(restart=True)
        if where is Place.SAME or (waiting and any(w.ts == sample.ts and w.seq == sample.seq for w in waiting)):
            return Place.SAME
        if where is Place.EARLIER:
            return where
        self._past.pop(row, None)
        if not waiting and follows(lane, sample, where):
            self._take(row, lane, sample, sample.recv)
            return where
        waiting = self.waiting.setdefault(row, [])
        at = len(waiting)
        while at and before(sample, waiting[at - 1], lane.last_ts):
            at -= 1
        waiting.insert(at, sample)
        if len(waiting) > WAITING_MAX:
            self._take(row, lane, waiting.pop(0), sample.recv)
        self._run_on(row, lane, sample.recv)
        return Place.CLOCK_SET if sample.restart else where

    def release(self, row: int, lane: Lane, at: int) -> None:
        """Judge the waiting samples whose time has come at `at`, and what follows them directly."""
        waiting = self.waiting[row]
        ripe = max((i for i, w in enumerate(waiting) if w.recv + WAIT_MS <= at), default=-1)
        for sample in waiting[: ripe + 1]:
            self._take(row, lane, sample, at)
        del waiting[: ripe + 1]
        self._run_on(row, lane, at)

    def due(self, row: int) -> int | None:
        """When waiting samples of the row are to be judged."""
        waiting = self.waiting.get(row)
        return min(w.recv for w in waiting) + WAIT_MS if waiting else None

    def newest(self, row: int) -> Row | None:
        """The newest sample that waits."""
        waiting = self.waiting.get(row)
        return waiting[-1] if waiting else None

    def _run_on(self, row: int, lane: Lane, at: int) -> None:
        waiting = self.waiting[row]
        while waiting and follows(lane, waiting[0], place(lane, waiting[0])):
            self._take(row, lane, waiting.pop(0), at)
        if not waiting:
            del self.waiting[row]

    def _take(self, row: int, lane: Lane, sample: Row, at: int) -> None:
        if sample.broken and sample.seq > lane.last_seq and 0 < lane.last_ts - sample.ts <= WAIT_MS:
            sample = sample._replace(ts=int(lane.last_ts))  # its place is by number, between others' receipts
        where = place(lane, sample)
        if where is Place.CLOCK_SET or (sample.restart and where is Place.EARLIER):
            set_clock(lane, sample, self._judge.fleet.thresholds(lane.limits_set))
        if sample.seq != SEQ_NONE:
            self._judge.fleet.remember(row, sample.seq, sample.raw)
        else:
            self._recent.setdefault(row, deque(maxlen=RECENT)).append(sample.ts)
        th = self._judge.fleet.thresholds(lane.limits_set)
        if lane.known and sample.ts + lane.jump - lane.dev > th.belief_ms and sample.seq - lane.last_seq != 1:
            self._backlog.before_gap(row, lane, sample.ts + lane.jump)
        self._judge.sample(row, lane, _columns(sample, at))

    def _starts_again(self, row: int, lane: Lane, sample: Row) -> bool:
        """Whether what looks late is a terminal that started again, or whose clock was set, with its clock behind.

        A late sample belongs to a count that still goes on. These begin a count anew (or have none), and come at the
        pace at which they were made, while nothing of the old count comes any more.
        """
        waiting = self.waiting.get(row)
        if waiting and waiting[-1].restart and sample.seq != SEQ_NONE:
            return 0 < sample.seq - waiting[-1].seq <= RESTART_SEQ
        past = self._past.get(row)
        if past is not None and past.continued_by(sample):
            past.last_ts, past.last_recv, past.last_seq = sample.ts, sample.recv, sample.seq
            past.count += 1
            return sample.recv - past.first_recv >= PAST_MS and past.count >= PAST_COUNT
        if sample.seq == SEQ_NONE or (sample.seq <= RESTART_SEQ and lane.last_seq - sample.seq > RING):
            self._past[row] = Past(sample.recv, sample.recv, sample.ts, sample.seq)
        else:
            self._past.pop(row, None)
        return False

    def dump(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "waiting": [[row, [list(w) for w in waiting]] for row, waiting in self.waiting.items()],
            "recent": [[row, list(ts)] for row, ts in self._recent.items()],
            "past": [[row, p.first_recv, p.last_recv, p.last_ts, p.last_seq, p.count] for row, p in self._past.items()],
        }

    def restore(self, plain: dict[str, Any]) -> None:
        """Take back what `dump` gave."""
        self.waiting = {row: [Row(*w) for w in waiting] for row, waiting in plain["waiting"]}
        self._recent = {row: deque(ts, maxlen=RECENT) for row, ts in plain["recent"]}
        self._past = {row: Past(*values) for row, *values in plain["past"]}


def follows(lane: Lane, sample: Row, where: Place) -> bool:
    """Whether nothing can be missing between the last judged sample and this one."""
    return where is Place.NEXT or (where is Place.CLOCK_SET and sample.seq - lane.last_seq == 1)


def _columns(row: Row, now: int) -> Sample:
    x = Sample()
    x.recv, x.ts, x.raw, x.seq, x.now = row.recv, row.ts, row.raw, row.seq, now
    x.mode, x.mv, x.direction, x.zone, x.floor = row.mode, row.mv, row.direction, row.zone, row.floor
    x.closed, x.passenger, x.speed, x.pos = row.closed, row.passenger, row.speed, row.pos
    return x
