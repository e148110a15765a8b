"""Samples of state: fields, ranges, forms, clocks (protocol §1, §2)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.reading import BROKEN_CLOCK, FLOOR_UNKNOWN
from monitor.messages.decode import Decoder
from tests.messages import wire

INTEGERS = (
    ("service_mode", 0, 7),
    ("car_status", 0, 1),
    ("car_direction", 0, 2),
    ("door_zone", 0, 1),
    ("door_closed", 0, 1),
    ("passenger", 0, 1),
    ("power", 0, 1),
)
FLOATS = ("speed_mps", "position_m", "load_kg")
OPTIONAL = (*(name for name, _, _ in INTEGERS), *FLOATS, "seq", "car_position", "run_count")
NO_NUMBERS: tuple[Any, ...] = (True, False, "1", "", [], {}, [1], {"a": 1})


def unknown(name: str, value: Any) -> bool:
    if name in FLOATS:
        return math.isnan(value)
    return bool(value == (FLOOR_UNKNOWN if name == "car_position" else -1))


def row_of(payload: Any) -> Any:
    decoded = wire.decode(wire.inbound(wire.STATUS, payload))
    assert not decoded.quarantined, decoded.quarantined
    assert len(decoded.samples) == 1
    return decoded.samples[0]


def reason_of(payload: Any, topic: str = wire.STATUS) -> str:
    decoded = wire.decode(wire.inbound(topic, payload))
    assert len(decoded.samples) == 0
    (aside,) = decoded.quarantined
    return aside.reason


@pytest.mark.parametrize(("name", "low", "high"), INTEGERS)
def test_code_takes_its_range_and_nothing_else(name: str, low: int, high: int) -> None:
    for value in range(low, high + 1):
        assert row_of(wire.without(**{name: value}))[name] == value
    for value in (low - 1, high + 1, 2**40, -(2**70)):
        assert reason_of(wire.without(**{name: value})) == "range", value
    for value in (1.5, 1.0, *NO_NUMBERS):
        assert reason_of(wire.without(**{name: value})) == "type", value


@pytest.mark.parametrize("name", FLOATS)
def test_quantity_takes_numbers_and_nothing_else(name: str) -> None:
    for value in (0, 0.25, 3, 1e-300, 2**60):
        assert row_of(wire.without(**{name: value}))[name] == np.float32(value), value
    for value in NO_NUMBERS:
        assert reason_of(wire.without(**{name: value})) == "type", value


@pytest.mark.parametrize("name", ["position_m", "load_kg"])
def test_quantity_may_be_negative(name: str) -> None:
    assert row_of(wire.without(**{name: -0.5}))[name] == -0.5


def test_speed_is_never_negative() -> None:
    assert reason_of(wire.without(speed_mps=-0.01)) == "range"
    assert row_of(wire.without(speed_mps=-0.0))["speed_mps"] == 0


@pytest.mark.parametrize("name", FLOATS)
def test_quantity_beyond_single_precision_is_clamped(name: str) -> None:
    assert row_of(wire.without(**{name: 1e300}))[name] == np.finfo(np.float32).max
    assert row_of(wire.without(**{name: 10**30}))[name] == np.float32(1e30)


@pytest.mark.parametrize("name", OPTIONAL)
def test_missing_and_null_are_unknown(name: str) -> None:
    assert unknown(name, row_of(wire.without(name))[name])
    assert unknown(name, row_of(wire.without(**{name: None}))[name])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (0, 0),
        (-3, -3),
        (2**31 - 1, 2**31 - 1),
        (2**31, 2**31 - 1),
        (10**30, 2**31 - 1),
        (-(2**31), -(2**31) + 1),
        (-(10**30), -(2**31) + 1),
    ],
)
def test_floor_beyond_int32_is_clamped(sent: int, kept: int) -> None:
    assert row_of(wire.without(car_position=sent))["car_position"] == kept
    # the same beside samples that need no care
    batch = wire.decode(
        *[wire.inbound(wire.STATUS, wire.without(car_position=one)) for one in (5, sent, None)],
        wire.inbound(wire.STATUS, wire.without("car_position")),
    )
    assert batch.samples["car_position"].tolist() == [5, kept, FLOOR_UNKNOWN, FLOOR_UNKNOWN]


@pytest.mark.parametrize("value", [1.5, *NO_NUMBERS])
def test_floor_is_an_integer(value: Any) -> None:
    assert reason_of(wire.without(car_position=value)) == "type"


@pytest.mark.parametrize(("sent", "kept"), [(0, 0), (2**53, 2**53), (10**30, 2**63 - 1), (-4, -1), (-(10**30), -1)])
def test_run_count(sent: int, kept: int) -> None:
    assert row_of(wire.without(run_count=sent))["run_count"] == kept


@pytest.mark.parametrize("name", ["ts", "seq"])
def test_instants_and_counters_are_exact_to_53_bits(name: str) -> None:
    for value in (2**53, -(2**53), 2**53 - 1, 0, -1, -2):
        assert row_of(wire.without(**{name: value}))[name] == value
    for value in (2**53 + 1, -(2**53) - 1, 2**63, 10**30):
        assert reason_of(wire.without(**{name: value})) == "range"
    for value in (1.5, 1764547200000.0, *NO_NUMBERS):
        assert reason_of(wire.without(**{name: value})) == "type", value


def test_ts_is_required() -> None:
    assert reason_of(wire.without("ts")) == "missing"
    assert reason_of({}) == "missing"
    assert reason_of(wire.without(ts=None)) in {"missing", "type"}


def test_impossible_combination_is_data() -> None:
    row = row_of(wire.without(car_status=1, door_closed=0, door_zone=0, car_direction=0, speed_mps=0, power=0))
    assert (row["car_status"], row["door_closed"], row["door_zone"]) == (1, 0, 0)


@pytest.mark.parametrize(
    "extra",
    [
        {"rssi": -71},
        {"firmware": "a:b:c"},
        {"note": 'quote " and \\ and 门'},
        {"nested": {"a": [1, {"b": "c:d"}]}},
        {"ts ": 1},
        {"a:b": 1},
        {"big": 10**400},
        {"kind": "elevator", "division": "1"},
        {"seq2": None},
    ],
)
def test_unknown_fields_are_ignored(extra: dict[str, Any]) -> None:
    plain, more = wire.decode(
        wire.inbound(wire.STATUS, wire.SAMPLE), wire.inbound(wire.STATUS, {**wire.SAMPLE, **extra})
    ).samples
    assert plain.tobytes() == more.tobytes()


def test_whitespace_and_escapes_in_keys_say_the_same() -> None:
    spaced = json.dumps(wire.SAMPLE, indent=2).encode() + b"\r\n\t "
    escaped = json.dumps(wire.SAMPLE).replace('"seq"', '"s\\u0065q"').encode()
    plain, first, second = wire.decode(
        *[wire.inbound(wire.STATUS, one) for one in (wire.SAMPLE, spaced, escaped)]
    ).samples
    assert plain.tobytes() == first.tobytes() == second.tobytes()


def test_own_equipment_id_may_be_repeated_and_no_other() -> None:
    assert row_of({"equipment_id": wire.LIFT, **wire.SAMPLE})["number"] == 1
    assert row_of({"equipment_id": None, **wire.SAMPLE})["number"] == 1
    for other in (wire.ESCALATOR, "", "a:b", wire.LIFT + "0"):
        assert reason_of({"equipment_id": other, **wire.SAMPLE}) == "mismatch"
    assert reason_of({"equipment_id": 7, **wire.SAMPLE}) == "type"


def test_array_keeps_its_order() -> None:
    samples = [wire.without(seq=seq) for seq in (3, 1, 2)]
    decoded = wire.decode(
        wire.inbound(wire.STATUS, wire.without(seq=9)), wire.inbound(wire.STATUS, samples), wire.inbound(wire.LINK, b"")
    )
    assert decoded.samples["seq"].tolist() == [9, 3, 1, 2]
    assert decoded.sample_order.tolist() == [0, 1, 1, 1]
    assert decoded.sample_order.dtype == np.int32


@pytest.mark.parametrize("size", [1, 1000])
def test_array_may_hold_a_thousand(size: int) -> None:
    assert len(wire.decode(wire.inbound(wire.STATUS, [{"ts": 1}] * size)).samples) == size


@pytest.mark.parametrize("payload", [[], [{"ts": 1}] * 1001, [[{"ts": 1}]], [1], 1, "x", None, True, [{"ts": 1}, None]])
def test_other_shapes_are_refused(payload: Any) -> None:
    assert reason_of(payload) == "shape"


def test_one_bad_object_sets_the_whole_array_aside() -> None:
    bad = [wire.SAMPLE, wire.without(door_zone=2), wire.SAMPLE]
    decoded = wire.decode(wire.inbound(wire.STATUS, bad), wire.inbound(wire.STATUS, wire.SAMPLE))
    assert decoded.sample_order.tolist() == [1]
    assert [aside.reason for aside in decoded.quarantined] == ["range"]
    assert json.loads(decoded.quarantined[0].payload) == bad


@pytest.mark.parametrize(
    ("topic", "number"),
    [
        (f"se/v1/610926/escalator/{wire.ESCALATOR}/status", 2),
        (f"se/v1/999999/walkway/{wire.WALKWAY}/status", 3),  # another division than the registry's: the registry wins
    ],
)
def test_escalator_and_walkway(topic: str, number: int) -> None:
    payload = {
        "ts": wire.NOW,
        "seq": 4,
        "service_mode": 1,
        "moving": 1,
        "direction": 2,
        "speed_mps": 0.5,
        "passenger": 0,
        "power": 1,
    }
    decoded = wire.decode(wire.inbound(topic, payload))
    (row,) = decoded.samples
    got = [row[name].item() for name in ("number", "ts", "seq", "service_mode", "car_status", "car_direction")]
    assert got == [number, wire.NOW, 4, 1, 1, 2]
    assert [row[name].item() for name in ("speed_mps", "passenger", "power")] == [0.5, 0, 1]
    for name in ("door_zone", "door_closed", "car_position", "position_m", "load_kg", "run_count"):
        assert unknown(name, row[name]), name
    for wrong in ({"moving": 2}, {"direction": 3}, {"service_mode": 8}, {"speed_mps": -1}):
        assert reason_of({**payload, **wrong}, topic) == "range"


def test_lift_fields_say_nothing_of_an_escalator() -> None:
    topic = f"se/v1/610926/escalator/{wire.ESCALATOR}/status"
    (row,) = wire.decode(wire.inbound(topic, {"ts": wire.NOW, "car_status": 9, "door_closed": "open"})).samples
    assert row["car_status"] == -1


def test_kinds_mixed_in_one_batch_stay_in_receive_order() -> None:
    stair = f"se/v1/610926/escalator/{wire.ESCALATOR}/status"
    messages = [wire.inbound(topic, {"ts": wire.NOW}) for topic in (stair, wire.STATUS, stair, wire.STATUS, "x")]
    decoded = wire.decode(*messages)
    assert decoded.samples["number"].tolist() == [2, 1, 2, 1]
    assert decoded.sample_order.tolist() == [0, 1, 2, 3]


DAY = 86_400_000


@pytest.mark.parametrize(
    ("ahead", "broken"),
    [
        (0, False),
        (DAY, False),
        (DAY + 1, True),
        (-31 * DAY, False),
        (-31 * DAY - 1, True),
        (-wire.NOW, True),  # 1970
        (4_102_444_800_000 - wire.NOW, True),  # 2100
        (2**53 - wire.NOW, True),
        (-(2**53) - wire.NOW, True),
    ],
)
def test_broken_clock_is_judged_at_the_receive_time(ahead: int, broken: bool) -> None:
    row = row_of(wire.without(ts=wire.NOW + ahead))
    assert row["ts"] == wire.NOW + ahead
    assert row["time_ms"] == (wire.NOW if broken else wire.NOW + ahead)
    assert row["flags"] == (BROKEN_CLOCK if broken else 0)


def test_values_of_another_kind() -> None:
    topic = f"se/v1/610926/boiler/{wire.BOILER}/status"
    payload = {"ts": wire.NOW, "seq": 2, "values": {"steam_mpa": 1.25, "level": 3, "unset": None, "水位": -1}}
    (order, found), *rest = wire.decode(wire.inbound(topic, payload)).measurements
    assert (order, rest) == (0, [])
    assert found.values == {"steam_mpa": 1.25, "level": 3.0, "水位": -1.0}
    assert all(type(one) is float for one in found.values.values())
    assert (found.number, found.ts, found.seq, found.time_ms, found.broken_clock) == (4, wire.NOW, 2, wire.NOW, False)
    (_, old), *_ = wire.decode(wire.inbound(topic, {"ts": 0, "values": {}})).measurements
    assert (old.ts, old.seq, old.time_ms, old.broken_clock) == (0, -1, wire.NOW, True)
    for wrong, reason in (
        ({"values": {"a": "1"}}, "type"),
        ({"values": {"a": True}}, "type"),
        ({"values": [1]}, "type"),
        ({"values": {"": 1}}, "range"),
        ({"values": {"a" * 65: 1}}, "range"),
        ({"ts": "x"}, "type"),
    ):
        (aside,) = wire.decode(wire.inbound(topic, {**payload, **wrong})).quarantined
        assert aside.reason == reason, wrong


# Gateways


def of(equipment_id: Any, **changed: Any) -> dict[str, Any]:
    return {"equipment_id": equipment_id, **wire.without(**changed)}


def test_gateway_reports_for_several() -> None:
    decoder = Decoder(wire.register())
    batch = [of(wire.LIFT, seq=1), of("NEW-1", seq=2), of(wire.LIFT, seq=3)]
    first = decoder.decode([wire.inbound(wire.GATEWAY, batch)])
    assert [one.equipment_id for one in first.new_equipment] == ["NEW-1"]
    new = first.new_equipment[0]
    assert (new.kind, new.division, new.registered) == (EquipmentKind.LIFT, "610926", False)
    second = decoder.decode([wire.inbound(wire.GATEWAY, batch)])
    assert second.new_equipment == ()
    for decoded in (first, second):
        assert decoded.samples["number"].tolist() == [1, new.number, 1]
        assert decoded.samples["seq"].tolist() == [1, 2, 3]
        assert not decoded.quarantined


def test_gateway_may_send_one_object() -> None:
    assert wire.decode(wire.inbound(wire.GATEWAY, of(wire.LIFT))).samples["number"].tolist() == [1]


@pytest.mark.parametrize(
    ("equipment_id", "reason"),
    [(None, "missing"), ("", "range"), ("a b", "range"), ("电梯", "range"), ("x" * 33, "range"), (5, "type")],
)
def test_gateway_object_names_its_equipment(equipment_id: Any, reason: str) -> None:
    decoder = Decoder(wire.register())
    message = wire.inbound(wire.GATEWAY, [of("NEW-2"), of(equipment_id)])
    decoder.decode([wire.inbound(wire.GATEWAY, [of(wire.LIFT)])])
    decoded = decoder.decode([message])
    assert [aside.reason for aside in decoded.quarantined] == [reason]
    assert len(decoded.samples) == 0
    assert decoded.new_equipment == ()  # a message that cannot be read leaves no trace in the register


def test_gateway_of_another_kind_leaves_out_only_what_does_not_fit() -> None:
    decoded = wire.decode(wire.inbound(wire.GATEWAY, [of(wire.ESCALATOR), of(wire.LIFT)]))
    assert decoded.samples["number"].tolist() == [1]
    assert [aside.reason for aside in decoded.quarantined] == ["kind_mismatch"]


def test_unregistered_equipment_is_bounded() -> None:
    decoder = Decoder(wire.register(unregistered_limit=1))
    batch = [of(name) for name in ("NEW-1", "NEW-2", wire.LIFT)]
    for _ in range(2):
        decoded = decoder.decode([wire.inbound(wire.GATEWAY, batch), wire.inbound(wire.GATEWAY, of("NEW-3"))])
        assert decoded.samples["number"].tolist() == [5, 1]
        assert [aside.reason for aside in decoded.quarantined] == ["unregistered_limit"] * 2


@pytest.mark.parametrize("channel", ["status", "event", "link", "ride"])
def test_topic_and_registry_disagree_on_the_kind(channel: str) -> None:
    topic = f"se/v1/610926/walkway/{wire.LIFT}/{channel}"
    payload = {
        "ts": wire.NOW,
        "code": 1,
        "state": "raised",
        "online": True,
        "rate_hz": 1,
        "unit": "m/s2",
        **{axis: [0.0] for axis in "xyz"},
    }
    assert reason_of(payload, topic) == "kind_mismatch"


def test_unknown_equipment_gets_a_number_whichever_message_comes_first() -> None:
    decoder = Decoder(wire.register())
    link = wire.inbound("se/v1/610926/lift/L-9/link", {"ts": 1, "online": True})
    decoded = decoder.decode([link, wire.inbound("se/v1/610926/lift/L-9/status", wire.SAMPLE)])
    assert [one.equipment_id for one in decoded.new_equipment] == ["L-9"]
    assert decoded.links[0][1].number == decoded.samples["number"][0] == decoded.new_equipment[0].number


def test_replaced_equipment_is_looked_up_anew() -> None:
    register = wire.register()
    decoder = Decoder(register)
    message = wire.inbound(wire.STATUS, wire.SAMPLE)
    gateway = wire.inbound(wire.GATEWAY, of(wire.LIFT))
    assert len(wire.decode(message, gateway, decoder=decoder).samples) == 2
    register.add(Equipment(number=1, equipment_id=wire.LIFT, division="610926", kind=EquipmentKind.WALKWAY))
    decoded = decoder.decode([message, gateway])
    assert [aside.reason for aside in decoded.quarantined] == ["kind_mismatch"] * 2


def test_empty_batch() -> None:
    decoded = Decoder(wire.register()).decode([])
    assert len(decoded.samples) == len(decoded.sample_order) == 0
    assert decoded.new_equipment == ()
