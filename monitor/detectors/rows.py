"""One row at a time: its samples, events, links and actions in receive order, and what is due in between."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.backlog import Backlog
from monitor.detectors.book import Book
from monitor.detectors.entrapment import rescue_modes
from monitor.detectors.events import Events
from monitor.detectors.fleet import Fleet
from monitor.detectors.intake import Intake
from monitor.detectors.judge import Judge
from monitor.detectors.lane import NUMBERS, Lane
from monitor.detectors.order import NAN, WAIT_MS, Place, Row, applied_offset, rows_of
from monitor.detectors.rules import ALARM, UNINTENDED
from monitor.domain.commit import ActionRecord, EventRecord, LinkRecord
from monitor.domain.fault import FaultKind
from monitor.domain.reading import CLOCK_SET, HISTORY

#: Below this many rows a wave is judged row by row: a column operation costs as much for 1 row as for 30.
NARROW = 24


class Rows:
    """Judges single rows; a lane it is given is the caller's to store."""

    def __init__(
        self, fleet: Fleet, book: Book, judge: Judge, names: Mapping[int, str], keepers: Mapping[int, str]
    ) -> None:
        self._fleet = fleet
        self._judge = judge
        self._names = names
        self._keepers = keepers
        self.backlog = Backlog(fleet, book, names)
        self.intake = Intake(judge, self.backlog)
        self.events = Events(book)

    def take_inputs(
        self,
        row: int,
        readings: NDArray[np.void],
        keep: NDArray[np.bool_],
        places: NDArray[np.intp],
        order: NDArray[np.int32],
        items: list[tuple[int, Any]],
        events: list[EventRecord],
    ) -> None:
        """Samples at `places` and the other `items`, in receive order; `keep` is cleared for what came before."""
        lane = self._fleet.load_one(row)
        inputs: list[tuple[int, int, Any]] = [(o, -1, item) for o, item in items]
        samples = rows_of(readings[places])
        inputs += [(int(order[p]), int(p), s) for p, s in zip(places, samples, strict=True)]
        inputs.sort(key=lambda entry: entry[0])
        for _, at_place, item in inputs:
            if isinstance(item, Row):
                self.take_sample(row, lane, item, at_place, readings, keep)
            else:
                self._other(row, lane, item, events)
        self._fleet.store_one(row, lane)

    def take_sample(
        self, row: int, lane: Lane, sample: Row, place: int, readings: NDArray[np.void], keep: NDArray[np.bool_]
    ) -> None:
        """One received sample; its corrected time, HISTORY and CLOCK_SET are written into `readings[place]`."""
        self.pass_time(row, lane, sample.recv)
        where = self.intake.offer(row, lane, sample)
        if where is Place.SAME:
            keep[place] = False
            return
        time_ms = self.time_of(lane, sample.ts)
        readings["time_ms"][place] = time_ms
        lane.heard = max(float(sample.recv), lane.heard if lane.heard == lane.heard else 0.0)
        made = sample.ts + lane.jump + lane.offset
        self._touch(row, lane, sample.recv, made)
        if lane.alarm_at >= sample.ts + lane.jump and sample.recv - made <= WAIT_MS:
            self._alarm(row, lane, sample.recv, lane.alarm_at)  # the button has overtaken this sample
        if where is Place.CLOCK_SET:
            readings["flags"][place] |= CLOCK_SET
        if where is Place.EARLIER:
            readings["flags"][place] |= HISTORY
            self.backlog.add(row, sample)
            self._fleet.due[row] = self._due(row, lane, sample.recv)

    def _other(self, row: int, lane: Lane, item: Any, events: list[EventRecord]) -> None:
        self.pass_time(row, lane, item.received_ms)
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
            self._fleet.due[row] = self._due(row, lane, link.received_ms)

    def _event(self, row: int, lane: Lane, event: EventRecord, events: list[EventRecord]) -> None:
        if self.events.known(event):
            return
        self._touch(row, lane, event.received_ms)
        dev = event.time_ms + lane.jump
        time_ms = self.time_of(lane, event.time_ms)
        events.append(replace(event, time_ms=time_ms))
        th = self._fleet.thresholds(lane.limits_set)
        stale = bool(event.received_ms - dev - lane.offset > th.belief_ms)
        self.events.judge(event, self._names[row], since_ms=time_ms, stale=stale)
        if event.kind == FaultKind.CAR_ALARM_BUTTON and event.state == "raised" and not event.test:
            self._alarm(row, lane, event.received_ms, dev)
        self._fleet.due[row] = self._due(row, lane, event.received_ms)

    def _alarm(self, row: int, lane: Lane, now: int, dev: float) -> None:
        """The button in a stopped car with the door closed is an entrapment at once (protocol §7).

        What counts is the car's state when it was pressed: known now, by the next sample, or from history.
        """
        th = self._fleet.thresholds(lane.limits_set)
        newest: Any = self.intake.newest(row) or lane
        received = newest.recv if isinstance(newest, Row) else lane.last_recv
        believed = now - received <= th.belief_ms or bool(lane.on_changes and lane.known)
        shut_in = newest.mv == 0 and newest.closed == 1 and not rescue_modes(newest)
        # While samples that wait say shut in, the last judged one may still say that the door is open.
        at_once = shut_in and not (lane.closed == 0 and lane.zone == 1)
        if isinstance(newest, Row):
            at_once = at_once and newest.ts + lane.jump <= dev
        if lane.known and dev < lane.dev and not (shut_in and lane.shut_since <= dev):
            self.backlog.add_alarm(row, dev, now)
        elif believed and at_once:
            lane.alarm, lane.since[ALARM] = True, min(float(dev), lane.dev + (now - lane.last_recv))
            self._judge.instant(row, lane, float(now))
        elif not lane.known or dev >= lane.dev:
            lane.alarm_at = float(dev)

    def _action(self, row: int, lane: Lane, action: ActionRecord) -> None:
        """`repair` of the firm that keeps the lift resets unintended car movement (protocol §7)."""
        if action.action != "repair" or self._keepers.get(row, action.firm_id) != action.firm_id:
            return
        if self.events.known_action(row, action.key):
            return
        told = list(lane.told)
        lane.active[UNINTENDED] = lane.told[UNINTENDED] = False
        lane.walked = False
        self._judge.tell(row, lane, told, action.received_ms)

    def _touch(self, row: int, lane: Lane, now: int, made: float | None = None) -> None:
        """A message came: silence is over. One `made` before the link was lost and overtaken by that says nothing."""
        lane.contact = max(float(now), lane.contact if lane.contact == lane.contact else 0.0)
        if made is None or not (made < lane.link_lost and now - lane.link_lost <= WAIT_MS):
            lane.link_lost = NAN
        if lane.active[-1] or lane.active[-2]:
            self._judge.silence(row, lane, float(now))
        self._fleet.due[row] = self._due(row, lane, now)

    def pass_time(self, row: int, lane: Lane, now: int) -> None:
        """Everything due for the row before `now`."""
        while self._fleet.due[row] < now:
            self._instant(row, lane, math.ceil(self._fleet.due[row]))

    def _instant(self, row: int, lane: Lane, at: int) -> None:
        waits, searched = self.intake.due(row), self.backlog.due(row)
        if searched is not None and searched <= at:
            self.backlog.search(row, lane, at)
        self.events.tell_due(row, self._names[row], at)
        if waits is None:
            self._judge.instant(row, lane, float(at))
        elif waits <= at:
            self.intake.release(row, lane, at)
        else:
            self._judge.silence(row, lane, float(at))
        self._fleet.due[row] = self._due(row, lane, at)

    def _due(self, row: int, lane: Lane, now: int) -> float:
        """The row's next instant: waiting samples stop the rules' own delays, a sample may be before them."""
        waits = self.intake.due(row)
        due = self._judge.due(lane, now) if waits is None else min(waits, self._judge.silence_due(lane))
        others = [d for d in (self.events.due(row), self.backlog.due(row)) if d is not None]
        self._fleet.special[row] = waits is not None or bool(others)
        return float(min([due, *others]))

    def let_pass(self, now: int) -> None:
        """Everything due for any row before `now`."""
        while True:
            rows = np.flatnonzero(self._fleet.due[: self._fleet.size] < now)
            if not len(rows):
                return
            special = self._fleet.special[rows] | (len(rows) < NARROW)
            for row in rows[special].tolist():
                lane = self._fleet.load_one(row)
                self.pass_time(row, lane, now)
                self._fleet.store_one(row, lane)
            rows = rows[~special]
            if len(rows):
                self._judge.instants(rows, self._fleet.due[rows])

    def time_of(self, lane: Lane, ts: int) -> int:
        """A device's time on the receiver's clock, as far as its offset is known."""
        return int(ts + lane.jump + applied_offset(lane.offset, lane.offset_since, lane.last_recv, NUMBERS))

    def dump(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"events": self.events.dump(), "intake": self.intake.dump(), "backlog": self.backlog.dump()}

    def restore(self, plain: Mapping[str, Any], gaps: tuple[bytes, bytes]) -> None:
        """Take back what `dump` and the backlog's `columns` gave."""
        self.events.restore(plain["events"])
        self.intake.restore(plain["intake"])
        self.backlog.restore(plain["backlog"], gaps)
        for row in {*self.intake.waiting, *self.events.pending, *self.backlog.held}:
            self._fleet.special[row] = True
