"""What is shown of each equipment now: the last sample of each, shown again when what a person sees has changed.

Nobody needs every sample on a map of a city. Here the last one of each equipment is kept as columns, together with
what was shown last, and a `Flush` is made of what differs: bounded, the oldest change first. It is written beside the
batches and never in them; a change that is not written yet is only late, and a newer one takes its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from monitor.detectors.order import WAIT_MS
from monitor.detectors.thresholds import Thresholds
from monitor.domain.commit import Commit, Measurement
from monitor.domain.equipment import Equipment, Reports
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.domain.reading import HISTORY, SEQ_NONE
from monitor.messages.samples import absent_rows

#: Bit of `flags` in a row of a Flush: no sample within the time that one is believed.
SILENT: Final = 128

#: Columns whose every change is shown.
_STATE = (
    "service_mode",
    "car_status",
    "car_direction",
    "door_zone",
    "car_position",
    "door_closed",
    "passenger",
    "power",
)
#: Columns that are shown anew when they have moved by so much: noise of a sensor is nothing to look at.
_MEASURES = {"speed_mps": 0.05, "position_m": 0.05, "load_kg": 5.0}
#: One equipment is shown at most so often, and so often it is looked who has fallen silent.
_SECOND_MS = 1_000
#: Where nothing changes, `received_at` is shown anew so often.
_REFRESH_MS = 60_000
_NEVER = np.iinfo(np.int64).max

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """What is to be shown: READING rows (`received_ms`: when it was last heard; SILENT in `flags`), one an equipment.

    `quantities` holds those of `values` kinds, by number. `touched_ms`: since when each row's change has been waiting.
    """

    at_ms: int
    rows: NDArray[np.void]
    equipment: tuple[Equipment, ...]
    quantities: Mapping[int, Mapping[str, float]]
    touched_ms: NDArray[np.int64]


class Board(Protocol):
    """Where it is shown. See `monitor.adapters.latest`."""

    async def show(self, flush: Flush) -> None:
        """Whole or not at all. Raises UnavailableError, RefusedError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowingPace:
    """How often and how much is shown.

    Many small flushes and not one large: whoever publishes holds the feed until its transaction is over, and an alarm
    must not wait behind thousands of states.
    """

    every_s: float = 0.1
    rows: int = 500
    #: At most this part of the time goes into it: the longer a flush takes, the later is the next.
    share: float = 0.15


class Showing:
    """The last sample of each equipment and what was shown of it. Instants are ms since 1970 UTC, our clock."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds or Thresholds()
        self._equipment: dict[int, Equipment] = {}
        self._unregistered = 0
        self._size = 0
        self._last = absent_rows(0)
        self._shown = absent_rows(0)
        #: When the last sample came, whatever its place; 0 for never.
        self._heard = np.zeros(0, np.int64)
        self._belief = np.zeros(0)
        self._touched = np.zeros(0, np.int64)
        #: The last row is a sample received in this process.
        self._sampled = np.zeros(0, np.bool_)
        #: When it was last flushed, and when it was last looked who is silent.
        self._flushed = np.zeros(0, np.int64)
        self._looked_ms = 0
        self._quantities: dict[int, Mapping[str, float]] = {}
        self._shown_quantities: dict[int, Mapping[str, float]] = {}
        #: What the last flush took, s.
        self.flush_s: float | None = None

    # --- what comes in ---

    def learn(self, equipment: Iterable[Equipment]) -> None:
        """Take in or change equipment."""
        equipment = tuple(equipment)
        self._grow(max((one.number for one in equipment), default=-1) + 1)
        for one in equipment:
            known = self._equipment.get(one.number)
            self._unregistered += (not one.registered) - (known is not None and not known.registered)
            self._equipment[one.number] = one
            own = self._thresholds.overridden(one.overrides)
            self._belief[one.number] = np.inf if one.reports is Reports.CHANGES else own.belief_ms

    def restore(self, rows: NDArray[np.void], quantities: Mapping[int, Mapping[str, float]], now_ms: int) -> None:
        """Go on from what was shown before this process, rows as in a Flush; after `learn`."""
        rows = rows[np.fromiter((int(one) in self._equipment for one in rows["number"]), np.bool_, len(rows))]
        numbers = rows["number"]
        rows["received_ms"] = np.minimum(rows["received_ms"], now_ms)
        self._shown[numbers] = rows
        self._heard[numbers] = np.maximum(self._heard[numbers], rows["received_ms"])
        old = ~self._sampled[numbers]
        self._last[numbers[old]] = rows[old]
        self._shown_quantities |= quantities
        self._quantities = {**quantities, **self._quantities}

    def take(self, commit: Commit) -> None:
        """Take in what was committed."""
        if commit.new_equipment:
            self.learn(commit.new_equipment)
        if len(commit.readings):
            self.take_readings(commit.readings)
        for one in commit.measurements:
            self._take_measurement(one)

    def take_readings(self, rows: NDArray[np.void]) -> None:
        """Take in READING rows; the newest of each equipment stays, HISTORY changes nothing."""
        if (rows["flags"] & HISTORY).any():
            rows = rows[(rows["flags"] & HISTORY) == 0]
            if not len(rows):
                return
        order = np.lexsort((rows["time_ms"], rows["number"]))
        numbers = rows["number"][order]
        last = np.flatnonzero(np.r_[numbers[1:] != numbers[:-1], True])
        rows, numbers = rows[order[last]], numbers[last]
        self._grow(int(numbers[-1]) + 1)
        # A sample may come up to 3 s after one that is newer. What seems older for longer has had its clock corrected.
        before = self._last[numbers]
        newer = (rows["time_ms"] >= before["time_ms"]) | (rows["received_ms"] - before["received_ms"] > WAIT_MS)
        newer |= ~self._sampled[numbers]
        self._heard[numbers] = np.maximum(self._heard[numbers], rows["received_ms"])
        if not newer.all():
            rows, numbers = rows[newer], numbers[newer]
        self._last[numbers] = rows
        self._sampled[numbers] = True
        self._touched[numbers] = np.minimum(self._touched[numbers], rows["received_ms"])

    def _take_measurement(self, one: Measurement) -> None:
        number = one.number
        self._grow(number + 1)
        late = one.time_ms < self._last["time_ms"][number] and one.received_ms - self._heard[number] <= WAIT_MS
        self._heard[number] = max(self._heard[number], one.received_ms)
        if late and self._sampled[number]:
            return
        row = absent_rows(1)
        row["number"], row["received_ms"], row["time_ms"] = number, one.received_ms, one.time_ms
        row["ts"], row["seq"] = one.ts, one.seq
        self._last[number] = row[0]
        self._sampled[number] = True
        self._quantities[number] = one.values
        self._touched[number] = min(self._touched[number], one.received_ms)

    # --- what is to be shown ---

    def due(self, now_ms: int, most: int) -> Flush | None:
        """What differs from what was shown, at most so many rows; None for nothing. Then `done` or `failed`."""
        if now_ms - self._looked_ms >= _SECOND_MS:
            self._looked_ms = now_ms
            self._look_for_silent(now_ms)
        touched = self._touched[: self._size]
        asked = np.flatnonzero(touched != _NEVER)
        asked = asked[now_ms - self._flushed[asked] >= _SECOND_MS]
        silent = now_ms - self._heard[asked] > self._belief[asked]
        differs = self._differs(asked) | (silent != ((self._shown["flags"][asked] & SILENT) != 0))
        touched[asked[~differs]] = _NEVER
        numbers = asked[differs]
        if len(numbers) > most:
            numbers = numbers[np.argpartition(touched[numbers], most)[:most]]
        if not len(numbers):
            return None
        rows = self._last[numbers]
        rows["number"] = numbers
        rows["received_ms"] = self._heard[numbers]
        rows["flags"] = np.where(now_ms - self._heard[numbers] > self._belief[numbers], SILENT, 0)
        since = touched[numbers]
        touched[numbers] = _NEVER
        self._flushed[numbers] = now_ms
        listed = numbers.tolist()
        return Flush(
            at_ms=now_ms,
            rows=rows,
            equipment=tuple(self._equipment[number] for number in listed),
            quantities={one: self._quantities[one] for one in listed if one in self._quantities},
            touched_ms=since,
        )

    def done(self, flush: Flush) -> None:
        """It is shown."""
        self._shown[flush.rows["number"]] = flush.rows
        self._shown_quantities |= flush.quantities

    def failed(self, flush: Flush) -> None:
        """It could not be shown: its rows wait on."""
        numbers = flush.rows["number"]
        self._touched[numbers] = np.minimum(self._touched[numbers], flush.touched_ms)
        self._flushed[numbers] = 0

    def _look_for_silent(self, now_ms: int) -> None:
        silent = self._silent(now_ms)
        turned = (silent != ((self._shown["flags"][: self._size] & SILENT) != 0)) & (self._heard[: self._size] > 0)
        touched = self._touched[: self._size]
        touched[turned] = np.minimum(touched[turned], now_ms)

    def _silent(self, now_ms: int) -> NDArray[np.bool_]:
        return now_ms - self._heard[: self._size] > self._belief[: self._size]

    def _differs(self, numbers: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether a person would see something else, or it is time to show that it is still heard."""
        last, shown = self._last[numbers], self._shown[numbers]
        found: NDArray[np.bool_] = self._heard[numbers] - shown["received_ms"] >= _REFRESH_MS
        for name in _STATE:
            found |= last[name] != shown[name]
        for name, step in _MEASURES.items():
            known = ~np.isnan(last[name])
            found |= known != ~np.isnan(shown[name])
            found |= known & (np.abs(last[name] - shown[name]) >= step)
        if self._quantities:
            theirs, ours = self._quantities, self._shown_quantities
            pairs = ((theirs.get(one), ours.get(one)) for one in numbers.tolist())
            found |= np.fromiter((a != b for a, b in pairs), np.bool_, len(numbers))
        return found

    # --- figures ---

    def counts(self, now_ms: int) -> dict[str, Any]:
        """Gauges of `monitor.services.vitals` that are known here, by their names."""
        waits = self._touched[: self._size]
        waits = waits[waits != _NEVER]
        recent = self._sampled[: self._size] & (now_ms - self._heard[: self._size] <= _REFRESH_MS)
        rows = self._last[: self._size][recent]
        offsets = np.abs(rows["received_ms"] - rows["ts"])
        return {
            "equipment": len(self._equipment),
            "unregistered": self._unregistered,
            "silent": int(np.count_nonzero(self._silent(now_ms) & (self._heard[: self._size] > 0))),
            "clock_offset_median_s": float(np.median(offsets)) / 1000 if len(offsets) else None,
            "clock_offset_max_s": float(offsets.max()) / 1000 if len(offsets) else None,
            "shown_waiting": len(waits),
            "shown_lag_s": max(0.0, (now_ms - int(waits.min())) / 1000) if len(waits) else 0.0,
            "shown_flush_s": self.flush_s,
        }

    def _grow(self, size: int) -> None:
        if size <= self._size:
            return
        if size > len(self._heard):
            capacity = max(size, len(self._heard) * 5 // 4, 64)
            blank = absent_rows(capacity)
            blank["seq"] = SEQ_NONE
            self._last, self._shown = _extended(self._last, blank), _extended(self._shown, blank)
            self._heard = _extended(self._heard, np.zeros(capacity, np.int64))
            self._belief = _extended(self._belief, np.full(capacity, self._thresholds.belief_ms))
            self._touched = _extended(self._touched, np.full(capacity, _NEVER))
            self._sampled = _extended(self._sampled, np.zeros(capacity, np.bool_))
            self._flushed = _extended(self._flushed, np.zeros(capacity, np.int64))
        self._size = size


def _extended(old: NDArray[Any], blank: NDArray[Any]) -> NDArray[Any]:
    new = blank.copy()
    new[: len(old)] = old
    return new


async def keep_shown(showing: Showing, board: Board, clock: Callable[[], int], pace: ShowingPace | None = None) -> None:
    """Show what is due until cancelled. While that fails it is tried again, and the newest is shown in the end."""
    pace = pace or ShowingPace()
    failures = 0
    while True:
        began = time.monotonic()
        flush = showing.due(clock(), pace.rows)
        if flush is not None:
            try:
                await board.show(flush)
            except (UnavailableError, RefusedError) as error:
                showing.failed(flush)
                failures += 1
                if failures == 1:
                    _log.warning("what is shown stays behind", why=str(error))
            except Exception:  # noqa: BLE001 - a defect here stops no detection and is told each time
                showing.failed(flush)
                failures += 1
                _log.exception("what is shown stays behind")
            else:
                if failures:
                    _log.info("what is shown comes up again", failures=failures)
                showing.done(flush)
                showing.flush_s, failures = time.monotonic() - began, 0
        spent_s = time.monotonic() - began
        await asyncio.sleep(max(pace.every_s - spent_s, spent_s * (1 / pace.share - 1), 0.0))
