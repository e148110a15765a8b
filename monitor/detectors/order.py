"""The order of samples: what is new, what comes twice, what is late, and whether a device's clock was set."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.lane import Lane, Ops, Sample
from monitor.domain.reading import FLOOR_UNKNOWN, SEQ_NONE

NAN = float("nan")
#: A sample received up to this long after a newer one is put in its place (protocol §7).
WAIT_MS = 3000
#: A terminal sends a sample at least this often: at rest, and while the car moves or a door is open (protocol §2).
IDLE_MS = 10_000.0
BUSY_MS = 1000.0
#: A jump of the clock is more than the cadence or the receiver's clock can explain by this much.
JUMP_MS = 5000.0
#: A sample that seems to have come sooner than any before it shows a clock set forward by at least this much.
AHEAD_MS = 1500.0
#: So many numbers may be missing between two samples of one run of `seq`.
LOST_MAX = 120
#: With so many numbers passed over a whole short run may be missing.
SKIPPED = 3
#: A terminal that started again counts from 0 or 1; so many of its first samples may be lost.
RESTART_SEQ = 5
#: Drift of a device's clock that the offset estimate follows, ms per ms.
LEAK = 1e-4
#: Without numbers one heartbeat of a standing, closed car may be lost unnoticed: a change would have sent several.
UNCOUNTED_STEP = 2.0
#: A clock further off than this is corrected.
OFFSET_MS = 2000.0
#: The least delay of a device's messages is known after this long.
OFFSET_TRUST_MS = 60_000.0
#: A device that seems behind may only be slow to be heard: what it kept comes faster than it was made, for less long.
BEHIND_MS = 15_000.0


class Place(StrEnum):
    """Where a sample belongs, seen from the last judged one."""

    NEXT = "next"  # follows directly: nothing can be missing in between
    LATER = "later"  # newer, with something missing in between
    CLOCK_SET = "clock_set"  # `ts` jumped while `seq` counted on
    SAME = "same"  # the very same sample
    EARLIER = "earlier"


class Row(NamedTuple):
    """One sample as numbers. `ts` is judged by, `raw` is what was sent; `restart`: the terminal started again."""

    recv: int
    ts: int
    seq: int
    mode: int
    mv: int
    direction: int
    zone: int
    floor: float
    closed: int
    passenger: int
    speed: float
    pos: float
    raw: int
    restart: bool = False

    @property
    def broken(self) -> bool:
        """The clock is broken: `ts` is the receiver's, and only the numbers tell the order."""
        return self.raw != self.ts


def rows_of(readings: NDArray[np.void]) -> list[Row]:
    """READING rows as numbers."""
    floor = readings["car_position"].astype(np.float64)
    floor[readings["car_position"] == FLOOR_UNKNOWN] = NAN
    columns = (
        effective_ts(readings),
        readings["seq"],
        readings["service_mode"],
        readings["car_status"],
        readings["car_direction"],
        readings["door_zone"],
        floor,
        readings["door_closed"],
        readings["passenger"],
        readings["speed_mps"],
        readings["position_m"],
        readings["ts"],
    )
    lists = [readings["received_ms"].tolist()] + [c.tolist() for c in columns]
    return [Row(*values) for values in zip(*lists, strict=True)]


def effective_ts(readings: NDArray[np.void]) -> NDArray[np.int64]:
    """The device's clock, or the receiver's where the device's is broken (the decoder put that into `time_ms`)."""
    return np.asarray(readings["time_ms"])


def place(s: Lane, row: Row) -> Place:
    """Place of a sample after the last judged one of its equipment."""
    if not s.known:
        return Place.LATER
    counts = row.seq != SEQ_NONE and s.last_seq != SEQ_NONE
    step = row.seq - s.last_seq
    apart = row.ts - s.last_ts
    if apart == 0 and step == 0:
        return Place.SAME
    if not counts:
        return Place.LATER if apart > 0 else Place.EARLIER
    if step > 0:
        return _counted_on(s, row, step, apart)
    if row.broken and step >= -LOST_MAX and row.seq > RESTART_SEQ:
        return Place.EARLIER
    return Place.LATER if apart > 0 else Place.EARLIER  # later: the terminal started again


def _counted_on(s: Lane, row: Row, step: float, apart: float) -> Place:
    elapsed = row.recv - s.last_recv
    if apart < 0:
        return Place.CLOCK_SET if step <= LOST_MAX else Place.EARLIER
    # Neither the cadence nor the time that passed here explains the distance, or it came before it was sent.
    unexplained = apart > IDLE_MS * step + JUMP_MS and apart - elapsed > JUMP_MS + IDLE_MS and not s.on_changes
    early = elapsed <= OFFSET_TRUST_MS and bool(came_early(s.offset, s.offset_since, row.recv, row.ts + s.jump))
    if (unexplained or early) and step <= LOST_MAX:
        return Place.CLOCK_SET
    return Place.NEXT if step == 1 else Place.LATER


def came_early(offset: Any, since: Any, recv: Any, dev: Any) -> Any:
    """Whether a sample seems to have come sooner after it was made than any other: its clock was set forward."""
    return (offset - (recv - dev) > AHEAD_MS) & (recv - since >= OFFSET_TRUST_MS)


def before(a: Row, b: Row, last_ts: float) -> bool:
    """Whether `a` goes before `b`, both newer than what was judged up to `last_ts`."""
    if a.restart != b.restart:
        return b.restart
    if a.seq != SEQ_NONE and b.seq != SEQ_NONE:
        if (a.seq < b.seq) == (a.ts < b.ts) or a.ts == b.ts:
            return a.seq < b.seq
        if a.broken and b.broken and abs(a.seq - b.seq) <= LOST_MAX:
            return a.seq < b.seq
        # They disagree: the terminal started again (clocks are right), or its clock was set (numbers are).
        if a.ts < last_ts or b.ts < last_ts:
            return a.seq < b.seq
    return a.ts < b.ts


def admit(s: Lane, x: Sample, th: Any, o: Ops) -> None:
    """Give sample `x` its place on the device's continuous clock and update the clock estimate.

    Sets `x.dev`, `x.proven`, `x.follows`, `x.skipped`, `x.age`. `s.jump` already holds the
    correction for a clock that was set.
    """
    x.dev = x.ts + s.jump
    counted = (x.seq >= 0) & (s.last_seq >= 0)
    stands = (s.mv == 0) & (x.mv == 0) & (s.closed == 1) & (x.closed == 1) & (s.zone == x.zone)
    step = o.where(counted, x.seq - s.last_seq, o.where(stands, UNCOUNTED_STEP, 1.0))
    apart = x.dev - s.dev
    # As many samples as an idle terminal sends in that time: a change would have sent more.
    idle = (apart <= th.belief_ms * step) & (step <= apart / IDLE_MS + 1)
    # A moving car or an open door sends each second: with numbers missing and time left over, it rested in between.
    busy = ((s.mv == 1) & (x.mv == 1)) | ((s.closed == 0) & (x.closed == 0))
    rested = counted & busy & (step > 1) & (apart > BUSY_MS * (step + 1)) & (s.on_changes ^ True)
    x.proven = ((apart <= th.belief_ms) | idle | s.on_changes) & (rested ^ True)
    lag = x.recv - x.dev
    leaked = s.offset + LEAK * (x.recv - s.last_recv)
    s.offset = o.minimum(leaked, lag)
    s.offset_since = o.where(s.offset_since == s.offset_since, s.offset_since, x.recv)
    x.follows = s.known & o.where(counted, step == 1, x.proven)
    x.skipped = counted & (step >= SKIPPED)
    x.age = lag - s.offset
    s.last_ts, s.last_seq = x.ts, x.seq
    s.contact = o.maximum(s.contact, x.recv)
    s.heard = o.maximum(s.heard, x.recv)


def applied_offset(offset: Any, since: Any, recv: Any, o: Ops) -> Any:
    """What is added to a device's time: nothing while its clock is about right or not yet known."""
    ahead = offset < -OFFSET_MS
    behind = (offset > OFFSET_MS) & (recv - since >= BEHIND_MS)
    return o.where(ahead | behind, offset, 0.0)


def set_clock(s: Lane, row: Row, th: Any) -> None:
    """The device's clock was set: its continuous clock goes on by what passed here, at most by what it counted."""
    step = max(1.0, row.seq - s.last_seq)
    elapsed = max(0.0, row.recv - s.last_recv)
    if not row.restart:
        elapsed = min(elapsed, step * th.belief_ms)
    s.jump = float(round(s.dev + elapsed - row.ts))
