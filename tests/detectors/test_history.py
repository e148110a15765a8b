"""History that comes after live samples: searched for entrapments, changing nothing else (protocol §7)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import Lines, judge
from tests.detectors.network import backlog, doubled, in_order
from tests.detectors.world import Lift

KIND = "entrapment"


class Outage:
    """Somebody is trapped in an outage; what the terminal kept comes after live samples."""

    def __init__(self, *, level: bool = False, freed: bool = True, counts: bool = True, trapped_s: float = 100) -> None:
        self.lift = lift = Lift(counts=counts)
        lift.wait(20)
        lift.board()
        self.begin = lift.now
        lift.run_to(4) if level else lift.stop_between(4)
        self.stopped = lift.s
        lift.wait(trapped_s)
        self.freed_at = None
        if freed:
            lift.open_door() if level else lift.level_and_open()
            self.freed_at = lift.s
            lift.wait(1)
            lift.change(passenger=0)
            lift.wait(3)
            lift.close_door()
        self.end = lift.now
        lift.wait(60)

    def told(self, after_ms: int = 20_000, gap_ms: int = 5) -> Lines:
        """What is told when the history comes so long after the outage's end."""
        return judge(self.lift, mail=backlog(self.lift.mail, self.begin, self.end, self.end + after_ms, gap_ms))


@pytest.mark.parametrize("level", [True, False])
@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("after_ms", [3200, 20_000, 50_000])
def test_an_entrapment_in_history_is_told_within_15_s_and_cleared(level: bool, counts: bool, after_ms: int) -> None:
    out = Outage(level=level, counts=counts)
    lines = out.told(after_ms)
    ((raised, cleared),) = lines.spans(KIND)
    last = max(m.at for m in backlog(out.lift.mail, out.begin, out.end, out.end + after_ms) if m.sent < out.end)
    assert out.end / 1000 + after_ms / 1000 <= raised <= last / 1000 + 15
    assert cleared is not None
    assert cleared <= last / 1000 + 15
    assert lines.since(KIND) == [out.stopped]
    assert lines.kinds() == {KIND}


def test_an_entrapment_at_level_that_goes_on_is_told_and_ends_in_the_present() -> None:
    out = Outage(level=True, freed=False)
    lift = out.lift
    lift.open_door()
    opened = lift.s
    lift.wait(20)
    ((raised, cleared),) = out.told().spans(KIND)
    assert raised < opened
    assert cleared == opened


def test_an_entrapment_already_known_is_not_told_again() -> None:
    out = Outage(level=False, freed=False)
    lines = out.told(40_000)
    assert len(lines.raised(KIND)) == 1


@pytest.mark.parametrize("gap_ms", [5, 500, 2000, 4000])
def test_history_may_come_slowly(gap_ms: int) -> None:
    out = Outage(level=True)
    out.lift.wait(300)
    lines = out.told(20_000, gap_ms)
    assert len(lines.raised(KIND)) == 1
    assert lines.since(KIND) == [out.stopped]
    assert None not in lines.cleared(KIND)


def test_history_told_twice_is_told_once() -> None:
    out = Outage()
    mail = backlog(out.lift.mail, out.begin, out.end, out.end + 20_000)
    for again_ms in (10, 2000, 30_000):
        twice = doubled(mail, again_ms, lambda m: out.begin <= m.sent < out.end)
        assert len(judge(out.lift, mail=twice).raised(KIND)) == 1


def test_history_in_any_order_tells_the_same() -> None:
    out = Outage()
    mail = backlog(out.lift.mail, out.begin, out.end, out.end + 20_000)
    late = [m for m in mail if out.begin <= m.sent < out.end]
    places = [m.at for m in late]
    turned = [m.delayed_until(at) for m, at in zip(reversed(late), places, strict=True)]
    rest = [m for m in mail if not out.begin <= m.sent < out.end]
    lines = judge(out.lift, mail=in_order([*rest, *turned]))
    assert len(lines.raised(KIND)) == 1
    assert lines.since(KIND) == [out.stopped]


def test_history_of_normal_traffic_tells_nothing() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    for floor in (4, 7, 2):
        lift.board()
        lift.run_to(floor)
        lift.alight()
        lift.wait(20)
    end = lift.now
    lift.wait(60)
    for after_ms in (3100, 10_000, 30_000):
        assert judge(lift, mail=backlog(lift.mail, begin, end, end + after_ms)).kinds() == set()


def test_history_raises_nothing_but_entrapments() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.open_door()
    lift.wait(200)
    lift.close_door()
    lift.stop_between(4)
    lift.wait(60)
    lift.level_and_open()
    lift.wait(2)
    lift.close_door()
    end = lift.now
    lift.wait(60)
    assert judge(lift, mail=backlog(lift.mail, begin, end, end + 20_000)).kinds() == set()


def test_history_clears_nothing_of_the_present() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.open_door()
    lift.wait(5)
    lift.close_door()
    end = lift.now
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(60)
    mail = backlog(lift.mail, begin, end, lift.now - 20_000)
    assert judge(lift, mail=mail).spans(KIND) == [(stopped + 20, None)]


def test_history_of_an_entrapment_shorter_than_its_delay_tells_nothing() -> None:
    out = Outage(trapped_s=10)
    assert out.told().raised(KIND) == []


@pytest.mark.parametrize("counts", [True, False])
def test_a_run_told_late_makes_nobody_shut_in_where_the_door_has_opened_since(counts: bool) -> None:
    lift = Lift(counts=counts)
    lift.board()
    lift.run_to(5)
    came = lift.now
    lift.wait(0.2)
    lift.open_door()
    lift.wait(4)
    lift.close_door()
    lift.wait(200)
    late = in_order(m.delayed_until(m.at + 5000) if came - 1500 < m.sent <= came else m for m in lift.mail)
    assert judge(lift, mail=late).kinds() == set()


@pytest.mark.parametrize("counts", [True, False])
def test_a_door_seen_open_in_time_counts_between_late_samples(counts: bool) -> None:
    lift = Lift(counts=counts)
    lift.board()
    lift.run_to(5)
    came = lift.now
    lift.wait(0.2)
    lift.open_door()
    lift.wait(4)
    lift.close_door()
    closed = lift.now
    lift.wait(200)
    late = in_order(
        m.delayed_until(m.at + 12_000) if came - 1500 < m.sent <= came or m.sent == closed else m for m in lift.mail
    )
    assert judge(lift, mail=late).kinds() == set()


@pytest.mark.parametrize("after_ms", [1000, 20_000])
@pytest.mark.parametrize("gap_ms", [5, 200])
def test_each_of_two_entrapments_in_history_is_told(after_ms: int, gap_ms: int) -> None:
    out = Outage()
    lift = out.lift
    lift.board()
    lift.stop_between(7)
    second = lift.s
    lift.wait(50)
    lift.level_and_open()
    lift.wait(1)
    lift.change(passenger=0)
    lift.wait(3)
    lift.close_door()
    end = lift.now
    lift.wait(100)
    lines = judge(lift, mail=backlog(lift.mail, out.begin, end, end + after_ms, gap_ms))
    assert lines.since(KIND) == [out.stopped, second]
    assert None not in lines.cleared(KIND)


def test_history_shows_the_way_out_of_an_entrapment_that_the_present_holds_open() -> None:
    out = Outage(trapped_s=200)
    lift = out.lift
    lift.wait(60)
    begin = round(out.stopped * 1000) + 40_000  # it was raised in time, then the network went
    told_at = out.end + 30_000
    mail = backlog(lift.mail, begin, out.end + 1, told_at)
    ((raised, cleared),) = judge(lift, mail=mail).spans(KIND)
    assert raised == out.stopped + 20
    last = max(m.at for m in mail if begin <= m.sent <= out.end)
    assert cleared is not None
    assert told_at / 1000 <= cleared <= last / 1000 + 15


def test_history_lets_nobody_out_who_was_shut_in_after_it() -> None:
    out = Outage(trapped_s=100)
    lift = out.lift
    lift.wait(5)
    lift.board()
    lift.stop_between(7)
    lift.wait(100)
    begin = round(out.stopped * 1000) + 40_000
    mail = backlog(lift.mail, begin, out.end, lift.now - 30_000)
    assert judge(lift, mail=mail).cleared(KIND)[-1] is None


@pytest.mark.parametrize("seen_before", [True, False])
def test_a_button_told_late_counts_in_the_car_as_it_was_then(seen_before: bool) -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.board()
    lift.wait(1)
    lift.depart()
    lift.event(90)
    lift.run_to(4)
    lift.alight()
    lift.run_to(1)
    lift.wait(3)
    end = lift.now
    lift.wait(60)
    mail = backlog(lift.mail, begin, end, end + (1000 if seen_before else 20_000), 200)
    assert judge(lift, mail=mail).kinds() == {"car_alarm_button"}


@pytest.mark.parametrize("rides", [False, True])
def test_a_run_in_history_raises_no_door_open_fault_of_the_present(rides: bool) -> None:
    lift = Lift(floor=5)
    lift.board()
    lift.run_to(1)
    lift.alight()
    lift.wait(5)
    begin = lift.now
    lift.run_to(5)
    lift.wait(40)
    if rides:
        lift.change(passenger=1)
    lift.run_to(1)
    lift.wait(30)
    end = lift.now + 1
    lift.wait(20)
    if rides:
        lift.change(passenger=0)
    lift.wait(100)
    assert judge(lift, mail=backlog(lift.mail, begin, end, end + 15_000)).kinds() == set()
