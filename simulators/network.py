"""Between a terminal and the centre: a clock that is wrong, and a network that loses, delays, doubles and breaks.

A `Line` turns the reports of one terminal into what the broker hands out, with receive times. Everything it does to
the messages on purpose (outage, reboot) is entered in the truth log with what the centre must make of it.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from simulators.car import NEVER, Report
from simulators.truth import Case, TruthLog

#: The broker waits one and a half keep-alives (30 s) before it publishes the will of a silent terminal.
WILL_AFTER_MS = 45_000
#: What the centre makes of silence (protocol §7).
OFFLINE_MS = 120_000
OFFLINE_AFTER_WILL_MS = 30_000
LOST_CONTACT_MS = 60_000
#: A terminal's memory for what it could not send.
BACKLOG_LIMIT = 50_000
#: Ordinary delays, to be drawn from: 20 ms and an exponential tail of 40 ms.
DELAYS_MS = tuple(20 - int(40 * math.log(1.0 - (n + 0.5) / 512)) for n in range(512))
#: Around a due time the outcome of a race is not ours to say.
RACE_MS = 8_000


class Record(NamedTuple):
    """One message as the centre receives it; the first three fields order all messages of a town."""

    at_ms: int
    unit: int
    number: int
    topic: str
    payload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the network of a terminal is like: shares of messages, and how its clock is off.

    Only samples are lost: an event is sent again until it is acknowledged.
    """

    loss: float = 0.0
    slow: float = 0.0
    slow_s: float = 6.0
    duplicate: float = 0.0
    clock_sd_s: float = 0.5
    drift_ppm: float = 20.0
    broken_clocks: float = 0.0


class Outage(NamedTuple):
    """No network from `start_ms` to `end_ms`; a reboot loses what happens meanwhile, else it comes late."""

    start_ms: int
    end_ms: int
    will_ms: int
    after_live: bool
    reboot: bool
    case: Case


class Clock:
    """The terminal's clock: offset, drift, jumps when somebody sets it, or quite broken."""

    def __init__(self, rng: random.Random, quality: Quality, start_ms: int) -> None:
        self._start_ms = start_ms
        self._offset_ms = round(rng.gauss(0, quality.clock_sd_s) * 1000)
        self._drift = rng.gauss(0, quality.drift_ppm) / 1e6
        self.broken = rng.random() < quality.broken_clocks
        if self.broken:
            # no battery: counts from 1970, or from a far future
            self._offset_ms = -start_ms if rng.random() < 0.5 else 4_102_444_800_000 - start_ms

    def set(self, by_ms: int) -> None:
        self._offset_ms += by_ms

    def read(self, at_ms: int) -> int:
        return at_ms + self._offset_ms + int((at_ms - self._start_ms) * self._drift)


class Line:
    """One terminal's way to the centre. Reports must come in order of time."""

    def __init__(
        self,
        *,
        unit: int,
        topic: str,
        equipment_id: str,
        rng: random.Random,
        quality: Quality,
        truth: TruthLog,
        start_ms: int,
    ) -> None:
        self._unit = unit
        self._topics = {name: f"{topic}/{name}" for name in ("status", "event", "link")}
        self._equipment_id = equipment_id
        self._rng = rng
        self._quality = quality
        self._rough = bool(quality.loss or quality.slow or quality.duplicate)
        self._truth = truth
        self.clock = Clock(rng, quality, start_ms)
        self._seq = 0
        self._number = 0
        self._out: list[Record] = []
        self._backlog: list[tuple[str, str]] = []
        self._boundaries: deque[tuple[int, Outage]] = deque()
        self._clock_sets: deque[tuple[int, int]] = deque()
        self._down = False
        self._boundary_ms = NEVER
        self._clear_ms = start_ms
        self._last_at_ms = start_ms
        self._shut_in = (False, False)
        self._connected_ts = 0
        self._connect(start_ms + rng.randrange(1_500))

    def outage(
        self,
        start_ms: int,
        end_ms: int,
        *,
        will: bool = True,
        after_live: bool = False,
        reboot: bool = False,
        note: str = "",
    ) -> Case:
        """Cut the line; must not overlap an earlier outage."""
        case = self._truth.open(self._equipment_id, "reboot" if reboot else "outage", start_ms, note=note)
        case.may_while_open = frozenset({"offline", "lost_contact_occupied"})
        will_ms = start_ms + WILL_AFTER_MS if will and start_ms + WILL_AFTER_MS < end_ms else NEVER
        outage = Outage(start_ms, end_ms, will_ms, after_live, reboot, case)
        self._boundaries.extend((at, outage) for at in (start_ms, will_ms, end_ms) if at < NEVER)
        self._boundary_ms = self._boundaries[0][0]
        return case

    def set_clock(self, at_ms: int, by_ms: int) -> None:
        """Somebody sets the terminal's clock (protocol §1: nothing opens or closes by it)."""
        self._clock_sets.append((at_ms, by_ms))

    def post(self, at_ms: int, topic: str, payload: str) -> None:
        """A message of another sender that belongs to this equipment's story (a call)."""
        self._number += 1
        self._out.append(Record(at_ms, self._unit, self._number, topic, payload))

    def deliver(self, reports: Iterable[Report], until_ms: int) -> list[Record]:
        """What comes of these reports, all of them before `until_ms`. Receive times are never before the reports'."""
        for report in reports:
            if report.at_ms >= self._boundary_ms:
                self._pass_boundaries(report.at_ms)
            self._send(report)
        if until_ms >= self._boundary_ms:
            self._pass_boundaries(until_ms)
        out, self._out = self._out, []
        return out

    def _send(self, report: Report) -> None:
        at, channel, body, shut_in = report
        while self._clock_sets and self._clock_sets[0][0] <= at:
            self.clock.set(self._clock_sets.popleft()[1])
        ts = self.clock.read(at)
        if channel == "status":
            self._seq += 1
            payload = f'{{"ts":{ts},"seq":{self._seq},{body}}}'
        else:
            payload = f'{{"ts":{ts},{body}}}'
        topic = self._topics[channel]
        if self._down:
            if len(self._backlog) < BACKLOG_LIMIT:
                self._backlog.append((topic, payload))
            return
        if self._transmit(at, topic, payload, lossy=channel == "status") and channel == "status":
            self._shut_in = (self._shut_in[1], shut_in)

    def _transmit(self, at_ms: int, topic: str, payload: str, *, lossy: bool) -> bool:
        """Send now; whether it arrives."""
        arrives = at_ms + DELAYS_MS[int(self._rng.random() * len(DELAYS_MS))]
        if self._rough:
            return self._transmit_roughly(arrives, topic, payload, lossy=lossy)
        # one connection keeps its order, and waits for what was kept back
        arrives = max(arrives, self._clear_ms)
        self._clear_ms = arrives
        self._put(arrives, topic, payload)
        return True

    def _transmit_roughly(self, arrives: int, topic: str, payload: str, *, lossy: bool) -> bool:
        quality, rng = self._quality, self._rng
        chance = rng.random()
        if chance < quality.loss and lossy:
            return False
        if chance < quality.loss + quality.slow and not self.clock.broken:
            arrives += int(rng.uniform(0.8, quality.slow_s) * 1000)
        else:
            arrives = max(arrives, self._clear_ms)
            self._clear_ms = arrives
        self._put(arrives, topic, payload)
        if rng.random() < quality.duplicate and not self.clock.broken:
            self._put(arrives + rng.randrange(1, 3_000), topic, payload)
        return True

    def _put(self, at_ms: int, topic: str, payload: str) -> None:
        self._number += 1
        self._last_at_ms = max(self._last_at_ms, at_ms)
        self._out.append(Record(at_ms, self._unit, self._number, topic, payload))

    def _connect(self, at_ms: int) -> None:
        self._connected_ts = self.clock.read(at_ms)
        self._link(at_ms + 30, online=True)

    def _link(self, at_ms: int, *, online: bool) -> None:
        payload = f'{{"ts":{self._connected_ts},"online":{"true" if online else "false"}}}'
        self._number += 1
        self._out.append(Record(at_ms, self._unit, self._number, self._topics["link"], payload))

    def _pass_boundaries(self, until_ms: int) -> None:
        while self._boundary_ms <= until_ms:
            at, outage = self._boundaries.popleft()
            if at == outage.start_ms:
                self._down = True
            elif at == outage.will_ms:
                self._link(at, online=False)
            else:
                self._come_back(outage)
            self._boundary_ms = self._boundaries[0][0] if self._boundaries else NEVER

    def _come_back(self, outage: Outage) -> None:
        self._down = False
        back_at = outage.end_ms + 200
        if outage.reboot:
            self._seq = 0
            self._backlog.clear()
        self._judge(outage, back_at)
        self._connect(back_at)
        at = back_at + (self._rng.randint(4_000, 9_000) if outage.after_live else 50)
        for topic, payload in self._backlog:
            at += self._rng.randint(3, 12)
            self._put(at, topic, payload)
        self._backlog.clear()
        self._clear_ms = back_at if outage.after_live else at

    def _judge(self, outage: Outage, back_at: int) -> None:
        """What the centre must have raised while nothing came."""
        case, last = outage.case, self._last_at_ms
        due = min(last + OFFLINE_MS, outage.will_ms + OFFLINE_AFTER_WILL_MS)
        self._expect(case, "offline", due, back_at, certain=True)
        if any(self._shut_in):
            self._expect(case, "lost_contact_occupied", last + LOST_CONTACT_MS, back_at, certain=all(self._shut_in))
        self._truth.close(case, back_at)

    @staticmethod
    def _expect(case: Case, kind: str, due: int, back_at: int, *, certain: bool) -> None:
        if back_at > due + RACE_MS and certain:
            case.expect(kind, due)
            case.over(kind, back_at)
        elif back_at > due - RACE_MS:
            case.may.add(kind)
