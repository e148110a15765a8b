"""Topics of protocol §1."""

from __future__ import annotations

import pytest

from monitor.domain.equipment import EquipmentKind
from monitor.domain.errors import UnreadableError
from monitor.messages.topics import Channel, Route, parse

LIFT = EquipmentKind.LIFT


@pytest.mark.parametrize(
    ("topic", "route"),
    [
        (
            "se/v1/610926/lift/31106109262016080001/status",
            Route(channel=Channel.STATUS, division="610926", kind=LIFT, equipment_id="31106109262016080001"),
        ),
        (
            "se/v1/610926/ropeway/a_B-9/event",
            Route(channel=Channel.EVENT, division="610926", kind=EquipmentKind.ROPEWAY, equipment_id="a_B-9"),
        ),
        ("se/v1/610926/lift/L/link", Route(channel=Channel.LINK, division="610926", kind=LIFT, equipment_id="L")),
        ("se/v1/610926/lift/L/ride", Route(channel=Channel.RIDE, division="610926", kind=LIFT, equipment_id="L")),
        ("se/v1/610926/lift/@gw/status", Route(channel=Channel.STATUS, division="610926", kind=LIFT, gateway="gw")),
        ("se/v1/610926/lift/@网关/event", Route(channel=Channel.EVENT, division="610926", kind=LIFT, gateway="网关")),
        (
            "calls/v1/440012/000003-01012017",
            Route(channel=Channel.CALLS, division="440012", call_id="000003-01012017"),
        ),
        ("firms/v1/F-Kentish_Town/actions", Route(channel=Channel.ACTIONS, firm_id="F-Kentish_Town")),
    ],
)
def test_topic_of_the_protocol(topic: str, route: Route) -> None:
    assert parse(topic) == route


@pytest.mark.parametrize("kind", list(EquipmentKind))
def test_every_kind_has_its_topics(kind: EquipmentKind) -> None:
    assert parse(f"se/v1/000000/{kind}/X/status").kind is kind


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "se",
        "se/v1/610926/lift/L",
        "se/v1/610926/lift/L/status/",
        "/se/v1/610926/lift/L/status",
        "se/v2/610926/lift/L/status",
        "SE/v1/610926/lift/L/status",
        "se/v1/61092/lift/L/status",
        "se/v1/6109266/lift/L/status",
        "se/v1/61092a/lift/L/status",
        "se/v1/６１０９２６/lift/L/status",
        "se/v1/610926/elevator/L/status",
        "se/v1/610926/Lift/L/status",
        "se/v1/610926/lift//status",
        "se/v1/610926/lift/L L/status",
        "se/v1/610926/lift/电梯/status",
        "se/v1/610926/lift/L\n/status",
        f"se/v1/610926/lift/{'L' * 33}/status",
        "se/v1/610926/lift/L/command",
        "se/v1/610926/lift/L/state",
        "se/v1/610926/lift/@/status",
        "se/v1/610926/lift/@gw/link",
        "se/v1/610926/lift/@gw/ride",
        f"se/v1/610926/lift/@{'g' * 129}/status",
        "calls/v1/610926/",
        "calls/v1/61092/C",
        "calls/v1/610926/C/x",
        "calls/v1/610926/C\0",
        "calls/v1/610926/C\ud800",
        "firms/v1//actions",
        "firms/v1/F/notices",
        "firms/v1/F+/actions",
        "$SYS/broker/version",
        "se/v1/+/+/+/status",
        "\ud800",
    ],
)
def test_other_topic_is_refused(topic: str) -> None:
    for _ in range(2):  # the memory of topics holds no refusals
        with pytest.raises(UnreadableError) as caught:
            parse(topic)
        assert caught.value.reason == "topic"


def test_longest_identifiers_are_taken() -> None:
    assert parse(f"se/v1/610926/lift/{'L' * 32}/status").equipment_id == "L" * 32
    assert parse(f"calls/v1/610926/{'C' * 128}").call_id == "C" * 128
