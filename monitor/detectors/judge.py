"""Judging lanes: one more sample, or one more instant without a sample. Columns and single rows take the same path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detectors import derive
from monitor.detectors.book import Book
from monitor.detectors.fleet import Fleet
from monitor.detectors.lane import COLUMNS, NUMBERS, Lane, Ops, Sample
from monitor.detectors.latch import (
    belief_end,
    evaluate,
    judge_silence,
    restart_clocks,
    restart_delays,
    silence_due,
    untold,
)
from monitor.detectors.order import WAIT_MS, admit, applied_offset
from monitor.detectors.rules import RULES, SILENCE
from monitor.domain.fault import FaultKind

INF = float("inf")
#: Columns of the believed sample, by the names of protocol §2, and whether they are counts or measures.
_BELIEVED = {
    "service_mode": "mode", "car_status": "mv", "car_direction": "direction", "door_zone": "zone",
    "car_position": "floor", "door_closed": "closed", "passenger": "passenger",
    "speed_mps": "speed", "position_m": "pos",
}  # fmt: skip
_MEASURES = ("speed_mps", "position_m")
#: Kind and source of each latch.
_TOLD_AS = (*((rule.kind, rule.name) for rule in RULES), *((kind, kind.value) for kind, _ in SILENCE))
#: What a told change shows of a lane, besides `since` and `told`.
_SHOWN = (
    *_BELIEVED.values(), "last_ts", "last_seq", "age", "dev", "offset", "offset_since", "last_recv",
    "heard", "contact", "link_lost",
)  # fmt: skip


class Judge:
    """Runs the rules over lanes and writes what changes into the book."""

    def __init__(self, fleet: Fleet, book: Book, names: Mapping[int, str]) -> None:
        self.fleet = fleet
        self.book = book
        self._names = names

    def samples(self, rows: NDArray[np.intp], x: Sample) -> NDArray[Any]:
        """One sample for each of `rows`, each following directly the one before it; stores the rows.

        Returns the corrected times (ms) of the samples.
        """
        lane = self.fleet.load(rows)
        th = self.fleet.thresholds(lane.limits_set)
        ended = lane.fire_dev <= x.ts + lane.jump
        if ended.any():
            part = np.flatnonzero(ended)
            self._run_out(rows[part], x, part)
            lane = self.fleet.load(rows)
        told = list(lane.told)
        changed = _take(lane, x, th, COLUMNS)
        self._finish(rows, lane, told, changed, x.now, th)
        times: NDArray[Any] = x.dev + applied_offset(lane.offset, lane.offset_since, x.recv, COLUMNS)
        return times

    def _run_out(self, rows: NDArray[np.intp], x: Sample, part: NDArray[np.intp]) -> None:
        """Delays that ran out before the next sample, while the last one was believed; told only if told when over."""
        lane = self.fleet.load(rows)
        th = self.fleet.thresholds(lane.limits_set)
        told = list(lane.told)
        t = np.minimum(x.ts[part] + lane.jump, belief_end(lane, th, COLUMNS))
        changed = evaluate(lane, t, x.now[part], th, COLUMNS, tell=np.False_, believed=np.True_)
        self._finish(rows, lane, told, changed, x.now[part], th)

    def instants(self, rows: NDArray[np.intp], at: NDArray[np.float64]) -> None:
        """No sample, but something is due: `at`, receiver's clock, ms, for each row."""
        lane = self.fleet.load(rows)
        th = self.fleet.thresholds(lane.limits_set)
        told = list(lane.told)
        changed = _let_pass(lane, at, th, COLUMNS)
        self._finish(rows, lane, told, changed, at, th)

    def _finish(
        self, rows: NDArray[np.intp], lane: Lane, told: list[Any], changed: Any, now: NDArray[np.float64], th: Any
    ) -> None:
        due = _due(lane, now, th, COLUMNS)
        self.fleet.due[rows] = np.where(due == due, due, INF)
        self.fleet.store(rows, lane)
        if np.any(changed):
            self._tell_columns(rows, lane, told, now)

    def _tell_columns(self, rows: NDArray[np.intp], lane: Lane, told: list[Any], now: NDArray[np.float64]) -> None:
        """`tell` for the rows of a lane of arrays in which anything changed: only what is shown is taken out."""
        was, held = _table(told, rows), _table(lane.told, rows)
        places = np.flatnonzero((was != held).any(axis=0))
        shown = _table([getattr(lane, name) for name in _SHOWN], rows)[:, places].T.tolist()
        since = _table(lane.since, rows)[:, places].T.tolist()
        before, after = was[:, places].T.tolist(), held[:, places].T.tolist()
        for i, (row, at) in enumerate(zip(rows[places].tolist(), now[places].tolist(), strict=True)):
            one = Lane()
            for name, value in zip(_SHOWN, shown[i], strict=True):
                setattr(one, name, value)
            one.since, one.told = since[i], after[i]
            self.tell(row, one, before[i], int(at))

    def sample(self, row: int, lane: Lane, x: Sample) -> None:
        """One sample of one row; the lane is the caller's to store."""
        th = self.fleet.thresholds(lane.limits_set)
        if lane.fire_dev <= x.ts + lane.jump:
            told = list(lane.told)
            t = min(x.ts + lane.jump, belief_end(lane, th, NUMBERS))
            if evaluate(lane, t, x.now, th, NUMBERS, tell=False, believed=True):
                self.tell(row, lane, told, int(x.now))
        told = list(lane.told)
        if _take(lane, x, th, NUMBERS):
            self.tell(row, lane, told, int(x.now))
        self.fleet.due[row] = self.due(lane, x.now)

    def instant(self, row: int, lane: Lane, at: float) -> None:
        """Judge one row at `at` (receiver's clock, ms) without a sample."""
        th = self.fleet.thresholds(lane.limits_set)
        told = list(lane.told)
        if _let_pass(lane, at, th, NUMBERS):
            self.tell(row, lane, told, int(at))
        self.fleet.due[row] = self.due(lane, at)

    def silence(self, row: int, lane: Lane, now: float) -> None:
        """Judge only the rules about silence of one row."""
        told = list(lane.told)
        if judge_silence(lane, now, self.fleet.thresholds(lane.limits_set), NUMBERS):
            self.tell(row, lane, told, int(now))

    def due(self, lane: Lane, now: float) -> float:
        """When something is due next for one row, receiver's clock, not before `now`."""
        due = _due(lane, now, self.fleet.thresholds(lane.limits_set), NUMBERS)
        return float(due) if due == due else INF

    def silence_due(self, lane: Lane) -> float:
        """When a rule about silence is due next for one row."""
        due = silence_due(lane, self.fleet.thresholds(lane.limits_set), NUMBERS)
        return float(due) if due == due else INF

    def tell(self, row: int, lane: Lane, told: list[Any], at: int) -> None:
        """Write what is told now and was not, or the reverse, into the book."""
        offset = applied_offset(lane.offset, lane.offset_since, lane.last_recv, NUMBERS)
        name = self._names[row]
        for i, (was, holds) in enumerate(zip(told, lane.told, strict=True)):
            if was == holds:
                continue
            kind, source = _TOLD_AS[i]
            silence = i >= len(RULES)
            if not holds:
                over_ms = None if silence else round(lane.dev + offset)
                self.book.release(row, name, kind, source, at, {} if silence else evidence(lane), over_ms=over_ms)
            elif silence:
                self.book.raise_(row, name, kind, source, at, _silent_since(lane, kind), evidence(lane))
            else:
                since = lane.since[i] if lane.since[i] == lane.since[i] else lane.dev
                self.book.raise_(row, name, kind, source, at, round(since + offset), evidence(lane))


def _table(columns: list[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """Columns, some of them one value for all, as one array of a line each."""
    return np.array([np.broadcast_to(column, rows.shape) for column in columns])


def _silent_since(lane: Lane, kind: FaultKind) -> int:
    """Receiver's clock: since when there is silence."""
    if kind is not FaultKind.OFFLINE:
        return int(lane.heard)
    return int(lane.link_lost if lane.link_lost == lane.link_lost else lane.contact)


def _take(s: Lane, x: Sample, th: Any, o: Ops) -> Any:
    admit(s, x, th, o)
    restart_delays(s, x.proven ^ True, o)
    derive.take(s, x, th, o)
    restart_clocks(s, x.lapsed, o)
    return evaluate(s, x.dev, x.now, th, o, tell=x.age <= WAIT_MS, believed=True)


def _let_pass(s: Lane, at: Any, th: Any, o: Ops) -> Any:
    t = s.dev + (at - s.last_recv)
    # Old news is told once nothing newer has followed it, if it is not too old to be believed.
    settled = (s.age <= WAIT_MS) | ((s.age <= th.belief_ms) & (at - s.last_recv >= WAIT_MS))
    return evaluate(s, t, at, th, o, tell=settled, believed=t <= belief_end(s, th, o))


def _due(s: Lane, now: Any, th: Any, o: Ops) -> Any:
    due = o.minimum(s.last_recv + (s.fire_dev - s.dev), silence_due(s, th, o))
    settling = untold(s) & (s.age <= th.belief_ms) & (now - s.last_recv < WAIT_MS)
    due = o.minimum(due, o.where(settling, s.last_recv + WAIT_MS, float("nan")))
    return o.where(due < now, now, due)


def evidence(lane: Lane) -> dict[str, Any]:
    """What was seen when a fault changed: the believed sample, for people to check. Unknown is None."""
    seen: dict[str, Any] = {}
    for name, column in _BELIEVED.items():
        value = float(getattr(lane, column))
        unknown = value != value or (column not in ("floor", "speed", "pos") and value < 0)
        seen[name] = None if unknown else round(value, 3) if name in _MEASURES else int(value)
    known = lane.last_ts == lane.last_ts
    return {
        "seen": seen,
        "ts": int(lane.last_ts) if known else None,
        "seq": int(lane.last_seq) if known else None,
        "age_ms": int(lane.age) if lane.age == lane.age else None,
    }
