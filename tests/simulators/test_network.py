"""A terminal's line: what is lost, late or doubled, clocks that are wrong, outages, reboots, and what must be told."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from simulators.car import Report
from simulators.network import WILL_AFTER_MS, Line, Quality, Record
from simulators.truth import TruthLog

START = 1_800_000_000_000
TOPIC = "se/v1/330199/lift/L1"
RIGHT = Quality(clock_sd_s=0.0, drift_ppm=0.0)


class Wire:
    """A line fed with one report every ten seconds."""

    def __init__(self, quality: Quality = RIGHT, seed: int = 1, *, shut_in: bool = False) -> None:
        self.truth = TruthLog()
        self.line = Line(
            unit=0,
            topic=TOPIC,
            equipment_id="L1",
            rng=random.Random(seed),
            quality=quality,
            truth=self.truth,
            start_ms=START,
        )
        self._shut_in = shut_in

    def hear(self, seconds: int, channel: str = "status") -> list[Record]:
        """Everything received in that time, in order of receipt."""
        heard: list[Record] = []
        for at in range(START, START + seconds * 1000, 10_000):
            heard += self.line.deliver([Report(at, channel, f'"n":{(at - START) // 1000}', self._shut_in)], at + 10_000)
        return sorted(heard)


def statuses(heard: list[Record]) -> list[tuple[int, dict[str, Any]]]:
    return [(r.at_ms, json.loads(r.payload)) for r in heard if r.topic == f"{TOPIC}/status"]


def links(heard: list[Record]) -> list[tuple[int, dict[str, Any]]]:
    return [(r.at_ms, json.loads(r.payload)) for r in heard if r.topic == f"{TOPIC}/link"]


def test_a_good_line_delivers_everything_once_in_order_within_half_a_second() -> None:
    samples = statuses(Wire().hear(6_000))
    assert [s["seq"] for _, s in samples] == list(range(1, 601))
    assert all(20 <= at - s["ts"] < 500 for at, s in samples)


def test_a_terminal_says_that_it_is_online_first() -> None:
    assert [link["online"] for _, link in links(Wire().hear(600))] == [True]


def test_shares_of_samples_are_lost_late_and_double() -> None:
    quality = Quality(loss=0.02, slow=0.05, slow_s=6.0, duplicate=0.03, clock_sd_s=0.0, drift_ppm=0.0)
    samples = statuses(Wire(quality).hear(100_000))
    copies = Counter(s["seq"] for _, s in samples)
    assert 10_000 - len(copies) == pytest.approx(200, abs=60)
    assert sum(n == 2 for n in copies.values()) == pytest.approx(300, abs=70)
    late = sum(at - s["ts"] > 800 for at, s in samples)
    assert late > 400
    assert max(at - s["ts"] for at, s in samples) < 10_000


def test_events_are_not_lost() -> None:
    heard = Wire(Quality(loss=0.2)).hear(20_000, "event")
    assert len({r.payload for r in heard if r.topic == f"{TOPIC}/event"}) == 2_000


def test_late_samples_are_overtaken() -> None:
    wire = Wire(Quality(slow=0.3, slow_s=30.0, clock_sd_s=0.0, drift_ppm=0.0))
    order = [s["seq"] for _, s in statuses(wire.hear(20_000))]
    assert order != sorted(order)
    assert sorted(order) == list(range(1, 2_001))


def test_clocks_are_off_and_drift() -> None:
    quality = Quality(clock_sd_s=60.0, drift_ppm=50.0)
    offsets = []
    for seed in range(40):
        samples = statuses(Wire(quality, seed).hear(10_000))
        first, last = (s["ts"] - (START + s["n"] * 1000) for _, s in (samples[0], samples[-1]))
        offsets.append(first)
        assert abs(last - first) < 5 * 50e-6 * 10_000_000
    assert 20_000 < (sum(o * o for o in offsets) / len(offsets)) ** 0.5 < 120_000


def test_a_broken_clock_is_of_1970_or_of_2100() -> None:
    years = set()
    for seed in range(20):
        samples = statuses(Wire(Quality(broken_clocks=1.0), seed).hear(600))
        years.add(1970 + samples[0][1]["ts"] // 31_557_600_000)
        assert all(9_990 <= b["ts"] - a["ts"] <= 10_010 for (_, a), (_, b) in pairwise(samples))
    assert years == {1970, 2100} or years == {1970, 2099}


def test_a_clock_that_is_set_jumps_while_seq_counts_on() -> None:
    wire = Wire()
    wire.line.set_clock(START + 95_000, -300_000)
    samples = [s for _, s in statuses(wire.hear(200))]
    assert [s["seq"] for s in samples] == list(range(1, 21))
    steps = [b["ts"] - a["ts"] for a, b in pairwise(samples)]
    assert steps == [10_000] * 9 + [10_000 - 300_000] + [10_000] * 9


def test_what_was_seen_in_an_outage_comes_afterwards_in_order() -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 305_000)
    samples = statuses(wire.hear(600))
    assert [s["seq"] for _, s in samples] == list(range(1, 61))
    assert not [at for at, _ in samples if START + 95_500 < at < START + 305_000]
    assert sum(START + 305_000 <= at < START + 307_000 for at, _ in samples) == 21


def test_a_backlog_may_come_after_what_is_new() -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 305_000, after_live=True)
    order = [s["seq"] for _, s in statuses(wire.hear(600))]
    assert sorted(order) == list(range(1, 61))
    assert order.index(32) < order.index(11) < order.index(31)


def test_the_will_tells_of_an_outage_before_the_line_is_back() -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 305_000, will=True)
    told = links(wire.hear(600))
    assert [link["online"] for _, link in told] == [True, False, True]
    assert told[1][0] == START + 95_000 + WILL_AFTER_MS
    assert told[1][1]["ts"] < START + 5_000, "a will was written when the terminal connected"
    assert START + 305_000 <= told[2][0] < START + 306_000


def test_a_short_outage_leaves_no_will() -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 95_000 + WILL_AFTER_MS - 5_000, will=True)
    assert [link["online"] for _, link in links(wire.hear(600))] == [True, True]


def test_a_reboot_loses_what_happens_and_counts_from_one() -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 135_000, reboot=True)
    samples = statuses(wire.hear(300))
    assert [s["seq"] for _, s in samples] == [*range(1, 11), *range(1, 17)]
    assert [s["n"] for _, s in samples] == [*range(0, 100, 10), *range(140, 300, 10)]


def test_records_are_never_received_before_they_can_be_known() -> None:
    """The world hands out what is due: a line must not send into the past."""
    wire = Wire(Quality(loss=0.01, slow=0.1, duplicate=0.1))
    wire.line.outage(START + 95_000, START + 305_000)
    wire.line.outage(START + 500_000, START + 540_000, reboot=True)
    for at in range(START, START + 900_000, 10_000):
        heard = wire.line.deliver([Report(at, "status", '"n":1')], at + 10_000)
        assert all(record.at_ms >= at for record in heard)


@pytest.mark.parametrize(
    ("seconds", "will", "must"),
    [(30, True, []), (60, True, []), (200, True, ["offline"]), (200, False, ["offline"]), (115, False, [])],
)
def test_silence_is_entered_with_what_must_be_raised(seconds: int, will: bool, must: list[str]) -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 95_000 + seconds * 1000, will=will)
    wire.hear(600)
    (case,) = wire.truth.cases
    assert [m.kind for m in case.must] == must
    if must and will:
        # 30 s after the will
        assert case.must[0].due == START + 95_000 + WILL_AFTER_MS + 30_000
    elif must:
        assert case.must[0].due == pytest.approx(START + 90_000 + 120_000, abs=1_000)


def test_silence_with_somebody_inside_must_be_told_after_a_minute() -> None:
    wire = Wire(shut_in=True)
    wire.line.outage(START + 95_000, START + 300_000, will=False)
    wire.hear(600)
    due = {m.kind: m.due for m in wire.truth.cases[0].must}
    assert due["lost_contact_occupied"] == pytest.approx(START + 90_000 + 60_000, abs=1_000)
    assert due["offline"] == pytest.approx(START + 90_000 + 120_000, abs=1_000)


def test_an_outage_that_outlasts_the_stream_may_be_told() -> None:
    wire = Wire()
    wire.line.outage(START + 95_000, START + 3_600_000)
    wire.hear(600)
    (line,) = map(json.loads, wire.truth.lines(START + 600_000))
    assert line["to"] is None
    assert line["must"] == []
    assert set(line["may"]) == {"offline", "lost_contact_occupied"}
    assert line["may_before"] > START + 600_000
