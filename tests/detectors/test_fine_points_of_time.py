"""Fine points of the protocol, each with its sentence; those that are not kept yet fail strictly."""

from __future__ import annotations

import pytest

from monitor.detectors.engine import Engine
from monitor.messages.decode import Decoder
from tests.detectors.judged import judge, lines_of, registry_of, replay_of
from tests.detectors.network import backlog, in_order, lose, outage
from tests.detectors.test_doors import repair
from tests.detectors.test_history import Outage
from tests.detectors.world import T0, Lift, Message

NOT_YET = pytest.mark.xfail(strict=True, raises=AssertionError, reason="known and said in the README")

KIND = "entrapment"

# -- §1 "A device clock may be set ...: running delays go on over the jump, nothing opens or closes by it"


@pytest.mark.parametrize("by_s", [3, 8, 12, 14])
def test_a_clock_set_forward_by_seconds_shortens_no_delay(by_s: float) -> None:
    lift = Lift()
    lift.wait(100)
    lift.open_door()
    opened = lift.s
    lift.wait(60)
    lift.set_clock(by_s)
    lift.wait(100)
    assert judge(lift).raised("door_close_fault") == [opened + 120]


@pytest.mark.parametrize("by_s", [3, 8, 14, pytest.param(-8, marks=NOT_YET)])
def test_a_clock_set_by_seconds_does_not_move_an_entrapment(by_s: float) -> None:
    lift = Lift()
    lift.wait(100)
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(5)
    lift.set_clock(by_s)
    lift.wait(60)
    raised = judge(lift).raised(KIND)
    assert len(raised) == 1
    assert stopped + 20 <= raised[0] <= stopped + 24


# -- §7 history: "told within 15 s of the last of it, `raised` with its own `since`, `cleared` when that history ..."


def test_history_in_two_pieces_keeps_its_since() -> None:
    out = Outage()
    middle = round(out.stopped * 1000) + 15_000
    mail = backlog(backlog(out.lift.mail, out.begin, middle, out.end + 20_000), middle, out.end, out.end + 40_000)
    lines = judge(out.lift, mail=mail)
    assert lines.since(KIND) == [out.stopped]
    assert None not in lines.cleared(KIND)


def test_history_one_sample_each_7_s_is_still_searched() -> None:
    out = Outage(level=True)
    out.lift.wait(600)
    lines = out.told(20_000, 7000)
    assert lines.since(KIND) == [out.stopped]
    assert None not in lines.cleared(KIND)


def test_a_slow_history_after_the_last_live_sample_is_history() -> None:
    out = Outage(level=True)
    lines = out.told(20_000, 4000)
    assert lines.since(KIND) == [out.stopped]


def test_an_entrapment_in_history_shortly_before_a_known_one_is_told_too() -> None:
    lift = Lift()
    lift.wait(20)
    lift.board()
    begin = lift.now
    lift.stop_between(4)
    first = lift.s
    lift.wait(40)
    lift.level_and_open()
    lift.wait(2)
    lift.close_door()
    end = lift.now
    lift.wait(3)
    lift.stop_between(6)
    second = lift.s
    lift.wait(30)
    lift.level_and_open()
    lift.wait(60)
    mail = backlog(lift.mail, begin, end, lift.now - 20_000)
    assert sorted(judge(lift, mail=mail).since(KIND)) == [first, second]


# -- §7 "A late burst ... raises nothing that is already over"


def test_what_ended_shortly_before_the_bursts_end_is_over_too() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.stop_between(4)
    lift.wait(60)
    lift.level_and_open()
    lift.wait(3)
    lift.close_door()
    end = lift.now
    lift.wait(60)
    assert judge(lift, mail=outage(lift.mail, begin, end)).kinds() == set()


# -- §7 top_overrun: "out of the top floor's zone upwards"


def test_an_overrun_is_known_without_the_floor_number_outside() -> None:
    lift = Lift(floor=8)
    lift.run_to(10)
    lift.wait(3)
    lift.change(car_status=1, car_direction=1)
    lift.now += 500
    lift.change(door_zone=0, car_position=None, position_m=None)
    left = lift.s
    lift.wait(5)
    assert judge(lift).raised("top_overrun") == [left]


def test_an_overrun_is_known_when_the_sample_outside_is_lost() -> None:
    lift = Lift(floor=8, without=("position_m",))
    lift.run_to(10)
    lift.wait(3)
    lift.change(car_status=1, car_direction=1)
    lift.now += 500
    lift.change(door_zone=0)
    outside = lift.now
    lift.now += 500
    lift.change(car_status=0, car_direction=0)
    lift.wait(30)
    assert len(judge(lift, mail=lose(lift.mail, lambda m: m.sent == outside)).raised("top_overrun")) == 1


# -- §1 "One fact twice: ... an action (firm_id, id)"


def test_a_repair_told_again_does_not_reset_the_next_movement() -> None:
    lift = Lift()
    mail: list[Message] = []
    for _ in range(2):
        lift.open_door()
        lift.wait(3)
        lift.change(car_status=1, car_direction=1)
        lift.now += 500
        lift.change(door_zone=0)
        lift.now += 500
        lift.change(door_zone=1, car_status=0)
        lift.close_door()
        lift.wait(20)
        if not mail:
            mail.append(repair(lift))
        lift.wait(20)
    again = mail[0].delayed_until(lift.now)
    lines = judge(lift, mail=in_order([*lift.mail, *mail, again]), firm_id="F-1")
    assert lines.cleared("unintended_car_movement")[1:] == [None]


# -- §7 stopped_outside_door_zone: "for 10 s, nobody known to be there"


def test_stopped_outside_counts_from_the_flags_fall() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(3)
    lift.change(passenger=0)
    fell = lift.s
    lift.wait(60)
    raised = judge(lift).raised("stopped_outside_door_zone")
    assert len(raised) == 1
    assert fell + 10 <= raised[0] <= fell + 14


# -- §7 "When the centre itself was away, the first 120 s after its return raise no `offline`, and what was open
#    before stays open."


def away(lift: Lift, seconds: float) -> list[tuple[float, str, str]]:
    """What is told in the 100 s after the centre's return, it having gone `seconds` after the last message."""
    equipment = list(replay_of(registry_of([lift]))._engine._names.values())
    assert equipment == [lift.equipment_id]
    run = replay_of(registry_of([lift]))
    run.batch([m.inbound() for m in lift.mail])
    gone = T0 + lift.now + round(seconds * 1000)
    run._engine.tick(gone)
    engine = Engine([])
    engine.restore(run._engine.dump(), run._decoder._register.by_number.values())
    assert isinstance(run._decoder, Decoder)
    back = gone + 600_000
    engine.resume(back)
    return [(x.at, x.kind, x.change) for x in lines_of(engine.tick(back + 100_000).faults, silence=True)]


def test_what_was_offline_before_the_centre_went_away_stays_so() -> None:
    assert away(Lift(), 300) == []


def test_lost_contact_from_before_the_centre_went_away_stays() -> None:
    lift = Lift()
    lift.board()
    assert away(lift, 100) == []


def test_a_will_from_before_the_centre_went_away_raises_nothing_at_its_return() -> None:
    lift = Lift()
    lift.link(online=False)
    assert away(lift, 10) == []


# -- §7 overspeed: cleared "below 1.05 x", so not at it (speeds come as 32-bit floats)


def test_overspeed_is_not_cleared_at_exactly_1_05() -> None:
    lift = Lift()
    lift.depart()
    for speed in (1.2, 1.2, 1.05, 1.05):
        lift.now += 1000
        lift._move(0.5)
        lift.change(speed_mps=speed)
    assert judge(lift, rated_speed_mps=1.0).cleared("overspeed") == [None]


# -- §1 durations "on its own clock": one lost heartbeat of a terminal that does not count


def test_one_lost_heartbeat_of_an_uncounted_terminal_does_not_restart_the_clock() -> None:
    lift = Lift(counts=False)
    lift.board()
    lift.run_to(5)
    came = lift.s
    lift.wait(120)
    lost = next(m for m in lift.mail if m.sent > came * 1000 + 15_000)
    raised = judge(lift, mail=lose(lift.mail, lambda m: m is lost)).raised(KIND)
    assert len(raised) == 1
    assert came + 60 <= raised[0] <= came + 74


# -- §8 `since`: "the device's clock corrected by its estimated offset", of an event right after the clock was set


@NOT_YET
def test_an_event_right_after_the_clock_was_set_back_is_told_at_once_with_its_time() -> None:
    lift = Lift()
    lift.wait(100)
    lift.set_clock(-600)
    lift.now += 3000
    lift.event(1)
    told = lift.s
    lift.wait(60)
    lines = judge(lift)
    assert lines.raised("safety_circuit_open") == [told]
    assert abs(lines.since("safety_circuit_open")[0] - told) < 5


# -- §7 history and what it goes on to be: somebody trapped at level since the outage, and still


@pytest.mark.parametrize("boards", [True, False])
def test_an_entrapment_that_history_begins_and_the_present_continues_is_told(boards: bool) -> None:
    lift = Lift()
    lift.wait(20)
    if boards:
        begin = lift.now
        lift.board()
    else:
        lift.board()
        begin = lift.now
        lift.run_to(5)
    came = lift.s
    lift.wait(40)
    end = lift.now
    lift.wait(200)
    lines = judge(lift, mail=backlog(lift.mail, begin, end, end + 10_000))
    assert len(lines.raised(KIND)) == 1
    assert lines.since(KIND) == [came]


# -- §8 `since`: "corrected by its estimated offset": in the first minute of a device whose clock is behind


def test_since_is_corrected_from_the_first_minute_on() -> None:
    lift = Lift(clock=-45_000)
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(30)
    assert abs(judge(lift).since(KIND)[0] - stopped) < 2


# -- §7 "A sample received up to 3 s after a newer one ... is put in its place; one received later than that is history"


@NOT_YET
def test_a_backlog_of_which_a_part_is_in_time_is_searched_as_one() -> None:
    out = Outage(level=True, counts=False)
    lift = out.lift
    live = next(m for m in lift.mail if m.sent > out.end)
    late = [m for m in lift.mail if out.begin <= m.sent <= out.end]
    moved = [m.delayed_until(live.at + 100 + 5 * n + (3000 if n // 3 % 2 else 0)) for n, m in enumerate(late)]
    mail = in_order([*(m for m in lift.mail if m not in late), *moved])
    assert len(judge(lift, mail=mail).raised(KIND)) == 1
