"""Other forms and other kinds: gateways, escalators, walkways, quantities, unregistered lifts, what cannot be read."""

from __future__ import annotations

import pytest

from tests.detectors.judged import changes, judge, lines_of
from tests.detectors.world import DIVISION, T0, Lift, Message, merged, registry_entry


def ways() -> list[Lift]:
    """Three lifts of one building: trapped off level, door held open, normal traffic."""
    one, two, three = (Lift(equipment_id=f"L-{n}") for n in (1, 2, 3))
    one.board()
    one.stop_between(4)
    one.wait(150)
    two.open_door()
    two.wait(170)
    for _ in range(5):
        three.board()
        three.run_to(6)
        three.alight()
        three.wait(5)
        three.run_to(1)
    return [one, two, three]


def through_gateway(lifts: list[Lift], every_ms: int) -> list[Message]:
    """The samples of several lifts, put into one message each `every_ms`."""
    slots: dict[int, list[dict[str, object]]] = {}
    for lift in lifts:
        for message in lift.mail:
            slot = -(-message.sent // every_ms) * every_ms
            slots.setdefault(slot, []).append({"equipment_id": lift.equipment_id, **message.payload})
    topic = f"se/v1/{DIVISION}/lift/@G-1/status"
    return [Message(sent=at, at=at + 100, topic=topic, payload=held) for at, held in sorted(slots.items())]


def test_lifts_beside_each_other_are_judged_as_if_alone() -> None:
    lifts = ways()
    together = judge(*lifts)
    for lift in lifts:
        alone = judge(lift)
        assert [x for x in together if x.equipment_id == lift.equipment_id] == alone
    assert [(x.equipment_id, x.kind) for x in together] == [("L-1", "entrapment"), ("L-2", "door_close_fault")]


@pytest.mark.parametrize("every_ms", [500, 2000, 5000])
def test_a_gateways_arrays_say_the_same(every_ms: int) -> None:
    lifts = ways()
    lines = judge(*lifts, mail=through_gateway(lifts, every_ms))
    assert [(x.equipment_id, x.kind) for x in lines] == [("L-1", "entrapment"), ("L-2", "door_close_fault")]
    for line, expected in zip(lines, judge(*lifts), strict=True):
        assert expected.at <= line.at <= expected.at + every_ms / 1000 + 1
        assert abs(line.since - expected.since) < 0.001


def test_a_gateways_events_are_its_equipments_own() -> None:
    lifts = ways()
    topic = f"se/v1/{DIVISION}/lift/@G-1/event"
    events = [
        {"equipment_id": "L-2", "ts": T0 + 12_000, "code": 1, "state": "raised"},
        {"equipment_id": "L-3", "ts": T0 + 12_000, "code": 8, "state": "raised"},
    ]
    mail = merged(*(x.mail for x in lifts), [Message(sent=12_000, at=12_100, topic=topic, payload=events)])
    lines = judge(*lifts, mail=mail)
    assert lines.raised("safety_circuit_open", "L-2") == [12]
    assert lines.raised("restart_prevented", "L-3") == [12]


def stairs(kind: str, **fields: object) -> list[Message]:
    """Ten minutes of an escalator or walkway."""
    state = {"service_mode": 1, "moving": 1, "direction": 1, "speed_mps": 0.5, "passenger": 1, "power": 1, **fields}
    topic = f"se/v1/{DIVISION}/{kind}/E-1/status"
    return [
        Message(sent=ms, at=ms + 100, topic=topic, payload={"ts": T0 + ms, "seq": n + 1, **state})
        for n, ms in enumerate(range(0, 600_000, 1000))
    ]


@pytest.mark.parametrize("kind", ["escalator", "walkway"])
def test_stairs_never_meet_a_lifts_rule(kind: str) -> None:
    registry = [registry_entry("E-1", kind, bottom_floor=1, top_floor=2)]
    assert lines_of(changes(stairs(kind), registry)) == []


@pytest.mark.parametrize("kind", ["escalator", "walkway"])
def test_stairs_go_offline_and_have_events(kind: str) -> None:
    mail = stairs(kind)
    event = {"ts": T0 + 600_000, "code": 42, "state": "raised"}
    mail.append(Message(sent=600_000, at=600_100, topic=f"se/v1/{DIVISION}/{kind}/E-1/event", payload=event))
    lines = lines_of(changes(mail, [registry_entry("E-1", kind)]), silence=True)
    assert lines.spans("out_of_service", "E-1") == [(600, None)]
    assert lines.spans("offline", "E-1") == [(720, None)]
    assert lines.kinds() == {"out_of_service", "offline"}


def test_a_boiler_goes_offline() -> None:
    topic = f"se/v1/{DIVISION}/boiler/B-1/status"
    mail = [
        Message(sent=ms, at=ms + 100, topic=topic, payload={"ts": T0 + ms, "seq": n, "values": {"pressure_mpa": 0.8}})
        for n, ms in enumerate(range(0, 300_000, 10_000))
    ]
    lines = lines_of(changes(mail, [registry_entry("B-1", "boiler")]), silence=True)
    assert lines.spans("offline", "B-1") == [(410, None)]


def test_a_lift_that_no_register_knows_is_judged_all_the_same() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(60)
    assert lines_of(changes(lift.mail, [])).raised("entrapment") == [stopped + 20]


def test_what_cannot_be_read_stops_nothing() -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(60)
    whole = judge(lift)
    broken: list[object] = ["text", 7, [], {}, {"ts": "x"}, {"ts": 1, "car_status": 5}, [{"ts": T0}, 3], None, True]
    topics = [lift.topic("status"), lift.topic("event"), "nonsense", "se/v1/1/lift/L-1/status", lift.topic("link")]
    bad = [
        Message(sent=m.sent, at=m.at, topic=topics[n % len(topics)], payload=broken[n % len(broken)])
        for n, m in enumerate(lift.mail)
    ]
    # A status that only has `ts` can be read and says nothing; none of these is one of the lift.
    assert judge(lift, mail=merged(lift.mail, bad)) == whole


def test_an_equipment_never_heard_of_is_not_offline() -> None:
    lift, quiet = Lift(equipment_id="L-1"), Lift(equipment_id="L-2")
    quiet.mail.clear()
    assert judge(lift, quiet, silence=True).raised("offline", "L-2") == []


def test_an_override_of_one_lift_leaves_the_others() -> None:
    lifts = ways()
    entries = [registry_entry(x.equipment_id) for x in lifts]
    entries[1]["overrides"] = {"door_close_ms": 30_000}
    lines = lines_of(changes(merged(*(x.mail for x in lifts)), entries))
    assert lines.raised("door_close_fault", "L-2") == [40]
    assert len(lines.raised("entrapment", "L-1")) == 1
