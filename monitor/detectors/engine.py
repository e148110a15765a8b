"""The engine: batches of decoded messages in, changes of faults out. Deterministic, no clock, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.book import Book
from monitor.detectors.fleet import Fleet
from monitor.detectors.judge import INF, Judge
from monitor.detectors.lane import Sample
from monitor.detectors.order import IDLE_MS, JUMP_MS, NAN, came_early, effective_ts, rows_of
from monitor.detectors.rows import NARROW, Rows
from monitor.detectors.thresholds import Thresholds
from monitor.domain.commit import ActionRecord, EventRecord, LinkRecord, Measurement, RideRecord, no_readings
from monitor.domain.equipment import Equipment
from monitor.domain.fault import FaultChange, FaultKind
from monitor.domain.reading import FLOOR_UNKNOWN

#: Format of a dump.
FORMAT = 1


class Batch(Protocol):
    """What the engine reads of a decoded batch; `int`s are places in receive order."""

    @property
    def samples(self) -> NDArray[np.void]: ...
    @property
    def sample_order(self) -> NDArray[np.int32]: ...
    @property
    def events(self) -> Sequence[tuple[int, EventRecord]]: ...
    @property
    def links(self) -> Sequence[tuple[int, LinkRecord]]: ...
    @property
    def measurements(self) -> Sequence[tuple[int, Measurement]]: ...
    @property
    def rides(self) -> Sequence[tuple[int, RideRecord]]: ...
    @property
    def actions(self) -> Sequence[tuple[int, ActionRecord]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a batch brought. `readings` are new as far as the engine knows, in corrected time; HISTORY is flagged."""

    faults: tuple[FaultChange, ...]
    readings: NDArray[np.void]
    events: tuple[EventRecord, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    rides: tuple[RideRecord, ...] = ()


class Engine:
    """Judges a fleet. All instants are ms since 1970 UTC; `now_ms` never goes back."""

    def __init__(self, equipment: Iterable[Equipment] = (), thresholds: Thresholds | None = None) -> None:
        self.fleet = Fleet(thresholds or Thresholds())
        self.book = Book()
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._keepers: dict[int, str] = {}
        self._judge = Judge(self.fleet, self.book, self._names)
        self._rows = Rows(self.fleet, self.book, self._judge, self._names, self._keepers)
        self.register(equipment)

    def register(self, equipment: Iterable[Equipment]) -> None:
        """Take in or change equipment; what is running goes on."""
        equipment = tuple(equipment)
        self.fleet.grow(max((one.number for one in equipment), default=-1) + 1)
        for one in equipment:
            self.fleet.register(one)
            self._names[one.number] = one.equipment_id
            self._numbers[one.equipment_id] = one.number
            if one.firm_id:
                self._keepers[one.number] = one.firm_id

    # -- one batch -----------------------------------------------------------------------------------------------

    def process(self, batch: Batch, now_ms: int) -> Outcome:
        """Judge a batch received up to `now_ms`, and everything else that is due before `now_ms`."""
        readings = batch.samples.copy()
        keep = np.ones(len(readings), np.bool_)
        others: dict[int, list[tuple[int, Any]]] = {}
        actions = [(order, a) for order, a in batch.actions if a.equipment_id in self._numbers]
        for part in (batch.events, batch.links, batch.measurements, batch.rides):
            for order, item in part:
                others.setdefault(item.number, []).append((order, item))
        for order, action in actions:
            others.setdefault(self._numbers[action.equipment_id or ""], []).append((order, action))
        events: list[EventRecord] = []
        if len(readings):
            for row, places in self._waves(readings, keep, set(others)).items():
                self._rows.take_inputs(row, readings, keep, places, batch.sample_order, others.pop(row, []), events)
        for row, items in others.items():
            self.fleet.grow(row + 1)
            self._rows.take_inputs(row, readings, keep, np.empty(0, np.intp), batch.sample_order, items, events)
        self._rows.let_pass(now_ms)
        return Outcome(
            faults=self.book.take(),
            readings=readings[keep],
            events=tuple(events),
            measurements=tuple(self._corrected(m) for _, m in batch.measurements),
            rides=tuple(self._corrected(r) for _, r in batch.rides),
        )

    def tick(self, now_ms: int) -> Outcome:
        """Judge everything that is due before `now_ms`."""
        self._rows.let_pass(now_ms)
        return Outcome(faults=self.book.take(), readings=no_readings())

    def next_due_ms(self) -> int | None:
        """When something is due next without any message."""
        due = self.fleet.due[: self.fleet.size]
        soonest = float(due.min()) if len(due) else INF
        return None if soonest == INF else int(soonest)

    def resume(self, now_ms: int) -> None:
        """The centre was away: silence counts from now on, and what is due waits until the first messages are in."""
        known = self.fleet.column("contact") == self.fleet.column("contact")
        for name, kind in (("contact", FaultKind.OFFLINE), ("heard", FaultKind.LOST_CONTACT_OCCUPIED)):
            since = self.fleet.column(name)
            counted = (since == since) & (self.fleet.silent(kind) ^ True)  # what was open before stays open
            since[counted] = np.maximum(since[counted], now_ms)
        self.fleet.column("link_lost")[known & (self.fleet.silent(FaultKind.OFFLINE) ^ True)] = NAN
        grace = now_ms + self.fleet.thresholds(0.0).belief_ms
        due = self.fleet.due[: self.fleet.size]
        due[known] = np.maximum(np.minimum(due[known], grace), grace)

    # -- columns -------------------------------------------------------------------------------------------------

    def _waves(
        self, readings: NDArray[np.void], keep: NDArray[np.bool_], touched: set[int]
    ) -> dict[int, NDArray[np.intp]]:
        """Take the first sample of each row together, then the second of each, and so on while many rows have one.

        Samples that plainly follow the last of their row are judged as columns, others one by one. Returns what is
        left, as places by row: rows in `touched` (they have other inputs too) and the tails of long rows.
        """
        numbers = readings["number"].astype(np.intp)
        self.fleet.grow(int(numbers.max()) + 1)
        by_row = np.argsort(numbers, kind="stable")
        rows = numbers[by_row]
        starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
        counts = np.diff(np.r_[starts, len(rows)])
        rank = np.arange(len(rows)) - np.repeat(starts, counts)
        if touched:
            rank[np.isin(rows, np.fromiter(touched, np.intp, len(touched)))] = len(rows)
        by_wave = np.argsort(rank, kind="stable")
        edge = 0
        for width in np.bincount(rank[rank < len(rows)]).tolist():
            if width < NARROW:
                break
            wave = by_wave[edge : edge + width]
            self._wave(readings, keep, by_row[wave], rows[wave])
            edge += width
        left = np.sort(by_wave[edge:])
        cuts = np.flatnonzero(np.diff(rows[left])) + 1
        return {int(rows[part[0]]): by_row[part] for part in np.split(left, cuts) if len(part)}

    def _wave(
        self, readings: NDArray[np.void], keep: NDArray[np.bool_], places: NDArray[np.intp], rows: NDArray[np.intp]
    ) -> None:
        seq, ts = readings["seq"][places], effective_ts(readings)[places]
        apart = ts - self.fleet.column("last_ts")[rows]
        plain = (seq == self.fleet.column("last_seq")[rows] + 1) & (seq > 0) & (apart >= 0)
        plain &= (apart <= IDLE_MS + JUMP_MS) & (self.fleet.special[rows] ^ True)
        offset, since, jump = (self.fleet.column(name)[rows] for name in ("offset", "offset_since", "jump"))
        plain &= came_early(offset, since, readings["received_ms"][places], ts + jump) ^ True
        for place, row in zip(places[~plain].tolist(), rows[~plain].tolist(), strict=True):
            lane = self.fleet.load_one(row)
            self._rows.take_sample(row, lane, rows_of(readings[place : place + 1])[0], place, readings, keep)
            self.fleet.store_one(row, lane)
        if plain.any():
            self._columns(readings, places[plain], rows[plain])

    def _columns(self, readings: NDArray[np.void], places: NDArray[np.intp], rows: NDArray[np.intp]) -> None:
        x = _columns(readings[places])
        while True:
            due = self.fleet.due[rows]
            late = due < x.now
            if not late.any():
                break
            self._judge.instants(rows[late], due[late])
        self.fleet.column("link_lost")[rows] = NAN
        times = self._judge.samples(rows, x)
        self.fleet.remember(rows, readings["seq"][places], x.raw)
        readings["time_ms"][places] = times

    def _corrected(self, item: Any) -> Any:
        if item.number >= self.fleet.size:
            return item
        return replace(item, time_ms=self._rows.time_of(self.fleet.load_one(item.number), item.time_ms))

    # -- state ---------------------------------------------------------------------------------------------------

    def dump(self) -> tuple[bytes, ...]:
        """The whole state for a checkpoint; `restore` in a new engine goes on exactly."""
        plain = {"format": FORMAT, "book": self.book.dump(), "rows": self._rows.dump()}
        return (json.dumps(plain).encode(), *self.fleet.dump(), *self._rows.backlog.columns())

    def restore(self, chunks: Sequence[bytes], equipment: Iterable[Equipment] = ()) -> None:
        """Take back what `dump` gave, then what the registry says now.

        Raises:
            ValueError: the dump has another format.
        """
        plain = json.loads(chunks[0])
        if plain["format"] != FORMAT:
            raise ValueError(f"state format {plain['format']}, expected {FORMAT}")
        self.fleet.restore(*chunks[1:6])
        self.book.restore(plain["book"])
        self._rows.restore(plain["rows"], (chunks[6], chunks[7]))
        self.register(equipment)


def _columns(readings: NDArray[np.void]) -> Sample:
    x = Sample()
    floor = readings["car_position"].astype(np.float64)
    floor[readings["car_position"] == FLOOR_UNKNOWN] = NAN
    x.floor = floor
    x.recv = x.now = readings["received_ms"].astype(np.float64)
    x.ts = effective_ts(readings).astype(np.float64)
    x.seq, x.raw = readings["seq"].astype(np.float64), readings["ts"]
    x.mode, x.mv, x.direction = readings["service_mode"], readings["car_status"], readings["car_direction"]
    x.zone, x.closed, x.passenger = readings["door_zone"], readings["door_closed"], readings["passenger"]
    x.speed, x.pos = readings["speed_mps"].astype(np.float64), readings["position_m"].astype(np.float64)
    return x
