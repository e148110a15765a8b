"""Messages that overtake each other, or of which one is lost: what the others prove counts (protocol §1, §2, §7)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.network import delay, in_order, lose
from tests.detectors.world import T0, Lift

KIND = "entrapment"

# -- §7 "at once ... when code 90 comes while stopped with the door closed"


@pytest.mark.parametrize("reports", ["samples", "changes"])
def test_a_button_pressed_while_the_door_stood_open_is_no_entrapment(reports: str) -> None:
    lift = Lift(counts=False, reports=reports)
    lift.open_door()
    lift.wait(4)
    lift.now += 400
    lift.event(90)
    lift.now += 300
    lift.close_door()
    lift.wait(30)
    assert judge(lift).kinds() == {"car_alarm_button"}


def test_a_button_that_overtakes_the_sample_of_the_stop_is_told_when_that_comes() -> None:
    lift = Lift(without=("passenger",))
    lift.wait(5)
    lift.stop_between(4)
    stopped = lift.now
    lift.now += 1000
    lift.event(90)
    lift.wait(60)
    mail = delay(lift.mail, 2900, lambda m: m.sent == stopped)
    assert judge(lift, mail=mail).raised(KIND) == [stopped / 1000 + 2.9]


def test_a_button_in_a_burst_that_comes_mixed_up_is_an_entrapment() -> None:
    lift = Lift()
    lift.open_door()
    lift.wait(4)
    begin = lift.now
    lift.wait(3)
    lift.close_door()
    lift.wait(12)
    lift.event(90)
    lift.wait(10)
    end = lift.now
    lift.wait(60)
    first = next(m for m in lift.mail if m.sent > begin)
    mail = in_order(
        m.delayed_until(end + 500 if m is first else end + n) if begin < m.sent <= end else m
        for n, m in enumerate(lift.mail)
    )
    assert len(judge(lift, mail=mail).raised(KIND)) == 1


def test_a_button_in_a_burst_counts_in_the_mode_in_which_it_was_pressed() -> None:
    lift = Lift()
    lift.wait(5)
    begin = lift.now
    lift.change(service_mode=2)
    lift.wait(12)
    lift.event(90)
    lift.wait(20)
    lift.change(service_mode=1)
    lift.wait(15)
    end = lift.now
    lift.wait(60)
    late = [m for m in lift.mail if begin < m.sent <= end]
    turned = [m.delayed_until(end + 10 * n) for n, m in enumerate(reversed(late))]
    mail = in_order([*(m for m in lift.mail if m not in late), *turned])
    assert judge(lift, mail=mail).kinds() == {"car_alarm_button"}


# -- §2 "every 1 s while the car moves or a door is open"


def test_a_closing_that_was_lost_shows_in_the_numbers() -> None:
    lift = Lift()
    lift.run_to(3)
    lift.open_door()
    lift.wait(70)
    lift.close_door()
    closed = lift.now
    lift.now += 5000
    lift.open_door()
    lift.wait(70)
    lift.close_door()
    lift.wait(20)
    lost = [m for m in lift.mail if m.sent == closed and m.payload["door_closed"] == 1]
    assert len(lost) == 1
    assert judge(lift, mail=lose(lift.mail, lambda m: m is lost[0])).kinds() == set()


@pytest.mark.parametrize("every", [2, 3, 5])
def test_lost_samples_of_an_open_door_do_not_end_its_delay(every: int) -> None:
    lift = Lift()
    lift.run_to(3)
    lift.open_door()
    opened = lift.s
    lift.wait(130)
    number = {id(m): n for n, m in enumerate(lift.mail)}
    raised = judge(lift, mail=lose(lift.mail, lambda m: number[id(m)] % every == 0)).raised("door_close_fault")
    assert len(raised) == 1
    assert opened + 120 <= raised[0] <= opened + 124


# -- §7 offline: "nothing for 30 s after `link` false": what it overtook by up to 3 s is before it


@pytest.mark.parametrize(("by_ms", "due"), [(2900, 30), (4500, 120)])
def test_a_sample_that_the_will_overtook_does_not_end_it(by_ms: int, due: float) -> None:
    lift = Lift()
    lift.wait(20)
    last = lift.mail[-1]
    lift.now += 1000
    lift.link(online=False)
    gone = lift.s
    mail = delay(lift.mail, by_ms, lambda m: m is last)
    (raised,) = judge(lift, mail=mail, silence=True).raised("offline")
    assert raised == pytest.approx((gone if due == 30 else (last.sent + by_ms) / 1000) + due)


def test_a_sample_made_after_the_link_was_lost_ends_that() -> None:
    lift = Lift()
    lift.wait(20)
    lift.now += 1000
    lift.link(online=False)
    lift.now += 500
    lift.sample()
    assert judge(lift, silence=True).raised("offline") == [lift.s + 120]


# -- §1 "A `ts` more than 24 h ahead ... or 31 days behind ... is a broken clock: judged at the receive time"


@pytest.mark.parametrize("by_ms", [900, 2900, 4000])
def test_samples_of_a_broken_clock_go_by_their_numbers(by_ms: int) -> None:
    lift = Lift(clock=-T0)
    for _ in range(3):
        lift.open_door()
        lift.wait(3)
        lift.close_door()
        lift.wait(2)
        lift.now += 300
    lift.wait(60)
    lift.board()
    lift.run_to(5)
    lift.wait(0.5)
    lift.alight()
    lift.wait(100)
    for n in range(4, len(lift.mail)):
        late = lift.mail[n].delayed_until(lift.mail[n].at + by_ms)
        mail = in_order([*lift.mail[:n], late, *lift.mail[n + 1 :]])
        assert judge(lift, mail=mail).kinds() == set(), late
