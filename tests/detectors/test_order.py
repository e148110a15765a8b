"""Order, duplicates, late samples and clocks (protocol §1, §7)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.network import delay, doubled, in_order, lose, outage, shuffled
from tests.detectors.world import T0, Lift, Message

# -- a sample up to 3 s late is put in its place


def door_seen_open_late(late_ms: int) -> tuple[list[Message], Lift, float]:
    """Somebody comes to a floor; the one sample that shows the door open comes so much after a newer one."""
    lift = Lift()
    lift.board()
    lift.run_to(5)
    came = lift.s
    lift.wait(5)
    lift.open_door()
    opened = lift.now
    lift.wait(0.5)
    lift.close_door()
    newer = next(m for m in lift.mail if m.sent > opened)
    lift.wait(100)
    mail = in_order(m.delayed_until(newer.at + late_ms) if m.sent == opened else m for m in lift.mail)
    return mail, lift, came


@pytest.mark.parametrize("late_ms", [1, 1000, 2999, 3000])
def test_a_sample_up_to_3_s_late_is_put_in_its_place(late_ms: int) -> None:
    mail, lift, _ = door_seen_open_late(late_ms)
    assert judge(lift, mail=mail).raised("entrapment") == []


@pytest.mark.parametrize("late_ms", [3001, 5000, 30_000])
def test_a_sample_later_than_3_s_changes_nothing_of_the_present(late_ms: int) -> None:
    mail, lift, came = door_seen_open_late(late_ms)
    assert judge(lift, mail=mail).raised("entrapment") == [came + 60]


def test_a_lost_sample_delays_what_follows_by_no_more_than_3_s() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(40)
    for number in range(2, lift.seq + 1):
        mail = lose(lift.mail, lambda m, number=number: m.payload["seq"] == number)  # type: ignore[misc]
        raised = judge(lift, mail=mail).raised("entrapment")
        assert len(raised) == 1
        assert stopped + 20 <= raised[0] <= stopped + 33, number


@pytest.mark.parametrize("after", [1, 500, 2900, 3100, 10_000, 60_000, 300_000])
@pytest.mark.parametrize("counts", [True, False])
def test_every_message_twice_changes_nothing(after: int, counts: bool) -> None:
    lift = Lift(counts=counts)
    lift.board()
    lift.run_to(4)
    lift.alight()
    lift.wait(20)
    lift.board()
    lift.stop_between(8)
    lift.wait(40)
    lift.level_and_open()
    lift.change(passenger=0)
    lift.wait(3)
    lift.close_door()
    lift.wait(300)
    once, twice = judge(lift), judge(lift, mail=doubled(lift.mail, after))
    assert [(x.at, x.kind, x.change) for x in twice] == [(x.at, x.kind, x.change) for x in once]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("counts", [True, False])
def test_reordering_within_2_s_moves_only_the_time_of_telling(seed: int, counts: bool) -> None:
    lift = Lift(counts=counts)
    for floor in (4, 7, 2):
        lift.board()
        lift.run_to(floor)
        lift.alight()
        lift.wait(15)
    lift.board()
    lift.run_to(8)
    lift.wait(100)
    lift.alight()
    lift.wait(40)
    straight, mixed = judge(lift), judge(lift, mail=shuffled(lift.mail, 2000, seed))
    assert sorted((x.kind, x.change) for x in mixed) == sorted((x.kind, x.change) for x in straight)
    for line, moved in zip(straight, mixed, strict=True):
        assert line.at - (0 if counts else 3) <= moved.at <= line.at + 5


# -- clocks


@pytest.mark.parametrize("clock_s", [-3600, -600, -31, 0, 31, 600, 3600, 23 * 3600])
def test_a_wrong_clock_changes_no_time_of_telling_and_since_is_corrected(clock_s: int) -> None:
    lift = Lift(clock=clock_s * 1000)
    lift.wait(100)
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(60)
    lines = judge(lift)
    assert lines.raised("entrapment") == [stopped + 20]
    assert abs(lines.since("entrapment")[0] - stopped) < 2


@pytest.mark.parametrize("clock", [-T0, 75 * 365 * 86_400_000, -32 * 86_400_000, 25 * 3_600_000])
def test_a_broken_clock_is_judged_at_receive_time(clock: int) -> None:
    lift = Lift(clock=clock)
    lift.board()
    lift.run_to(5)
    came = lift.s
    lift.wait(100)
    lines = judge(lift)
    assert lines.raised("entrapment") == [came + 60]
    assert abs(lines.since("entrapment")[0] - came) < 1


@pytest.mark.parametrize("by_s", [-7200, -600, -60, 20, 60, 600, 7200, 100_000])
def test_a_clock_that_is_set_opens_and_closes_nothing_and_delays_go_on(by_s: float) -> None:
    lift = Lift()
    lift.board()
    lift.run_to(5)
    came = lift.s
    lift.wait(30)
    lift.set_clock(by_s)
    lift.wait(70)
    raised = judge(lift).raised("entrapment")
    assert len(raised) == 1
    assert came + 60 - 0.2 <= raised[0] <= came + 61


@pytest.mark.parametrize("by_s", [-7200, -600, -60, 20, 60, 600, 7200])
def test_a_clock_that_is_set_clears_nothing(by_s: float) -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(60)
    lift.set_clock(by_s)
    lift.wait(120)
    assert judge(lift).spans("entrapment") == [(stopped + 20, None)]


@pytest.mark.parametrize("by_s", [-600, 600])
def test_normal_traffic_over_a_set_clock_raises_nothing(by_s: float) -> None:
    lift = Lift()
    for floor in (4, 7, 2):
        lift.board()
        lift.set_clock(by_s)
        lift.run_to(floor)
        lift.alight()
        lift.wait(15)
    assert judge(lift).kinds() == set()


# -- terminals that start again, or do not count


def test_a_reboot_during_an_entrapment_clears_nothing_and_raises_nothing_twice() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(60)
    lift.reboot(25)
    lift.wait(60)
    assert judge(lift).spans("entrapment") == [(stopped + 20, None)]


def test_a_reboot_does_not_restart_the_clock_off_level() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(5)
    lift.reboot(8)
    lift.wait(60)
    raised = judge(lift).raised("entrapment")
    assert len(raised) == 1
    assert stopped + 20 <= raised[0] <= stopped + 24


def test_a_reboot_in_normal_traffic_raises_nothing() -> None:
    lift = Lift()
    for _ in range(3):
        lift.board()
        lift.run_to(5)
        lift.alight()
        lift.reboot(20)
        lift.wait(30)
        lift.run_to(1)
    assert judge(lift).kinds() == set()


def test_a_terminal_that_does_not_count_is_judged_within_3_s() -> None:
    lift = Lift(counts=False)
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(60)
    lift.level_and_open()
    opened = lift.s
    lift.wait(20)
    (raised, cleared), *more = judge(lift).spans("entrapment")
    assert more == []
    assert stopped + 20 <= raised <= stopped + 23
    assert cleared is not None
    assert opened <= cleared <= opened + 3


# -- a late burst, in order


def test_a_burst_raises_nothing_that_is_over() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.open_door()
    lift.wait(200)
    lift.close_door()
    lift.stop_between(4)
    lift.wait(60)
    lift.level_and_open()
    lift.wait(3)
    lift.close_door()
    lift.wait(20)
    end = lift.now
    lift.wait(60)
    assert judge(lift, mail=outage(lift.mail, begin, end)).kinds() == set()


def test_a_burst_tells_what_is_still_so_with_its_own_since() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.open_door()
    opened = lift.s
    lift.wait(200)
    end = lift.now
    lift.wait(60)
    lines = judge(lift, mail=outage(lift.mail, begin, end))
    assert lines.since("door_close_fault") == [opened]
    assert end / 1000 <= lines.raised("door_close_fault")[0] <= end / 1000 + 4


@pytest.mark.parametrize("freed", [True, False])
def test_a_burst_always_tells_an_entrapment(freed: bool) -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(120)
    if freed:
        lift.level_and_open()
        lift.change(passenger=0)
        lift.wait(3)
        lift.close_door()
    end = lift.now
    lift.wait(60)
    lines = judge(lift, mail=outage(lift.mail, begin, end))
    ((raised, cleared),) = lines.spans("entrapment")
    assert end / 1000 <= raised <= end / 1000 + 4
    assert (cleared is not None) == freed
    assert lines.since("entrapment") == [stopped]


def test_an_outage_without_its_burst_raises_nothing_in_normal_traffic() -> None:
    lift = Lift()
    for floor in (4, 1, 6, 2):
        lift.board()
        lift.run_to(floor)
        lift.alight()
        lift.wait(20)
    for begin in range(10_000, lift.now, 3000):
        mail = lose(lift.mail, lambda m, b=begin: b <= m.sent < b + 60_000)  # type: ignore[misc]
        assert judge(lift, mail=mail).kinds() == set(), begin


def test_one_delayed_sample_raises_nothing_in_normal_traffic() -> None:
    lift = Lift()
    for floor in (4, 1):
        lift.board()
        lift.run_to(floor)
        lift.alight()
        lift.wait(20)
    for number in range(1, lift.seq + 1):
        for by_ms in (900, 2500, 4000, 15_000):
            mail = delay(lift.mail, by_ms, lambda m, n=number: m.payload["seq"] == n)  # type: ignore[misc]
            assert judge(lift, mail=mail).kinds() == set(), (number, by_ms)


def short_run(counts: bool) -> tuple[Lift, list[Message]]:
    """Somebody goes one floor up; of the run, all samples out of the zone are lost."""
    lift = Lift(counts=counts)
    lift.board()
    lift.run_to(2)
    return lift, lose(lift.mail, lambda m: m.payload["door_zone"] == 0)


@pytest.mark.parametrize("counts", [True, False])
def test_who_stays_aboard_after_a_run_that_was_lost_did_not_board_there(counts: bool) -> None:
    lift, mail = short_run(counts)
    gone = len(lift.mail)
    lift.open_door()
    lift.wait(4)
    lift.close_door()
    lift.wait(200)
    assert judge(lift, mail=[*mail, *lift.mail[gone:]]).kinds() == set()


@pytest.mark.parametrize("counts", [True, False])
def test_who_is_shut_in_after_a_run_that_was_lost_is_found(counts: bool) -> None:
    lift, mail = short_run(counts)
    came, gone = lift.s, len(lift.mail)
    lift.wait(100)
    raised = judge(lift, mail=[*mail, *lift.mail[gone:]]).raised("entrapment")
    assert len(raised) == 1
    assert came + 60 <= raised[0] <= came + 64


@pytest.mark.parametrize("counts", [True, False])
def test_a_car_that_comes_back_from_an_outage_moving_did_not_leave_the_floor_it_was_seen_at(counts: bool) -> None:
    lift = Lift(counts=counts)
    lift.board()
    lift.wait(5)
    begin = lift.now
    lift.run_to(4)
    lift.wait(2)
    lift.run_to(1)
    lift.alight()
    lift.wait(20)
    back = next(m for m in reversed(lift.mail) if m.payload["door_zone"] == 0)
    assert judge(lift, mail=lose(lift.mail, lambda m: begin <= m.sent < back.sent)).kinds() == set()
