"""The engine: batches of decoded messages in, changes of faults out. Deterministic, no clock, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.backlog import Backlog
from monitor.detectors.book import Book
from monitor.detectors.entrapment import rescue_modes
from monitor.detectors.events import ALARM_BUTTON, Events
from monitor.detectors.fleet import Fleet
from monitor.detectors.intake import Intake
from monitor.detectors.judge import INF, Judge
from monitor.detectors.lane import NUMBERS, Lane, Sample
from monitor.detectors.order import IDLE_MS, JUMP_MS, Place, Row, applied_offset, effective_ts, rows_of
from monitor.detectors.rules import UNINTENDED
from monitor.detectors.thresholds import Thresholds
from monitor.domain.commit import ActionRecord, EventRecord, LinkRecord, Measurement, RideRecord, no_readings
from monitor.domain.equipment import Equipment
from monitor.domain.fault import FaultChange
from monitor.domain.reading import FLOOR_UNKNOWN, HISTORY

#: Below this many rows a wave is judged row by row: a column operation costs as much for 1 row as for 30.
NARROW = 24
#: Rows in one chunk of a dump.
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
        self._backlog = Backlog(self.fleet, self.book, self._names)
        self._intake = Intake(self._judge, self._backlog)
        self._events = Events(self.book)
        self.register(equipment)

    def register(self, equipment: Iterable[Equipment]) -> None:
        """Take in or change equipment; what is running goes on."""
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
                self._one_by_one(row, readings, keep, places, batch.sample_order, others.pop(row, []), events)
        for row, items in others.items():
            self._one_by_one(row, readings, keep, np.empty(0, np.intp), batch.sample_order, items, events)
        self._let_pass(now_ms)
        return Outcome(
            faults=self.book.take(),
            readings=readings[keep],
            events=tuple(events),
            measurements=tuple(self._corrected(m) for _, m in batch.measurements),
            rides=tuple(self._corrected(r) for _, r in batch.rides),
        )

    def tick(self, now_ms: int) -> Outcome:
        """Judge everything that is due before `now_ms`."""
        self._let_pass(now_ms)
        return Outcome(faults=self.book.take(), readings=no_readings())

    def next_due_ms(self) -> int | None:
        """When something is due next without any message."""
        due = self.fleet.due[: self.fleet.size]
        soonest = float(due.min()) if len(due) else INF
        return None if soonest == INF else int(soonest)

    def resume(self, now_ms: int) -> None:
        """The centre was away: silence counts from now on, and what is due waits until the first messages are in."""
        contact = self.fleet.column("contact")
        heard = contact == contact
        contact[heard] = np.maximum(contact[heard], now_ms)
        grace = now_ms + self.fleet.thresholds(0.0).belief_ms
        due = self.fleet.due[: self.fleet.size]
        due[heard] = np.maximum(np.minimum(due[heard], grace), grace)

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
        for place, row in zip(places[~plain].tolist(), rows[~plain].tolist(), strict=True):
            lane = self.fleet.load_one(row)
            self._sample(row, lane, rows_of(readings[place : place + 1])[0], place, readings, keep)
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
        times, _ = self._judge.samples(rows, x)
        readings["time_ms"][places] = times

    # -- one row, one input after the other ----------------------------------------------------------------------

    def _one_by_one(
        self,
        row: int,
        readings: NDArray[np.void],
        keep: NDArray[np.bool_],
        places: NDArray[np.intp],
        order: NDArray[np.int32],
        items: list[tuple[int, Any]],
        events: list[EventRecord],
    ) -> None:
        self.fleet.grow(row + 1)
        lane = self.fleet.load_one(row)
        inputs: list[tuple[int, int, Any]] = [(o, -1, item) for o, item in items]
        samples = rows_of(readings[places])
        inputs += [(int(order[p]), int(p), s) for p, s in zip(places, samples, strict=True)]
        inputs.sort(key=lambda entry: entry[0])
        for _, at_place, item in inputs:
            if isinstance(item, Row):
                self._sample(row, lane, item, at_place, readings, keep)
            else:
                self._other(row, lane, item, events)
        self.fleet.store_one(row, lane)

    def _sample(
        self, row: int, lane: Lane, sample: Row, place: int, readings: NDArray[np.void], keep: NDArray[np.bool_]
    ) -> None:
        self._pass_one(row, lane, sample.recv)
        where = self._intake.offer(row, lane, sample)
        if where is Place.SAME:
            keep[place] = False
            return
        time_ms = self._time(lane, sample.ts)
        readings["time_ms"][place] = time_ms
        self._touch(row, lane, sample.recv)
        if where is Place.EARLIER:
            readings["flags"][place] |= HISTORY
            self._backlog.add(row, sample)
            self.fleet.due[row] = self._due(row, lane, sample.recv)

    def _other(self, row: int, lane: Lane, item: Any, events: list[EventRecord]) -> None:
        self._pass_one(row, lane, item.received_ms)
        if isinstance(item, LinkRecord):
            self._link(row, lane, item)
        elif isinstance(item, EventRecord):
            self._event(row, lane, item, events)
        elif isinstance(item, ActionRecord):
            self._action(row, lane, item)
        else:
            self._touch(row, lane, item.received_ms)

    def _link(self, row: int, lane: Lane, link: LinkRecord) -> None:
        if link.retained:
            return  # tells the state, starts no timer (protocol §1)
        if link.online:
            self._touch(row, lane, link.received_ms)
        elif lane.link_lost != lane.link_lost:
            lane.link_lost = float(link.received_ms)
            lane.contact = lane.contact if lane.contact == lane.contact else float(link.received_ms)
            self.fleet.due[row] = self._due(row, lane, link.received_ms)

    def _event(self, row: int, lane: Lane, event: EventRecord, events: list[EventRecord]) -> None:
        if self._events.known(event):
            return
        self._touch(row, lane, event.received_ms)
        dev = event.time_ms + lane.jump
        time_ms = self._time(lane, event.time_ms)
        events.append(replace(event, time_ms=time_ms))
        th = self.fleet.thresholds(lane.limits_set)
        stale = bool(event.received_ms - dev - lane.offset > th.belief_ms)
        self._events.judge(event, self._names[row], since_ms=time_ms, stale=stale)
        if event.code == ALARM_BUTTON and event.state == "raised" and not event.test:
            self._alarm(row, lane, event.received_ms, dev, th)
        self.fleet.due[row] = self._due(row, lane, event.received_ms)

    def _alarm(self, row: int, lane: Lane, now: int, dev: float, th: Any) -> None:
        """The button in a stopped car with the door closed is an entrapment at once (protocol §7)."""
        newest: Any = self._intake.newest(row) or lane
        received = newest.recv if isinstance(newest, Row) else lane.last_recv
        if not (now - received <= th.belief_ms or (lane.on_changes and lane.known)):
            lane.alarm_at = float(dev)
        elif newest.mv == 0 and newest.closed == 1 and not rescue_modes(newest):
            lane.alarm = True
            self._judge.instant(row, lane, float(now))

    def _action(self, row: int, lane: Lane, action: ActionRecord) -> None:
        """`repair` of the firm that keeps the lift resets unintended car movement (protocol §7)."""
        if action.action != "repair" or self._keepers.get(row, action.firm_id) != action.firm_id:
            return
        told = list(lane.told)
        lane.active[UNINTENDED] = lane.told[UNINTENDED] = False
        lane.walked = False
        self._judge.tell(row, lane, told, action.received_ms)

    def _touch(self, row: int, lane: Lane, now: int) -> None:
        """A message came: silence is over."""
        lane.contact, lane.link_lost = max(float(now), lane.contact if lane.contact == lane.contact else 0.0), NAN
        if lane.active[-1] or lane.active[-2]:
            self._judge.silence(row, lane, float(now))
        self.fleet.due[row] = self._due(row, lane, now)

    # -- time ----------------------------------------------------------------------------------------------------

    def _pass_one(self, row: int, lane: Lane, now: int) -> None:
        """Everything due for the row before `now`."""
        while self.fleet.due[row] < now:
            self._instant(row, lane, int(self.fleet.due[row]))

    def _instant(self, row: int, lane: Lane, at: int) -> None:
        waits, searched = self._intake.due(row), self._backlog.due(row)
        if searched is not None and searched <= at:
            self._backlog.search(row, lane, at)
        self._events.tell_due(row, self._names[row], at)
        if waits is None:
            self._judge.instant(row, lane, float(at))
        elif waits <= at:
            self._intake.release(row, lane, at)
        else:
            self._judge.silence(row, lane, float(at))
        self.fleet.due[row] = self._due(row, lane, at)

    def _due(self, row: int, lane: Lane, now: int) -> float:
        """The row's next instant: waiting samples stop the rules' own delays, a sample may be before them."""
        waits = self._intake.due(row)
        due = self._judge.due(lane, now) if waits is None else min(waits, self._judge.silence_due(lane))
        others = [d for d in (self._events.due(row), self._backlog.due(row)) if d is not None]
        self.fleet.special[row] = waits is not None or bool(others)
        return float(min([due, *others]))

    def _let_pass(self, now: int) -> None:
        while True:
            rows = np.flatnonzero(self.fleet.due[: self.fleet.size] < now)
            if not len(rows):
                return
            special = self.fleet.special[rows] | (len(rows) < NARROW)
            for row in rows[special].tolist():
                lane = self.fleet.load_one(row)
                self._pass_one(row, lane, now)
                self.fleet.store_one(row, lane)
            rows = rows[~special]
            if len(rows):
                self._judge.instants(rows, self.fleet.due[rows])

    def _time(self, lane: Lane, ts: int) -> int:
        return int(ts + lane.jump + applied_offset(lane.offset, lane.offset_since, lane.last_recv, NUMBERS))

    def _corrected(self, item: Any) -> Any:
        if item.number >= self.fleet.size:
            return item
        return replace(item, time_ms=self._time(self.fleet.load_one(item.number), item.time_ms))

    # -- state ---------------------------------------------------------------------------------------------------

    def dump(self) -> tuple[bytes, ...]:
        """The whole state for a checkpoint; `restore` in a new engine goes on exactly."""
        plain = {
            "format": FORMAT,
            "book": self.book.dump(),
            "events": self._events.dump(),
            "intake": self._intake.dump(),
            "backlog": self._backlog.dump(),
        }
        return (json.dumps(plain).encode(), *self.fleet.dump())

    def restore(self, chunks: Sequence[bytes], equipment: Iterable[Equipment] = ()) -> None:
        """Take back what `dump` gave, then what the registry says now.

        Raises:
            ValueError: the dump has another format.
        """
        plain = json.loads(chunks[0])
        if plain["format"] != FORMAT:
            raise ValueError(f"state format {plain['format']}, expected {FORMAT}")
        self.fleet.restore(*chunks[1:])
        self.book.restore(plain["book"])
        self._events.restore(plain["events"])
        self._intake.restore(plain["intake"])
        self._backlog.restore(plain["backlog"])
        for row in {*self._intake.waiting, *self._events.pending, *self._backlog.held}:
            self.fleet.special[row] = True
        self.register(equipment)


NAN = float("nan")


def _columns(readings: NDArray[np.void]) -> Sample:
    x = Sample()
    floor = readings["car_position"].astype(np.float64)
    floor[readings["car_position"] == FLOOR_UNKNOWN] = NAN
    x.floor = floor
    x.recv = x.now = readings["received_ms"].astype(np.float64)
    x.ts = effective_ts(readings).astype(np.float64)
    x.seq = readings["seq"].astype(np.float64)
    x.mode, x.mv, x.direction = readings["service_mode"], readings["car_status"], readings["car_direction"]
    x.zone, x.closed, x.passenger = readings["door_zone"], readings["door_closed"], readings["passenger"]
    x.speed, x.pos = readings["speed_mps"].astype(np.float64), readings["position_m"].astype(np.float64)
    return x
