"""Silence and sensor health: passenger_sensor_stuck, lost_contact_occupied, offline (protocol §7, §1)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.world import Lift

STUCK, LOST, OFFLINE = "passenger_sensor_stuck", "lost_contact_occupied", "offline"

# -- passenger_sensor_stuck


def door_turns(lift: Lift, turns: int, every: float) -> None:
    """The door opens and closes so often, one turn each `every` s."""
    for _ in range(turns):
        lift.open_door()
        lift.wait(3)
        lift.close_door()
        lift.wait(every - 3)


def test_a_flag_up_for_15_min_and_6_openings_is_raised_and_cleared_when_it_falls() -> None:
    lift = Lift()
    lift.change(passenger=1)
    rose = lift.s
    door_turns(lift, 6, 60)
    lift.wait(700)
    lift.change(passenger=0)
    assert judge(lift).spans(STUCK) == [(rose + 900, lift.s)]


def test_5_openings_are_none() -> None:
    lift = Lift()
    lift.change(passenger=1)
    door_turns(lift, 5, 60)
    lift.wait(1200)
    assert judge(lift).raised(STUCK) == []


def test_the_6th_opening_after_15_min_raises_it() -> None:
    lift = Lift()
    lift.change(passenger=1)
    door_turns(lift, 5, 60)
    lift.wait(800)
    lift.open_door()
    opened = lift.s
    lift.wait(10)
    assert judge(lift).raised(STUCK) == [opened]


def test_one_gap_in_the_flag_begins_anew() -> None:
    lift = Lift()
    lift.change(passenger=1)
    door_turns(lift, 6, 60)
    lift.change(passenger=0)
    lift.change(passenger=1)
    lift.wait(800)
    assert judge(lift).raised(STUCK) == []


def test_a_broken_sensor_raises_no_lost_contact_and_no_door_open_fault() -> None:
    lift = Lift(state={"passenger": 1})
    door_turns(lift, 7, 150)
    lift.run_to(5)
    lift.wait(50)
    lift.unheard(100)
    lift.wait(5)
    assert judge(lift, silence=True).kinds() == {STUCK, OFFLINE}  # offline: at the end of the stream


# -- lost_contact_occupied


def test_an_occupied_closed_car_silent_for_60_s_is_raised_and_cleared_by_a_sample() -> None:
    lift = Lift()
    lift.board()
    lift.wait(5)
    lift.sample()
    last = lift.s
    lift.unheard(100)
    lift.sample()
    heard = lift.s
    spans = judge(lift, silence=True).spans(LOST)
    assert spans[0] == (last + 60, heard)


@pytest.mark.parametrize(
    ("passenger", "door_closed"), [(0, 1), (1, 0), (None, 1), (1, None), (0, 0)], ids=lambda v: f"{v}"
)
def test_an_empty_open_or_unknown_car_is_none(passenger: int | None, door_closed: int | None) -> None:
    lift = Lift()
    lift.change(passenger=passenger, door_closed=door_closed)
    assert judge(lift, silence=True).kinds() == {OFFLINE}


def test_59_s_of_silence_are_none() -> None:
    lift = Lift()
    lift.board()
    lift.sample()
    lift.unheard(59.9)
    lift.change(passenger=0)
    assert judge(lift, silence=True).raised(LOST) == []


# -- offline


def test_nothing_for_120_s_is_raised_and_cleared_by_any_message() -> None:
    for speak in (Lift.sample, lambda one: one.link(online=True), lambda one: one.event(90, test=True)):
        lift = Lift()
        last = lift.s
        lift.unheard(200)
        speak(lift)
        assert judge(lift, silence=True).spans(OFFLINE)[0] == (last + 120, lift.s)


def test_119_s_of_silence_are_none() -> None:
    lift = Lift()
    lift.unheard(119.9)
    lift.sample()
    assert judge(lift, silence=True).raised(OFFLINE) == [lift.s + 120]


@pytest.mark.parametrize("channel", ["event", "link"])
def test_events_and_links_are_signs_of_life(channel: str) -> None:
    lift = Lift()
    for _ in range(5):
        lift.unheard(100)
        if channel == "link":
            lift.link(online=True)
        else:
            lift.event(90, test=True)
    assert judge(lift, silence=True).raised(OFFLINE) == [lift.s + 120]


def test_30_s_after_a_will_it_is_offline() -> None:
    lift = Lift()
    lift.wait(5)
    lift.link(online=False)
    assert judge(lift, silence=True).raised(OFFLINE) == [lift.s + 30]


def test_a_wills_own_time_says_nothing() -> None:
    lift = Lift()
    lift.wait(5)
    lift.send("link", {"ts": 1_764_000_000_000, "online": False})
    assert judge(lift, silence=True).raised(OFFLINE) == [lift.s + 30]


def test_a_message_within_30_s_of_a_will_stops_it() -> None:
    lift = Lift()
    lift.wait(5)
    lift.link(online=False)
    lift.unheard(29.9)
    lift.sample()
    assert judge(lift, silence=True).raised(OFFLINE) == [lift.s + 120]


def test_a_will_late_in_a_silence_does_not_put_it_off() -> None:
    lift = Lift()
    last = lift.s
    lift.unheard(110)
    lift.link(online=False)
    assert judge(lift, silence=True).raised(OFFLINE) == [last + 120]


@pytest.mark.parametrize("online", [True, False])
def test_a_retained_link_starts_no_timer_and_is_no_sign_of_life(online: bool) -> None:
    lift = Lift()
    last = lift.s
    lift.unheard(60)
    lift.link(online=online, retained=True)
    assert judge(lift, silence=True).raised(OFFLINE) == [last + 120]


def test_offline_is_cleared_by_a_message_that_comes_late() -> None:
    lift = Lift()
    lift.wait(30)
    late = lift.mail.pop(-2)
    last = lift.s
    lift.mail.append(late.delayed_until(round(last * 1000) + 150_100))
    assert judge(lift, silence=True).spans(OFFLINE)[0] == (last + 120, last + 150)


# -- sources that send changes only


def test_the_silence_of_a_source_of_changes_says_nothing() -> None:
    lift = Lift(reports="changes")
    lift.board()
    lift.link(online=False)
    lift.wait(100)
    lift.run_to(5)
    lift.alight()
    lift.wait(4000)
    lift.sample()
    assert judge(lift, silence=True).kinds() <= {"entrapment"}
    assert LOST not in judge(lift, silence=True).kinds()


def test_a_sample_of_changes_is_believed_until_the_next() -> None:
    lift = Lift(reports="changes")
    lift.wait(600)
    lift.open_door()
    opened = lift.s
    lift.wait(600)
    lift.close_door()
    assert judge(lift, silence=True).spans("door_close_fault") == [(opened + 120, lift.s)]


def test_somebody_in_a_car_of_changes_is_found_at_level() -> None:
    lift = Lift(reports="changes")
    lift.wait(600)
    lift.board()
    lift.run_to(5)
    came = lift.s
    assert judge(lift, silence=True).raised("entrapment") == [came + 60]


@pytest.mark.parametrize("counts", [True, False])
def test_a_link_lost_while_the_last_sample_waits_for_earlier_ones_counts(counts: bool) -> None:
    lift = Lift(counts=counts)
    lift.wait(20)
    lost = lift.sample if counts else lift.open_door
    lost()
    unheard = lift.mail[-1]
    lift.now += 100
    lift.sample()
    lift.now += 100
    lift.link(online=False)
    gone = lift.s
    lines = judge(lift, mail=[m for m in lift.mail if m is not unheard], silence=True)
    assert lines.raised("offline") == [gone + 30]
