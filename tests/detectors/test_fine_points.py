"""Fine points of the protocol, each with its sentence."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.network import backlog, cut_off, delay, doubled, lose, outage
from tests.detectors.world import T0, Lift

KIND = "entrapment"

# -- §7 entrapment: "Drop-outs of the flag of 5 s or less do not restart the clock": longer ones do


@pytest.mark.parametrize("dropout", [5.1, 8])
def test_a_drop_out_longer_than_5_s_restarts_the_clock_off_level(dropout: float) -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(1)
    lift.change(passenger=0)
    lift.wait(dropout)
    lift.change(passenger=1)
    back = lift.s
    lift.wait(40)
    assert judge(lift).raised(KIND) == [back + 20]


def test_a_drop_out_longer_than_5_s_restarts_the_clock_at_level() -> None:
    lift = Lift()
    lift.board()
    lift.run_to(5)
    lift.wait(31)
    lift.change(passenger=0)
    lift.wait(8)
    lift.change(passenger=1)
    back = lift.s
    lift.wait(100)
    assert judge(lift).raised(KIND) == [back + 60]


def test_a_flag_that_comes_back_long_after_the_door_closed_is_nobody_who_boarded() -> None:
    lift = Lift()
    lift.board()
    lift.wait(1)
    lift.change(passenger=0)
    lift.wait(8)
    lift.change(passenger=1)
    lift.wait(100)
    assert judge(lift).raised(KIND) == []


# -- §7: "Mode 2 or 4, loss of power and silence never clear an open entrapment"


def test_silence_does_not_end_an_entrapment_whose_door_was_opened() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(60)
    lift.open_door()
    lift.wait(2)
    lift.change(passenger=0)
    lift.wait(3)
    assert judge(lift).cleared(KIND) == [None]


# -- §7 lost_contact_occupied: cleared by "any later sample", not by any message as `offline` is


@pytest.mark.parametrize("channel", ["event", "link"])
def test_only_a_sample_ends_lost_contact(channel: str) -> None:
    lift = Lift()
    lift.board()
    lift.sample()
    last = lift.s
    lift.unheard(80)
    lift.event(41) if channel == "event" else lift.link(online=True)
    lift.unheard(15)
    lift.sample()
    assert judge(lift, silence=True).spans("lost_contact_occupied")[0] == (last + 60, lift.s)


# -- §7 passenger_sensor_stuck: "the flag was 1 without a gap for 15 min": nobody saw it in an outage


def test_a_flag_not_seen_for_10_min_was_not_up_without_a_gap() -> None:
    lift = Lift()
    lift.change(passenger=1)
    for _ in range(6):
        lift.open_door()
        lift.wait(3)
        lift.close_door()
        lift.wait(20)
    begin = lift.now
    lift.wait(700)
    end = lift.now
    lift.wait(100)
    assert judge(lift, mail=cut_off(lift.mail, begin, end)).raised("passenger_sensor_stuck") == []


# -- §2 "seq ... starts again after a reboot"; §1 a status is the same only with the same (equipment_id, ts, seq)


def test_a_reboot_with_a_clock_behind_is_heard_at_once() -> None:
    lift = Lift()
    lift.wait(300)
    lift.set_clock(-300)
    lift.reboot(20)
    lift.wait(200)
    assert judge(lift, silence=True).raised("offline") == [lift.s + 120]


def test_an_entrapment_after_a_reboot_with_a_clock_behind_is_raised_in_time() -> None:
    lift = Lift()
    lift.wait(300)
    lift.set_clock(-300)
    lift.reboot(20)
    lift.wait(30)
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(100)
    raised = judge(lift).raised(KIND)
    assert len(raised) == 1
    assert stopped + 20 <= raised[0] <= stopped + 24


# -- §1 "One fact twice: a `status` with the same (equipment_id, ts, seq)", of a broken clock too


@pytest.mark.parametrize("after_ms", [4000, 40_000])
def test_redelivery_of_a_broken_clock_changes_nothing(after_ms: int) -> None:
    lift = Lift(clock=-T0)
    lift.wait(30)
    lift.board()
    lift.run_to(5)
    lift.wait(100)
    assert judge(lift, mail=doubled(lift.mail, after_ms)) == judge(lift)


# -- §3 "Code 40 clears what codes 1-8 and 41-47 of that lift left raised"; §1 delivery in any order


def test_a_raise_overtaken_by_code_40_is_not_left_open() -> None:
    lift = Lift()
    lift.event(1)
    lift.wait(1)
    lift.event(40)
    lift.wait(60)
    assert judge(lift, mail=delay(lift.mail, 3000, lambda m: m.code == 1)).cleared("safety_circuit_open") != [None]


@pytest.mark.parametrize("code", [1, 40])
def test_a_late_clearing_does_not_end_a_newer_fault(code: int) -> None:
    lift = Lift()
    lift.event(1)
    lift.wait(10)
    lift.event(code, "cleared" if code == 1 else "raised")
    sent = lift.now
    lift.wait(5)
    lift.event(1)
    lift.wait(60)
    mail = delay(lift.mail, 8000, lambda m: m.code == code and m.sent == sent)
    assert judge(lift, mail=mail).cleared("safety_circuit_open")[-1] is None


# -- §8 `changes`: "a sample is believed until the next"; §7 "a late burst is judged at its own times"


@pytest.mark.parametrize("seconds", [300, 3000])
def test_a_late_burst_of_changes_keeps_its_own_times(seconds: int) -> None:
    lift = Lift(reports="changes")
    lift.wait(100)
    begin = lift.now  # what was last heard is believed all the time: it stands empty
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(seconds)
    lift.level_and_open()
    lift.change(passenger=0)
    lift.wait(3)
    lift.close_door()
    end = lift.now
    lift.wait(20)
    lift.open_door()
    lift.wait(5)
    lift.close_door()
    lines = judge(lift, mail=outage(lift.mail, begin, end))
    assert lines.kinds() == {KIND}
    assert lines.since(KIND) == [stopped]


# -- §7 "the car leaves a floor when it moves outside the zone": another floor number in the zone is no leaving


@pytest.mark.parametrize("floor", [7, 99])
def test_a_floor_number_that_jumps_while_standing_is_no_run(floor: int) -> None:
    lift = Lift()
    lift.board()
    lift.run_to(3)
    lift.open_door()
    lift.wait(3)
    lift.close_door()
    lift.wait(5)
    lift.change(car_position=floor)
    lift.wait(1)
    lift.change(car_position=3)
    lift.wait(100)
    assert judge(lift).kinds() == set()


def test_a_zone_sensor_that_flickers_while_standing_is_no_run() -> None:
    lift = Lift()
    lift.board()
    lift.run_to(3)
    lift.open_door()
    lift.wait(3)
    lift.close_door()
    lift.wait(5)
    lift.change(door_zone=0)
    lift.wait(1)
    lift.change(door_zone=1)
    lift.wait(100)
    assert judge(lift).kinds() == set()


# -- §7 "at once, whatever the flag says, when code 90 comes while stopped with the door closed"


@pytest.mark.parametrize("lost", [True, False])
def test_the_button_counts_when_the_sample_that_says_stopped_is_late_or_lost(lost: bool) -> None:
    lift = Lift(without=("passenger",))
    lift.wait(5)
    lift.stop_between(4)
    stopped = lift.now
    lift.wait(2)
    lift.event(90)
    pressed = lift.s
    lift.wait(60)
    mail = lose(lift.mail, lambda m: m.sent == stopped) if lost else delay(lift.mail, 2900, lambda m: m.sent == stopped)
    raised = judge(lift, mail=mail).raised(KIND)
    assert len(raised) == 1
    assert pressed <= raised[0] <= pressed + 13


@pytest.mark.parametrize("late_ms", [15_000, 40_000])
def test_a_button_pressed_in_a_moving_car_is_no_entrapment_when_told_late(late_ms: int) -> None:
    lift = Lift()
    lift.depart()
    lift.event(90)
    lift.run_to(3)
    lift.alight()
    lift.wait(60)
    assert judge(lift, mail=delay(lift.mail, late_ms, lambda m: m.code == 90)).raised(KIND) == []


def test_a_button_in_history_is_told_as_history() -> None:
    lift = Lift(without=("passenger",))
    lift.wait(20)
    begin = lift.now
    lift.stop_between(4)
    lift.wait(10)
    lift.event(90)
    pressed = lift.s
    lift.wait(60)
    lift.level_and_open()
    lift.wait(3)
    lift.close_door()
    end = lift.now
    lift.wait(60)
    lines = judge(lift, mail=backlog(lift.mail, begin, end, end + 20_000))
    assert lines.since(KIND) == [pressed]
    assert None not in lines.cleared(KIND)
