"""Coded events: what they raise, what clears them, twice, late and out of order (protocol §1, §3, §7)."""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.network import delay, doubled, outage
from tests.detectors.world import Lift

KINDS = {
    1: "safety_circuit_open",
    2: "door_close_fault",
    3: "door_open_fault",
    4: "stopped_outside_door_zone",
    5: "unintended_car_movement",
    6: "motor_run_limiter",
    7: "floor_position_lost",
    8: "restart_prevented",
    41: "main_power_off",
    42: "out_of_service",
    43: "inspection",
    44: "fire_return",
    45: "firefighter",
    46: "emergency_power",
    47: "earthquake",
}


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_a_code_is_raised_and_cleared_by_its_own_clearing(code: int, kind: str) -> None:
    lift = Lift()
    lift.wait(5)
    lift.event(code)
    raised = lift.s
    lift.wait(100)
    lift.event(code, "cleared")
    cleared = lift.s
    lift.wait(20)
    lines = judge(lift)
    assert lines.spans(kind) == [(raised, cleared)]
    assert lines.kinds() == {kind}
    assert lines.since(kind) == [raised]


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_code_40_clears_what_was_left_raised(code: int, kind: str) -> None:
    lift = Lift()
    lift.wait(5)
    lift.event(code)
    raised = lift.s
    lift.wait(100)
    lift.event(40)
    restored = lift.s
    lift.wait(20)
    lines = judge(lift)
    assert lines.spans(kind) == [(raised, restored)]
    assert lines.raised("auto_restored") == [restored]


def test_code_40_clears_nothing_of_another_lift() -> None:
    one, other = Lift(equipment_id="L-1"), Lift(equipment_id="L-2")
    one.event(1)
    other.event(1)
    one.wait(20)
    other.wait(20)
    one.event(40)
    lines = judge(one, other)
    assert lines.cleared("safety_circuit_open", "L-1") == [one.s]
    assert lines.cleared("safety_circuit_open", "L-2") == [None]


def test_code_40_does_not_clear_a_makers_own_fault() -> None:
    lift = Lift()
    lift.event(0, vendor_code="E17")
    lift.wait(20)
    lift.event(40)
    lift.wait(20)
    assert judge(lift).cleared("reported_fault") == [None]


def test_reported_faults_stay_until_each_is_cleared() -> None:
    lift = Lift()
    for code in ("E1", "E2"):
        lift.event(0, vendor_code=code)
        lift.wait(5)
    lift.event(0, "cleared", vendor_code="E1")
    lift.wait(5)
    lift.event(0, "cleared", vendor_code="E2")
    spans = judge(lift).spans("reported_fault")
    assert spans[0][0] == 10
    assert spans[-1][1] == lift.s
    assert all(end is not None for _, end in spans)


def test_two_codes_at_once_are_two_faults() -> None:
    lift = Lift()
    lift.event(1)
    lift.event(8)
    lift.wait(5)
    lift.event(1, "cleared")
    lift.wait(5)
    lines = judge(lift)
    assert lines.spans("safety_circuit_open") == [(10, 15)]
    assert lines.spans("restart_prevented") == [(10, None)]


def test_a_kind_raised_by_event_and_rule_stays_until_both_have_cleared() -> None:
    for rule_first in (False, True):
        lift = Lift()
        lift.open_door()
        lift.wait(100)
        lift.event(2)
        told = lift.s
        lift.wait(50)
        if rule_first:
            lift.close_door()
            lift.wait(10)
            lift.event(2, "cleared")
        else:
            lift.event(2, "cleared")
            lift.wait(10)
            lift.close_door()
        last = lift.s
        lift.wait(20)
        assert judge(lift).spans("door_close_fault") == [(told, last)]


def test_the_same_event_again_changes_nothing() -> None:
    lift = Lift()
    lift.event(1)
    lift.wait(10)
    lift.event(1, "cleared")
    lift.event(90)
    lift.wait(60)
    once = judge(lift)
    for after in (1, 3000, 20_000, 50_000):
        assert judge(lift, mail=doubled(lift.mail, after, lambda m: m.code is not None)) == once


def test_events_of_one_instant_with_different_codes_or_numbers_are_different() -> None:
    lift = Lift()
    lift.event(90, seq=1)
    lift.event(90, seq=2)
    lift.wait(5)
    assert len(judge(lift).raised("car_alarm_button")) == 2


def test_a_raise_that_comes_after_its_clearing_is_not_raised() -> None:
    lift = Lift()
    lift.event(1)
    lift.wait(2)
    lift.event(1, "cleared")
    lift.wait(60)
    mail = delay(lift.mail, 2500, lambda m: m.code == 1 and m.payload["state"] == "raised")
    assert judge(lift, mail=mail).raised("safety_circuit_open") == []


def test_a_late_raise_is_raised_with_its_own_since() -> None:
    lift = Lift()
    lift.wait(5)
    lift.event(1)
    since = lift.s
    lift.wait(60)
    lines = judge(lift, mail=delay(lift.mail, 40_000, lambda m: m.code == 1))
    assert lines.since("safety_circuit_open") == [since]
    assert since + 40 <= lines.raised("safety_circuit_open")[0] <= since + 44


def test_in_a_late_burst_what_is_over_is_not_raised_and_what_is_not_is() -> None:
    lift = Lift()
    lift.wait(20)
    begin = lift.now
    lift.wait(5)
    lift.event(1)
    lift.event(8)
    since = lift.s
    lift.wait(20)
    lift.event(1, "cleared")
    lift.wait(30)
    end = lift.now
    lift.wait(60)
    lines = judge(lift, mail=outage(lift.mail, begin, end))
    assert lines.raised("safety_circuit_open") == []
    assert len(lines.raised("restart_prevented")) == 1
    assert end / 1000 <= lines.raised("restart_prevented")[0] <= end / 1000 + 4
    assert lines.since("restart_prevented") == [since]


def test_the_alarm_button_reaches_an_operator_however_late() -> None:
    lift = Lift()
    lift.wait(5)
    lift.event(90)
    lift.wait(60)
    assert len(judge(lift, mail=delay(lift.mail, 55_000, lambda m: m.code == 90)).raised("car_alarm_button")) == 1


@pytest.mark.parametrize("mode", range(8))
def test_the_alarm_button_reaches_an_operator_in_every_mode(mode: int) -> None:
    lift = Lift()
    lift.change(service_mode=mode)
    lift.event(90)
    assert judge(lift).raised("car_alarm_button") == [lift.s]


def test_an_event_before_any_sample_counts() -> None:
    lift = Lift()
    lift.mail.clear()
    lift.event(1)
    lift.event(90)
    lines = judge(lift)
    assert lines.raised("safety_circuit_open") == [lift.s]
    assert lines.raised("car_alarm_button") == [lift.s]


def test_an_event_raised_twice_is_one_fault() -> None:
    lift = Lift()
    lift.event(1)
    lift.wait(10)
    lift.event(1)
    lift.wait(10)
    lift.event(1, "cleared")
    assert judge(lift).spans("safety_circuit_open") == [(10, lift.s)]


@pytest.mark.parametrize("clock", [-600_000, 600_000])
def test_an_event_of_a_device_whose_clock_is_off_is_told_at_once_with_corrected_since(clock: int) -> None:
    lift = Lift(clock=clock)
    lift.wait(100)
    lift.event(1)
    lines = judge(lift)
    assert lines.raised("safety_circuit_open") == [lift.s]
    assert abs(lines.since("safety_circuit_open")[0] - lift.s) < 1
