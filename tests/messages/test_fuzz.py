"""Whatever is sent, decoding neither raises nor overlooks nor depends on how messages are batched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.domain.errors import UnreadableError
from monitor.messages import exact
from monitor.messages.decode import Decoded, Decoder, Inbound
from monitor.messages.reasons import Reason
from tests.messages import wire
from tests.messages.test_journal import plain

FIELDS = [
    *wire.SAMPLE,
    *("moving", "direction", "values", "equipment_id", "code", "state", "vendor_code", "text", "test", "online"),
    *("rate_hz", "unit", "x", "y", "z", "event", "source", "location", "action", "incident_id", "id", "type", "extra"),
    "a:b",
]
TOPICS = [
    *(wire.STATUS, wire.EVENT, wire.LINK, wire.RIDE, wire.GATEWAY, wire.GATEWAY_EVENT, wire.CALLS, wire.ACTIONS),
    f"se/v1/610926/escalator/{wire.ESCALATOR}/status",
    f"se/v1/610926/walkway/{wire.LIFT}/status",
    "se/v1/610926/walkway/@gw/status",
    f"se/v1/610926/boiler/{wire.BOILER}/status",
    "se/v1/610926/lift/NEW-1/status",
    "se/v1/610926/lift/NEW-2/event",
]
#: Values near what fields hold, so that every second message is nearly right.
LIKELY = st.sampled_from(
    [
        *(None, True, False, 0, 1, 2, 3, 7, 8, -1, 1.0, 0.5, -0.5, wire.NOW, 2**31, 2**53, 2**53 + 1, 2**63, 10**30),
        *("", "1", "raised", "cleared", wire.LIFT, wire.ESCALATOR, "NEW-1", "a:b", "\0", "门", "m/s2", "phone"),
        *("offered", "note", "entrapment", [], {}, [0.5], [1, None], {"lat": 1, "lon": 2}, {"q": 1.5}, 1e300),
    ]
)
JSON = st.recursive(
    LIKELY | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), JSON, max_size=8)


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """An object that most channels would read, with at most two fields spoilt."""
    one: dict[str, Any] = {
        **wire.SAMPLE,
        "moving": 1,
        "direction": 2,
        "code": draw(st.integers(0, 50)),
        "state": "raised",
        "online": True,
        "rate_hz": 10,
        "unit": "m/s2",
        "x": [1, 2],
        "y": [3, 4],
        "z": [5, 6.5],
        "event": "offered",
        "source": "phone",
        "action": "note",
        "incident_id": "I",
        "values": {"q": 1},
    }
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=6)):
        one.pop(name, None)
    if draw(st.booleans()):
        one["equipment_id"] = draw(st.sampled_from([wire.LIFT, wire.ESCALATOR, "NEW-1", "NEW-3", "", None]))
    one.update(draw(st.dictionaries(st.sampled_from(FIELDS), LIKELY, max_size=2)))
    return one


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def twice_keyed(draw: st.DrawFn) -> bytes:
    """An object with one more pair, which may repeat a key."""
    content = dumped(draw(nearly_right()))
    pair = dumped({draw(st.sampled_from(FIELDS)): draw(LIKELY)})
    return content[:-1] + b"," + pair[1:]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good payload with a few bytes cut, doubled or changed."""
    content = bytearray(dumped(draw(nearly_right())))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        assume(content)
    return bytes(content)


PAYLOADS = st.one_of(
    st.binary(max_size=60),
    JSON.map(dumped),
    OBJECTS.map(dumped),
    nearly_right().map(dumped),
    st.lists(nearly_right(), max_size=3).map(dumped),
    twice_keyed(),
    damaged(),
)
TEXTS = st.text(st.characters(codec=None), max_size=30)
INBOUND = st.builds(
    Inbound,
    topic=st.sampled_from(TOPICS) | TEXTS,
    payload=PAYLOADS,
    received_ms=st.sampled_from([wire.NOW, wire.NOW + 1, wire.NOW + 40 * 86_400_000]),
    retained=st.booleans(),
)
BATCHES = st.lists(INBOUND, max_size=12)


def fresh(*, warm: bool = False) -> Decoder:
    """A decoder over a small register; warm: it has seen good messages of the equipment and the gateways."""
    decoder = Decoder(wire.register(unregistered_limit=3))
    if warm:
        for topic in TOPICS:
            for one in (wire.LIFT, wire.ESCALATOR):
                decoder.decode([wire.inbound(topic, {**wire.SAMPLE, "equipment_id": one})])
            decoder.decode([wire.inbound(topic, wire.SAMPLE)])
    return decoder


def merged(parts: list[Decoded]) -> Any:
    """Batches of one message each as one batch."""
    whole: dict[str, list[Any]] = {}
    for order, part in enumerate(parts):
        whole.setdefault("samples", []).append(part.samples.tobytes())
        whole.setdefault("order", []).extend([order] * len(part.samples))
        for name in ("events", "links", "measurements", "rides", "calls", "actions"):
            whole.setdefault(name, []).extend((order, plain(one)) for _, one in getattr(part, name))
        whole.setdefault("quarantined", []).extend(plain(part.quarantined))
        whole.setdefault("new", []).extend(plain(part.new_equipment))
    return whole


def alone(batch: list[Inbound], decoder: Decoder) -> Any:
    return merged([decoder.decode([message]) for message in batch])


def together(batch: list[Inbound], decoder: Decoder) -> Any:
    decoded = decoder.decode(batch)
    whole = merged([decoded] if batch else [])
    if batch:
        whole["order"] = decoded.sample_order.tolist()
        for name in ("events", "links", "measurements", "rides", "calls", "actions"):
            whole[name] = [(order, plain(one)) for order, one in getattr(decoded, name)]
    return whole


def joined(whole: Any) -> Any:
    return {**whole, "samples": b"".join(whole.get("samples", []))}


@wire.TRIED
@given(BATCHES, st.booleans())
def test_anything_is_read_or_set_aside(batch: list[Inbound], warm: bool) -> None:
    decoder = fresh(warm=warm)
    for _ in range(2):
        decoded = decoder.decode(batch)
        orders = set(decoded.sample_order.tolist())
        for things in (
            *(decoded.events, decoded.links, decoded.measurements),
            *(decoded.rides, decoded.calls, decoded.actions),
        ):
            orders |= {order for order, _ in things}
        assert len(orders) + len(decoded.quarantined) >= len(batch)
        for aside in decoded.quarantined:
            assert aside.reason in set(Reason)
            assert aside.reason != Reason.INTERNAL, aside
            assert len(aside.detail) <= 300
            aside.topic.encode()
            aside.detail.encode()
            assert "\0" not in aside.topic + aside.detail


@wire.TRIED
@given(BATCHES, st.booleans())
def test_batching_changes_nothing(batch: list[Inbound], warm: bool) -> None:
    assert joined(together(batch, fresh(warm=warm))) == joined(alone(batch, fresh(warm=warm)))


@wire.TRIED
@given(BATCHES)
def test_hot_way_and_exact_way_read_the_same(batch: list[Inbound]) -> None:
    """A decoder that has seen the equipment reads by the hot way what a new one reads message by message."""
    registered = fresh(warm=True)
    hot = joined(together(batch, registered))
    registered._forget()
    registered._register._new.clear()
    cold = joined(alone_forgetting(batch, registered))
    for whole in (hot, cold):
        whole.pop("new", None)
    assert hot == cold


def alone_forgetting(batch: list[Inbound], decoder: Decoder) -> Any:
    parts = []
    for message in batch:
        decoder._forget()
        parts.append(decoder.decode([message]))
    return merged(parts)


@wire.TRIED
@given(st.one_of(PAYLOADS, st.binary(max_size=300)))
def test_exact_reading_agrees_with_the_standard_library(payload: bytes) -> None:
    """What is accepted, json.loads accepts too and means the same; what it finds twice, we refuse."""
    try:
        objects = exact.read(payload)
    except UnreadableError:
        return

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    document = json.loads(payload, object_pairs_hook=once)
    assert objects == (document if isinstance(document, list) else [document])


@pytest.mark.parametrize("topic", TOPICS)
def test_deep_recursion_of_the_caller_does_not_matter(topic: str) -> None:
    def down(depth: int) -> Decoded:
        if depth:
            return down(depth - 1)
        return fresh(warm=True).decode([wire.inbound(topic, wire.SAMPLE)])

    assert plain(down(100)) == plain(down(0))
