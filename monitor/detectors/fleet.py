"""The fleet as columns: one row for each equipment, loaded into lanes and stored back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.lane import FLAGS, FLOATS, Lane
from monitor.detectors.rules import LATCHES, RULES, SILENCE, STUCK, UNINTENDED
from monitor.detectors.thresholds import THRESHOLD_NAMES, Thresholds
from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.fault import FaultKind

_NF, _NR = len(FLOATS), len(RULES)
_NB = len(FLAGS)
_FLOAT_COLUMNS = _NF + _NR
_FLAG_COLUMNS = _NB + 2 * LATCHES
#: Float columns that start at zero instead of never.
_ZERO = tuple(FLOATS.index(n) for n in ("jump", "openings", "exit_direction", "limits_set"))
_REGISTRY = ("bottom", "top", "rated", "limits_set")
_UNKNOWN = tuple(FLOATS.index(n) for n in ("mode", "mv", "direction", "zone", "closed", "passenger"))


#: Samples of a row whose keys are remembered, against redelivery.
RING = 32
_NO_TS = -(2**62)
_LOW = 2**32 - 1


class Fleet:
    """State columns for rows 0..size-1 (a row is an `Equipment.number`); row state is made on first use.

    `due`: receiver's clock, ms, when something about the row is due next without any message; inf for never.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.size = 0
        self.floats: NDArray[np.float64] = np.empty((0, _FLOAT_COLUMNS))
        self.flags: NDArray[np.bool_] = np.empty((0, _FLAG_COLUMNS), np.bool_)
        self.due: NDArray[np.float64] = np.empty(0)
        #: The row has something of its own to wait for, and is taken one input at a time.
        self.special: NDArray[np.bool_] = np.empty(0, np.bool_)
        #: Keys of the last samples by `seq` modulo RING: what was sent as `ts`, and the low bits of `seq`.
        self._ring_ts: NDArray[np.int64] = np.empty((0, RING), np.int64)
        self._ring_seq: NDArray[np.uint32] = np.empty((0, RING), np.uint32)
        self._default = thresholds
        self._sets: list[Thresholds] = [thresholds]
        self._table: NDArray[np.float64] = np.empty((0, 0))

    def grow(self, size: int) -> None:
        """Make room for rows below `size`; new rows are blank."""
        if size <= self.size:
            return
        if size > len(self.due):
            capacity = max(size, len(self.due) * 9 // 8, 64)
            self.floats = _extend(self.floats, capacity, np.nan)
            self.flags = _extend(self.flags, capacity, fill=False)
            self.due = _extend(self.due, capacity, np.inf)
            self.special = _extend(self.special, capacity, fill=False)
            self._ring_ts = _extend(self._ring_ts, capacity, _NO_TS)
            self._ring_seq = _extend(self._ring_seq, capacity, 0)
            for column in _ZERO:
                self.floats[self.size :, column] = 0.0
            for column in _UNKNOWN:
                self.floats[self.size :, column] = -1.0
        self.size = size

    def blank(self, row: int) -> None:
        """Forget the row's state, keep what the registry says."""
        registry = {name: self.floats[row, FLOATS.index(name)] for name in _REGISTRY}
        flags = {name: self.flags[row, FLAGS.index(name)] for name in ("is_lift", "on_changes")}
        self.floats[row], self.flags[row] = np.nan, False
        self.floats[row, list(_ZERO)], self.floats[row, list(_UNKNOWN)] = 0.0, -1.0
        for name, value in registry.items():
            self.floats[row, FLOATS.index(name)] = value
        for name, flag in flags.items():
            self.flags[row, FLAGS.index(name)] = flag

    def register(self, one: Equipment) -> None:
        """Take in or change what the registry says of one equipment; its state stays."""
        self.grow(one.number + 1)
        row = self.floats[one.number]
        row[FLOATS.index("bottom")] = np.nan if one.bottom_floor is None else one.bottom_floor
        row[FLOATS.index("top")] = np.nan if one.top_floor is None else one.top_floor
        row[FLOATS.index("rated")] = one.rated_speed_mps or np.nan
        row[FLOATS.index("limits_set")] = self._set_of(self._default.overridden(one.overrides))
        self.flags[one.number, FLAGS.index("is_lift")] = one.kind is EquipmentKind.LIFT
        self.flags[one.number, FLAGS.index("on_changes")] = one.reports is Reports.CHANGES

    def _set_of(self, thresholds: Thresholds) -> int:
        if thresholds not in self._sets:
            self._sets.append(thresholds)
            self._table = np.array([[getattr(t, n) for n in THRESHOLD_NAMES] for t in self._sets])
        return self._sets.index(thresholds)

    def thresholds(self, which: Any) -> Any:
        """Thresholds of a lane, from its `limits_set` column: one set for all while nobody has an override."""
        if len(self._sets) == 1:
            return self._default
        if isinstance(which, float):
            return self._sets[int(which)]
        if not which.any():
            return self._default
        rows = self._table[which.astype(np.intp)].T
        return SimpleNamespace(**dict(zip(THRESHOLD_NAMES, rows, strict=True)))

    def load(self, rows: NDArray[np.intp]) -> Lane:
        """Columns of `rows` as arrays."""
        return _lane(np.ascontiguousarray(self.floats[rows].T), np.ascontiguousarray(self.flags[rows].T))

    def store(self, rows: NDArray[np.intp], lane: Lane) -> None:
        """Put a lane of arrays back."""
        floats = np.empty((_FLOAT_COLUMNS, len(rows)))
        flags = np.empty((_FLAG_COLUMNS, len(rows)), np.bool_)
        for i, name in enumerate(FLOATS):
            floats[i] = getattr(lane, name)
        for i, since in enumerate(lane.since, start=_NF):
            floats[i] = since
        for i, name in enumerate(FLAGS):
            flags[i] = getattr(lane, name)
        for i, flag in enumerate((*lane.active, *lane.told), start=_NB):
            flags[i] = flag
        self.floats[rows] = floats.T
        self.flags[rows] = flags.T

    def load_one(self, row: int) -> Lane:
        """Columns of one row as numbers."""
        return _lane(self.floats[row].tolist(), self.flags[row].tolist())

    def store_one(self, row: int, lane: Lane) -> None:
        """Put a lane of numbers back."""
        self.floats[row], self.flags[row] = self.packed(lane)

    def packed(self, lane: Lane) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A lane of numbers as columns, not stored."""
        floats = [getattr(lane, name) for name in FLOATS] + lane.since
        flags = [getattr(lane, name) for name in FLAGS] + lane.active + lane.told
        return np.array(floats, np.float64), np.array(flags, np.bool_)

    def remember(self, rows: Any, seq: Any, ts: Any) -> None:
        """Samples were judged: `seq` (int64) and `ts` as sent, for one row or for many."""
        slots = seq % RING
        self._ring_ts[rows, slots] = ts
        self._ring_seq[rows, slots] = seq & _LOW

    def remembered(self, row: int, seq: int) -> int | None:
        """`ts` of the row's sample with that `seq`, where it is among the last judged ones."""
        slot = seq % RING
        ts = int(self._ring_ts[row, slot])
        return ts if ts != _NO_TS and int(self._ring_seq[row, slot]) == seq & _LOW else None

    def column(self, name: str) -> NDArray[np.float64]:
        """One float column of all rows, as a view."""
        return self.floats[: self.size, FLOATS.index(name)]

    def flag(self, name: str) -> NDArray[np.bool_]:
        """One bool column of all rows, as a view."""
        return self.flags[: self.size, FLAGS.index(name)]

    def silent(self, kind: FaultKind) -> NDArray[np.bool_]:
        """Where that rule about silence holds."""
        place = len(RULES) + [silence for silence, _ in SILENCE].index(kind)
        return self.flags[: self.size, _NB + place]

    def dump(self) -> tuple[bytes, ...]:
        """The columns as bytes."""
        n = self.size
        columns = (self.floats, self.flags, self.due, self._ring_ts, self._ring_seq)
        return tuple(column[:n].tobytes() for column in columns)

    def restore(self, floats: bytes, flags: bytes, due: bytes, ring_ts: bytes, ring_seq: bytes) -> None:
        """Take back what `dump` gave; registry columns are overwritten by a later `register`."""
        rows = len(due) // 8
        self.grow(rows)
        self.floats[:rows] = np.frombuffer(floats).reshape(rows, _FLOAT_COLUMNS)
        self.flags[:rows] = np.frombuffer(flags, np.bool_).reshape(rows, _FLAG_COLUMNS)
        self.due[:rows] = np.frombuffer(due)
        self._ring_ts[:rows] = np.frombuffer(ring_ts, np.int64).reshape(rows, RING)
        self._ring_seq[:rows] = np.frombuffer(ring_seq, np.uint32).reshape(rows, RING)


def _lane(floats: Any, flags: Any) -> Lane:
    lane = Lane()
    for name, value in zip(FLOATS, floats, strict=False):
        setattr(lane, name, value)
    for name, value in zip(FLAGS, flags, strict=False):
        setattr(lane, name, value)
    lane.since = list(floats[_NF:])
    lane.active = list(flags[_NB : _NB + LATCHES])
    lane.told = list(flags[_NB + LATCHES :])
    lane.sensor_stuck, lane.unintended = lane.active[STUCK], lane.active[UNINTENDED]
    return lane


def _extend(old: NDArray[Any], rows: int, fill: Any) -> NDArray[Any]:
    new = np.full((rows, *old.shape[1:]), fill, old.dtype)
    new[: len(old)] = old
    return new


#: What the columns of one lift take, bytes.
BYTES_PER_ROW = 8 * _FLOAT_COLUMNS + _FLAG_COLUMNS + 9
