"""Events, links, rides, calls and actions (protocol §1, §3-6)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from monitor.domain.commit import ActionRecord, CallRecord
from tests.messages import wire

KINDS = {
    1: "safety_circuit_open",
    2: "door_close_fault",
    3: "door_open_fault",
    4: "stopped_outside_door_zone",
    5: "unintended_car_movement",
    6: "motor_run_limiter",
    7: "floor_position_lost",
    8: "restart_prevented",
    40: "auto_restored",
    41: "main_power_off",
    42: "out_of_service",
    43: "inspection",
    44: "fire_return",
    45: "firefighter",
    46: "emergency_power",
    47: "earthquake",
    90: "car_alarm_button",
}
OLD = wire.NOW - 32 * 86_400_000


def event_of(payload: Any, topic: str = wire.EVENT) -> Any:
    decoded = wire.decode(wire.inbound(topic, payload))
    assert not decoded.quarantined, decoded.quarantined
    ((order, found),) = decoded.events
    assert order == 0
    return found


def reason_of(topic: str, payload: Any) -> str:
    decoded = wire.decode(wire.inbound(topic, payload))
    assert wire.said(decoded) == 0
    (aside,) = decoded.quarantined
    return aside.reason


EVENT = {"ts": wire.NOW, "code": 2, "state": "raised"}


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
@pytest.mark.parametrize("state", ["raised", "cleared"])
def test_code_of_the_protocol(code: int, kind: str, state: str) -> None:
    found = event_of({"ts": wire.NOW, "code": code, "state": state})
    assert (found.code, found.kind, found.state, found.vendor_code) == (code, kind, state, None)
    assert (found.seq, found.test, found.text) == (-1, False, None)


@pytest.mark.parametrize(
    ("code", "vendor_code", "kind", "kept"),
    [
        (0, "BROKEN", "reported_fault", "BROKEN"),
        (0, "0101", "reported_fault", "0101"),  # another platform's code means nothing without its profile
        (9, None, "reported_fault", "9"),
        (93, None, "reported_fault", "93"),
        (2**31 - 1, None, "reported_fault", "2147483647"),
        (9, "E9", "reported_fault", "E9"),
        (2, "E2", "door_close_fault", "E2"),
    ],
)
def test_code_of_a_maker(code: int, vendor_code: str | None, kind: str, kept: str) -> None:
    found = event_of({**EVENT, "code": code, "vendor_code": vendor_code})
    assert (found.code, found.kind, found.vendor_code) == (code, kind, kept)


@pytest.mark.parametrize("nothing", [{}, {"vendor_code": None}, {"vendor_code": ""}])
def test_code_0_without_vendor_code_says_nothing(nothing: dict[str, Any]) -> None:
    assert reason_of(wire.EVENT, {**EVENT, "code": 0, **nothing}) == "event_code"


def test_car_alarm_button_and_its_test() -> None:
    assert event_of({"ts": wire.NOW, "code": 90}).state == "raised"
    found = event_of({"ts": wire.NOW, "code": 90, "state": "raised", "test": True})
    assert (found.kind, found.test) == ("car_alarm_button", True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"code": None}, "missing"),
        ({"state": None}, "missing"),
        ({"ts": None}, "missing"),
        ({"code": "2"}, "type"),
        ({"code": 2.0}, "type"),
        ({"code": True}, "type"),
        ({"code": -1}, "range"),
        ({"code": 2**31}, "range"),
        ({"state": "open"}, "range"),
        ({"state": 1}, "type"),
        ({"text": 5}, "type"),
        ({"vendor_code": 203}, "type"),
        ({"vendor_code": "x" * 129}, "range"),
        ({"test": 1}, "type"),
        ({"seq": "1"}, "type"),
        ({"ts": 2**53 + 1}, "range"),
        ({"equipment_id": "other"}, "mismatch"),
    ],
)
def test_wrong_event_is_set_aside(wrong: dict[str, Any], reason: str) -> None:
    assert reason_of(wire.EVENT, {**EVENT, **wrong}) == reason


def test_event_of_a_broken_clock_happens_at_receipt() -> None:
    found = event_of({**EVENT, "ts": OLD})
    assert (found.ts, found.time_ms) == (OLD, wire.NOW)
    assert event_of({**EVENT, "ts": wire.NOW - 60_000}).time_ms == wire.NOW - 60_000


def test_events_of_a_gateway() -> None:
    batch = [{**EVENT, "equipment_id": one, "seq": seq} for seq, one in enumerate((wire.LIFT, "NEW-1", wire.LIFT))]
    decoded = wire.decode(wire.inbound(wire.STATUS, wire.SAMPLE), wire.inbound(wire.GATEWAY_EVENT, batch))
    assert [(order, found.number, found.seq) for order, found in decoded.events] == [(1, 1, 0), (1, 5, 1), (1, 1, 2)]
    assert reason_of(wire.GATEWAY_EVENT, [*batch, EVENT]) == "missing"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"online": True}, "missing"),
        ({"ts": 1}, "missing"),
        ({"ts": 1, "online": 1}, "type"),
        ({"ts": 1, "online": "true"}, "type"),
        ({"ts": 1, "online": None}, "missing"),
        ({"ts": "1", "online": True}, "type"),
    ],
)
def test_wrong_link_is_set_aside(payload: Any, reason: str) -> None:
    assert reason_of(wire.LINK, payload) == reason


RIDE = {"ts": wire.NOW, "rate_hz": 100, "unit": "m/s2", "x": [0.5, -1, 0], "y": [1e-9, 2, 3.25], "z": [0, 0, -9.5]}


def test_ride() -> None:
    ((order, ride),) = wire.decode(wire.inbound(wire.RIDE, RIDE)).rides
    assert (order, ride.number, ride.ts, ride.time_ms, ride.rate_hz) == (0, 1, wire.NOW, wire.NOW, 100.0)
    for axis in ("x", "y", "z"):
        values = getattr(ride, axis)
        assert values.dtype == np.float32
        assert values.tolist() == np.array(RIDE[axis], np.float32).tolist()


def test_longest_ride_is_a_minute() -> None:
    axes = {axis: [0.0] * 300 for axis in "xyz"}
    assert len(wire.decode(wire.inbound(wire.RIDE, {**RIDE, "rate_hz": 5, **axes})).rides) == 1
    assert reason_of(wire.RIDE, {**RIDE, "rate_hz": 4.99, **axes}) == "ride"


def test_ride_beyond_single_precision_is_clamped_and_stays_finite() -> None:
    ((_, ride),) = wire.decode(wire.inbound(wire.RIDE, {**RIDE, "x": [1e300, -1e300, 0]})).rides
    assert all(math.isfinite(one) for one in ride.x.tolist())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"x": []}, "ride"),
        ({"x": [], "y": [], "z": []}, "ride"),
        ({"z": [1.0, 2.0]}, "ride"),
        ({"x": [0, 0, 0, 0]}, "ride"),
        ({"x": [0, None, 0]}, "type"),
        ({"x": [0, "1", 0]}, "type"),
        ({"x": [0, True, 0]}, "type"),
        ({"x": 1}, "type"),
        ({"x": None}, "missing"),
        ({"unit": None}, "missing"),
        ({"unit": "g"}, "range"),
        ({"rate_hz": None}, "missing"),
        ({"rate_hz": 0}, "range"),
        ({"rate_hz": -1}, "range"),
        ({"rate_hz": 1e9}, "range"),
        ({"rate_hz": "100"}, "type"),
        ({"ts": None}, "missing"),
    ],
)
def test_wrong_ride_is_set_aside(wrong: dict[str, Any], reason: str) -> None:
    assert reason_of(wire.RIDE, {**RIDE, **wrong}) == reason


CALL = {
    "ts": wire.NOW,
    "event": "offered",
    "direction": "in",
    "source": "phone",
    "caller": "13812345678",
    "rescue_code": "080001",
    "equipment_id": wire.LIFT,
    "type": "entrapment",
    "trapped": 2,
    "injured": 0,
    "operator": "王",
    "language": "zh",
    "text": "三楼: 困人",
    "location": {"lat": 32.5, "lon": 110},
    "incident_id": "I-1",
    "recording": {"ref": "r/1", "sha256": "00"},
    "extra": [1, {"a": 1.5}],
}


def test_call_is_kept_whole() -> None:
    decoded = wire.decode(wire.inbound(wire.CALLS, CALL))
    record = CallRecord(
        division="610926", call_id="C-1", event="offered", ts=wire.NOW, received_ms=wire.NOW, payload=CALL
    )
    assert decoded.calls == [(0, record)]


def test_call_needs_only_when_what_and_whence() -> None:
    payload = {"ts": OLD, "event": "ended", "source": "car_button"}
    ((_, call),) = wire.decode(wire.inbound(wire.CALLS, payload)).calls
    assert (call.ts, call.event, call.payload) == (OLD, "ended", payload)


def test_progress_of_a_call_may_come_as_an_array() -> None:
    steps = [{**CALL, "event": event} for event in ("offered", "answered", "abandoned", "ended")]
    assert [call.event for _, call in wire.decode(wire.inbound(wire.CALLS, steps)).calls] == [
        "offered",
        "answered",
        "abandoned",
        "ended",
    ]


def test_integers_that_no_database_holds_become_floats() -> None:
    payload = {**CALL, "big": [2**63, -(2**63), {"bigger": 10**400}]}
    ((_, call),) = wire.decode(wire.inbound(wire.CALLS, payload)).calls
    big = call.payload["big"]
    assert big[:2] == [2.0**63, -(2**63)]
    assert type(big[0]) is float
    assert big[2]["bigger"] > 1e308


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"ts": None}, "missing"),
        ({"event": None}, "missing"),
        ({"source": None}, "missing"),
        ({"event": "rung"}, "range"),
        ({"source": "fax"}, "range"),
        ({"type": "other"}, "range"),
        ({"direction": "up"}, "range"),
        ({"trapped": -1}, "range"),
        ({"trapped": 1.5}, "type"),
        ({"injured": "2"}, "type"),
        ({"location": {"lat": 91, "lon": 0}}, "range"),
        ({"location": {"lat": 0, "lon": -181}}, "range"),
        ({"location": {"lat": 0}}, "missing"),
        ({"location": [0, 0]}, "type"),
        ({"recording": {"ref": "x"}}, "missing"),
        ({"equipment_id": "a b"}, "range"),
        ({"equipment_id": ""}, "range"),
        ({"incident_id": "x" * 129}, "range"),
        ({"call_id": "C-2"}, "mismatch"),
        ({"caller": 13812345678}, "type"),
    ],
)
def test_wrong_call_is_set_aside(wrong: dict[str, Any], reason: str) -> None:
    assert reason_of(wire.CALLS, {**CALL, **wrong}) == reason


ACTION = {"ts": wire.NOW, "id": "a-1", "incident_id": "I-1", "action": "accept", "by": "李", "x": 1}


def test_action_is_kept_whole() -> None:
    record = ActionRecord(
        firm_id="F-1",
        key="a-1",
        ts=wire.NOW,
        received_ms=wire.NOW,
        action="accept",
        equipment_id=None,
        incident_id="I-1",
        payload=ACTION,
    )
    assert wire.decode(wire.inbound(wire.ACTIONS, ACTION)).actions == [(0, record)]


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ({"ts": 5, "action": "free", "incident_id": "I-1"}, "5/free/I-1"),
        ({"ts": 5, "action": "free", "equipment_id": wire.LIFT}, f"5/free/{wire.LIFT}"),
        ({"ts": 5, "action": "free", "equipment_id": wire.LIFT, "incident_id": "I-1"}, "5/free/I-1"),
        ({"ts": 5, "action": "free", "equipment_id": wire.LIFT, "id": 17}, "17"),
        ({"ts": 5, "action": "free", "equipment_id": wire.LIFT, "id": None}, f"5/free/{wire.LIFT}"),
    ],
)
def test_key_of_an_action(payload: dict[str, Any], key: str) -> None:
    ((_, action),) = wire.decode(wire.inbound(wire.ACTIONS, payload)).actions
    assert action.key == key


@pytest.mark.parametrize(
    "action", ["accept", "decline", "en_route", "arrive", "free", "repair", "self_freed", "false_alarm", "note"]
)
def test_every_action(action: str) -> None:
    full = {
        **ACTION,
        "action": action,
        "reason": "too_far",
        "persons_freed": 2,
        "cause": "301",
        "location": {"lat": 1.5, "lon": 2},
        "text": "门锁: ok",
    }
    ((_, found),) = wire.decode(wire.inbound(wire.ACTIONS, full)).actions
    assert (found.action, found.payload) == (action, full)


@pytest.mark.parametrize("cause", ["101", "109", "110", "199", "200", "299", "699", "700"])
def test_cause_classes(cause: str) -> None:
    assert len(wire.decode(wire.inbound(wire.ACTIONS, {**ACTION, "cause": cause})).actions) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"incident_id": None}, "target"),
        ({"ts": None}, "missing"),
        ({"action": None}, "missing"),
        ({"action": "close"}, "range"),
        ({"reason": "tired"}, "range"),
        ({"cause": "100"}, "range"),
        ({"cause": "701"}, "range"),
        ({"cause": "301\n"}, "range"),
        ({"cause": 301}, "type"),
        ({"persons_freed": -1}, "range"),
        ({"persons_freed": "2"}, "type"),
        ({"id": ""}, "range"),
        ({"id": 1.5}, "type"),
        ({"equipment_id": "a/b"}, "range"),
        ({"firm_id": "F-2"}, "mismatch"),
        ({"location": {"lat": "1", "lon": 2}}, "type"),
    ],
)
def test_wrong_action_is_set_aside(wrong: dict[str, Any], reason: str) -> None:
    assert reason_of(wire.ACTIONS, {**ACTION, **wrong}) == reason
