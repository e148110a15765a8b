"""History that comes late: it changes nothing of the present, but is searched for entrapments (protocol §7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.book import Book
from monitor.detectors.fleet import Fleet
from monitor.detectors.judge import Judge
from monitor.detectors.lane import NUMBERS, Lane, Sample
from monitor.detectors.order import Row, applied_offset
from monitor.detectors.rules import ENTRAPMENTS, INDEX, RULES
from monitor.domain.fault import FaultChange, FaultKind, FaultState

#: History is searched this long after the last of it came.
SETTLE_MS = 5000
#: Late samples of one equipment held for a search; more are searched in pieces.
HELD = 20_000
#: Gaps of one equipment whose state before them is remembered, and equipments with any.
GAPS, ROWS = 2, 50_000
#: An entrapment that began this shortly before a known one is that one.
SAME_MS = 10_000


@dataclass(slots=True)
class Pieces:
    """Late samples of one row and when they are to be searched."""

    due: int = 0
    samples: list[Row] = field(default_factory=list)
    #: Device times at which the car alarm button was pressed.
    alarms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gap:
    """The state of a row before a gap, and the gap's ends on the device's continuous clock."""

    dev_before: float
    dev_after: float
    floats: NDArray[np.float64]
    flags: NDArray[np.bool_]


class Backlog:
    """Late samples by row, and the states before gaps into which they belong."""

    def __init__(self, fleet: Fleet, book: Book, names: Mapping[int, str]) -> None:
        self._fleet = fleet
        self._book = book
        self._names = names
        self.held: dict[int, Pieces] = {}
        self._gaps: dict[int, deque[Gap]] = {}

    def before_gap(self, row: int, lane: Lane, dev_after: float) -> None:
        """Remember the state before a gap that late samples may fill."""
        floats, flags = self._fleet.packed(lane)
        if row not in self._gaps and len(self._gaps) >= ROWS:
            del self._gaps[next(iter(self._gaps))]
        self._gaps.setdefault(row, deque(maxlen=GAPS)).append(Gap(lane.dev, dev_after, floats, flags))

    def add(self, row: int, sample: Row) -> None:
        """Hold one late sample."""
        pieces = self.held.setdefault(row, Pieces())
        pieces.samples.append(sample)
        pieces.due = sample.recv + (SETTLE_MS if len(pieces.samples) < HELD else 0)

    def add_alarm(self, row: int, dev: float, now: int) -> None:
        """Hold one press of the car alarm button in history."""
        pieces = self.held.setdefault(row, Pieces())
        pieces.alarms.append(dev)
        pieces.due = now + SETTLE_MS

    def due(self, row: int) -> int | None:
        """When the row's history is to be searched."""
        pieces = self.held.get(row)
        return pieces.due if pieces else None

    def search(self, row: int, lane: Lane, at: int) -> None:
        """Search the row's history; an entrapment not known yet is told at `at`, with its clearing if it is over.

        One that no way out is seen of, neither in the history nor since, is open from now on in `lane`, the present.
        """
        pieces = self.held.pop(row)
        samples = sorted(pieces.samples, key=lambda s: (s.ts, s.seq))
        if not samples:
            return
        first_dev = samples[0].ts + lane.jump
        (past, gap_end), due = self._fork(row, lane, first_dev), self._fleet.due[row]
        told = Book()
        self._judge_again(row, past, samples, sorted(pieces.alarms), told)
        self._fleet.due[row] = due
        last_dev = samples[-1].ts + lane.jump
        # What comes of this gap later goes on from here.
        self._gaps.setdefault(row, deque(maxlen=GAPS)).append(Gap(past.dev, gap_end, *self._fleet.packed(past)))
        self._let_out(row, lane, samples, at)
        opened: FaultChange | None = None
        for line in told.take():
            if line.kind is not FaultKind.ENTRAPMENT:
                continue
            if line.state is FaultState.RAISED:
                opened = line
                continue
            if opened is not None and not self._known(row, opened.since_ms, line.at_ms):
                self._tell(row, opened, at, over_ms=line.at_ms)
            opened = None
        if opened is not None and not self._known(row, opened.since_ms, at):
            over_ms = round(lane.way_open + past.offset) if lane.way_open >= last_dev else None
            self._tell(row, opened, at, over_ms=over_ms)
            if over_ms is None:
                i = INDEX[opened.evidence["source"]]
                lane.active[i] = lane.told[i] = True
                lane.since[i] = past.since[i]
        elif opened is None and lane.shut_since <= gap_end and not lane.way_open >= first_dev:
            self._carry_on(past, lane)

    def _let_out(self, row: int, lane: Lane, samples: list[Row], at: int) -> None:
        """The history shows the way out of an entrapment that the present holds open."""
        fault = self._book.open.get((row, FaultKind.ENTRAPMENT))
        if fault is None:
            return
        shift = lane.jump + applied_offset(lane.offset, lane.offset_since, lane.last_recv, NUMBERS)
        ways = (s.ts for s in samples if s.closed == 0 and s.zone == 1)
        out_ts = next((ts for ts in ways if ts + shift > fault.since_ms), None)
        if out_ts is None or any(lane.active[i] and lane.since[i] > out_ts + lane.jump for i in ENTRAPMENTS):
            return  # or somebody is shut in again since
        over_ms = round(out_ts + shift)
        for i in ENTRAPMENTS:
            lane.active[i] = lane.told[i] = False
            self._book.release(
                row, self._names[row], FaultKind.ENTRAPMENT, RULES[i].name, at, {"history": True}, over_ms=over_ms
            )
        lane.alarm = False

    def _carry_on(self, past: Lane, lane: Lane) -> None:
        """Somebody is shut in at a floor since the gap: how they came there is known now, and since when."""
        same = past.mv == 0 and past.closed == 1 and past.zone == 1 == lane.zone and past.floor == lane.floor
        if same and (past.arrived or past.boarded) and past.dev <= lane.dev:
            # Who was aboard then is of another run, and history raises nothing but entrapments.
            lane.ran_occupied = lane.ran_occupied and lane.arrived
            lane.arrived, lane.boarded = lane.arrived or past.arrived, lane.boarded or past.boarded
            i = INDEX["entrapment_at_level"]
            lane.since[i] = past.since[i]

    def _judge_again(self, row: int, past: Lane, samples: list[Row], alarms: list[float], told: Book) -> None:
        judge = Judge(self._fleet, told, self._names)
        seen: tuple[int, int] | None = None
        for sample in samples:
            dev = sample.ts + past.jump
            while alarms and alarms[0] < dev:
                past.alarm_at = alarms.pop(0)
            if (sample.ts, sample.seq) != seen and not dev < past.dev:
                seen = (sample.ts, sample.seq)
                judge.sample(row, past, _own_time(sample, past))

    def _fork(self, row: int, lane: Lane, first_dev: float) -> tuple[Lane, float]:
        """The state before the gap that the history belongs into, or a blank one; and the gap's end."""
        floats, flags = self._fleet.floats[row].copy(), self._fleet.flags[row].copy()
        found = [g for g in self._gaps.get(row, ()) if g.dev_before <= first_dev <= g.dev_after]
        if found:
            self._fleet.floats[row], self._fleet.flags[row] = found[-1].floats, found[-1].flags
        else:
            self._fleet.blank(row)
        past = self._fleet.load_one(row)
        self._fleet.floats[row], self._fleet.flags[row] = floats, flags
        past.jump, past.offset, past.offset_since = lane.jump, lane.offset, lane.offset_since
        past.told = [flag and i in ENTRAPMENTS for i, flag in enumerate(past.told)]
        return past, found[-1].dev_after if found else lane.dev

    def _known(self, row: int, since_ms: int, until_ms: int) -> bool:
        """Whether an entrapment in [since_ms, until_ms] was told already."""
        for known_since, cleared in self._book.entrapments.get(row, ()):
            assert known_since is not None
            if known_since - SAME_MS <= until_ms and (cleared is None or since_ms <= cleared):
                return True
        return False

    def _tell(self, row: int, line: FaultChange, at: int, *, over_ms: int | None) -> None:
        name, source = self._names[row], line.evidence["source"]
        evidence = {**line.evidence, "history": True, "happened_at": line.at_ms}
        if (row, FaultKind.ENTRAPMENT) in self._book.open:
            return  # people are already on their way to this lift
        self._book.raise_(row, name, line.kind, source, at, line.since_ms, evidence)
        if over_ms is not None:
            self._book.release(row, name, line.kind, source, at, {"history": True}, over_ms=over_ms)

    def dump(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "held": [[row, p.due, [list(s) for s in p.samples], p.alarms] for row, p in self.held.items()],
            "gaps": [[row, g.dev_before, g.dev_after] for row, gaps in self._gaps.items() for g in gaps],
        }

    def columns(self) -> tuple[bytes, bytes]:
        """The states before gaps as bytes, in the order of `dump`."""
        gaps = [g for gaps in self._gaps.values() for g in gaps]
        return b"".join(g.floats.tobytes() for g in gaps), b"".join(g.flags.tobytes() for g in gaps)

    def restore(self, plain: Mapping[str, Any], columns: tuple[bytes, bytes]) -> None:
        """Take back what `dump` and `columns` gave."""
        self.held = {
            row: Pieces(due, [Row(*s) for s in samples], alarms) for row, due, samples, alarms in plain["held"]
        }
        self._gaps = {}
        count = len(plain["gaps"])
        floats = np.frombuffer(columns[0]).reshape(count, -1 if count else 0)
        flags = np.frombuffer(columns[1], np.bool_).reshape(count, -1 if count else 0)
        for i, (row, dev_before, dev_after) in enumerate(plain["gaps"]):
            self._gaps.setdefault(row, deque(maxlen=GAPS)).append(Gap(dev_before, dev_after, floats[i], flags[i]))


def _own_time(sample: Row, past: Lane) -> Sample:
    """A late sample as if it had come in time."""
    x = Sample()
    offset = past.offset if past.offset == past.offset else 0.0
    x.recv = x.now = sample.ts + past.jump + offset
    x.ts, x.seq, x.mode, x.mv, x.direction = sample.ts, sample.seq, sample.mode, sample.mv, sample.direction
    x.raw = sample.raw
    x.zone, x.floor, x.closed, x.passenger = sample.zone, sample.floor, sample.closed, sample.passenger
    x.speed, x.pos = sample.speed, sample.pos
    return x
