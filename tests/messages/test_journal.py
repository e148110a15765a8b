"""The journal gives back exactly what it was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from monitor.domain.commit import (
    ActionRecord,
    CallRecord,
    EventRecord,
    LinkRecord,
    Measurement,
    Quarantined,
    RideRecord,
)
from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.errors import UnreadableError
from monitor.domain.reading import FLOOR_UNKNOWN, READING
from monitor.messages import journal
from monitor.messages.decode import Decoded, Decoder
from tests.messages import wire

INTEGERS = st.integers(-(2**53), 2**53)
NUMBERS = st.integers(1, 2**31 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PAYLOADS = st.dictionaries(TEXTS, JSON, max_size=4)
ORDERS = st.integers(0, 10_000)
AXES = numpy_strategies.arrays(np.float32, st.integers(0, 5), elements=st.floats(width=32, allow_nan=False))
EVENTS = st.builds(
    EventRecord,
    number=NUMBERS,
    received_ms=INTEGERS,
    time_ms=INTEGERS,
    ts=INTEGERS,
    seq=INTEGERS,
    code=st.integers(0, 2**31 - 1),
    vendor_code=st.none() | TEXTS,
    state=TEXTS,
    kind=TEXTS,
    text=st.none() | TEXTS,
    test=st.booleans(),
)
LINKS = st.builds(LinkRecord, number=NUMBERS, received_ms=INTEGERS, online=st.booleans(), retained=st.booleans())
MEASUREMENTS = st.builds(
    Measurement,
    number=NUMBERS,
    received_ms=INTEGERS,
    time_ms=INTEGERS,
    ts=INTEGERS,
    seq=INTEGERS,
    values=st.dictionaries(TEXTS, FLOATS, max_size=4),
    broken_clock=st.booleans(),
)
RIDES = st.builds(
    RideRecord,
    number=NUMBERS,
    received_ms=INTEGERS,
    time_ms=INTEGERS,
    ts=INTEGERS,
    rate_hz=FLOATS,
    x=AXES,
    y=AXES,
    z=AXES,
)
CALLS = st.builds(
    CallRecord,
    division=TEXTS,
    call_id=TEXTS,
    event=TEXTS,
    ts=INTEGERS,
    received_ms=INTEGERS,
    payload=PAYLOADS,
)
ACTIONS = st.builds(
    ActionRecord,
    firm_id=TEXTS,
    key=TEXTS,
    ts=INTEGERS,
    received_ms=INTEGERS,
    action=TEXTS,
    equipment_id=st.none() | TEXTS,
    incident_id=st.none() | TEXTS,
    payload=PAYLOADS,
)
QUARANTINED = st.builds(
    Quarantined,
    received_ms=INTEGERS,
    topic=TEXTS,
    reason=TEXTS,
    detail=TEXTS,
    payload=st.binary(max_size=40),
    size=st.integers(0, 2**40),
)
EQUIPMENT = st.builds(
    Equipment,
    number=NUMBERS,
    equipment_id=TEXTS,
    division=TEXTS,
    kind=st.sampled_from(EquipmentKind),
    registered=st.booleans(),
    rescue_code=st.none() | TEXTS,
    bottom_floor=st.none() | st.integers(-5, 5),
    rated_speed_mps=st.none() | FLOATS,
    reports=st.sampled_from(Reports),
    profile=st.none() | TEXTS,
    limits=st.lists(st.dictionaries(TEXTS, FLOATS | TEXTS, max_size=2), max_size=2).map(tuple),
    overrides=st.dictionaries(TEXTS, FLOATS, max_size=2),
    place=st.dictionaries(TEXTS, FLOATS | TEXTS, max_size=2),
)


def ordered(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[int, Any]]]:
    return st.lists(st.tuples(ORDERS, strategy), max_size=3)


@st.composite
def decoded(draw: st.DrawFn) -> Decoded:
    size = draw(st.integers(0, 4))
    raw = draw(st.binary(min_size=size * READING.itemsize, max_size=size * READING.itemsize))
    return Decoded(
        samples=np.frombuffer(raw, READING).copy(),
        sample_order=draw(numpy_strategies.arrays(np.int32, size)),
        events=draw(ordered(EVENTS)),
        links=draw(ordered(LINKS)),
        measurements=draw(ordered(MEASUREMENTS)),
        rides=draw(ordered(RIDES)),
        calls=draw(ordered(CALLS)),
        actions=draw(ordered(ACTIONS)),
        quarantined=draw(st.lists(QUARANTINED, max_size=2)),
        new_equipment=tuple(draw(st.lists(EQUIPMENT, max_size=2))),
    )


def plain(value: Any) -> Any:
    """`value` with arrays as bytes, so that == means the same to the last bit."""
    match value:
        case np.ndarray():
            return (str(value.dtype), value.tobytes())
        case list() | tuple():
            return [plain(one) for one in value]
        case Mapping():
            return {key: plain(one) for key, one in value.items()}
        case float():
            return value.hex()
    if dataclasses.is_dataclass(value):
        return (type(value), {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)})
    return (type(value), value)


@wire.TRIED
@given(decoded(), INTEGERS)
def test_round_trip_is_exact(given_: Decoded, now_ms: int) -> None:
    entry = journal.pack(given_, now_ms)
    got, got_now = journal.unpack(entry)
    assert got_now == now_ms
    assert plain(got) == plain(given_)
    assert journal.pack(got, got_now) == entry


def test_round_trip_of_what_the_wire_brings() -> None:
    decoder = Decoder(wire.register())
    given_ = decoder.decode(
        [
            wire.inbound(wire.STATUS, wire.SAMPLE),
            wire.inbound("se/v1/610926/lift/NEW/status", {"ts": 1}),
            wire.inbound(wire.EVENT, {"ts": 1, "code": 1, "state": "raised"}),
            wire.inbound(wire.LINK, {"ts": 1, "online": False}, retained=True),
            wire.inbound(wire.CALLS, {"ts": 1, "event": "offered", "source": "qr", "big": [2**63, 1.0, None]}),
            wire.inbound(wire.ACTIONS, {"ts": 1, "action": "note", "incident_id": "I"}),
            wire.inbound(wire.RIDE, {"ts": 1, "rate_hz": 1, "unit": "m/s2", "x": [1e-3], "y": [2], "z": [1e300]}),
            wire.inbound("se/v1/610926/boiler/B-1/status", {"ts": 1, "values": {"a": 1}}),
            wire.inbound("nowhere", b"\xff"),
        ]
    )
    assert wire.said(given_) == 8
    got, _ = journal.unpack(journal.pack(given_, wire.NOW))
    assert plain(got) == plain(given_)


def test_what_comes_back_may_be_written_to() -> None:
    got, _ = journal.unpack(journal.pack(Decoder(wire.register()).decode([wire.inbound(wire.STATUS, wire.SAMPLE)]), 0))
    got.samples["flags"] = 2
    got.sample_order[0] = 1


def test_entry_of_an_older_layout_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = Decoder(wire.register()).decode([wire.inbound(wire.STATUS, wire.SAMPLE)])
    kept = [name for name in READING.names or () if name not in {"power", "car_position"}]
    old = np.dtype([(name, READING[name].str) for name in kept] + [("gone", "<i4")])
    rows = np.zeros(1, old)
    for name in kept:
        rows[name] = given_.samples[name]
    given_.samples = rows
    monkeypatch.setattr(journal, "_LAYOUT", [(name, old[name].str) for name in old.names or ()])
    entry = journal.pack(given_, 5)
    monkeypatch.undo()
    (row,) = journal.unpack(entry)[0].samples
    assert row.dtype == READING
    assert (row["power"], row["car_position"]) == (-1, FLOOR_UNKNOWN)
    assert [row[name].item() for name in kept] == [rows[name][0].item() for name in kept]


@wire.TRIED
@given(st.binary(max_size=200))
def test_damaged_entry_is_refused_and_nothing_else(entry: bytes) -> None:
    try:
        journal.unpack(entry)
    except UnreadableError as error:
        assert error.reason == "journal"  # noqa: PT017 - either outcome is right


@wire.TRIED
@given(st.data())
def test_entry_cut_or_changed_is_refused_or_read(data: st.DataObject) -> None:
    entry = journal.pack(Decoder(wire.register()).decode([wire.inbound(wire.STATUS, wire.SAMPLE)]), 7)
    cut = data.draw(st.integers(0, len(entry) - 1))
    with pytest.raises(UnreadableError):
        journal.unpack(entry[:cut])
    place, byte = data.draw(st.integers(0, len(entry) - 1)), data.draw(st.integers(0, 255))
    try:
        journal.unpack(entry[:place] + bytes((byte,)) + entry[place + 1 :])
    except UnreadableError as error:
        assert error.reason == "journal"  # noqa: PT017 - either outcome is right


def test_other_version_is_refused() -> None:
    entry = journal.pack(Decoded(), 1)
    for wrong in (b"", entry[:1], b"\x02" + entry[1:], b"\x00" + entry[1:]):
        with pytest.raises(UnreadableError):
            journal.unpack(wrong)
