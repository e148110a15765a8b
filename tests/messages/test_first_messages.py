"""One message of each channel, read whole."""

from __future__ import annotations

import math

from monitor.domain.commit import EventRecord, LinkRecord
from monitor.domain.reading import FLOOR_UNKNOWN
from tests.messages import wire


def test_lift_status_fills_every_column() -> None:
    decoded = wire.decode(wire.inbound(wire.STATUS, wire.SAMPLE))
    assert not decoded.quarantined
    assert decoded.sample_order.tolist() == [0]
    row = decoded.samples[0]
    for field, value in wire.SAMPLE.items():
        assert row[field] == value, field
    assert row["number"] == 1
    assert row["received_ms"] == wire.NOW
    assert row["time_ms"] == wire.SAMPLE["ts"]
    assert row["flags"] == 0


def test_missing_fields_are_unknown() -> None:
    row = wire.decode(wire.inbound(wire.STATUS, {"ts": wire.NOW})).samples[0]
    for field in ("seq", "service_mode", "car_status", "car_direction", "door_zone", "door_closed", "passenger"):
        assert row[field] == -1, field
    assert row["power"] == -1
    assert row["run_count"] == -1
    assert row["car_position"] == FLOOR_UNKNOWN
    assert all(math.isnan(row[field]) for field in ("speed_mps", "position_m", "load_kg"))


def test_event() -> None:
    payload = {"ts": wire.NOW, "seq": 3, "code": 2, "state": "raised", "text": "门: 关"}
    decoded = wire.decode(wire.inbound(wire.EVENT, payload))
    assert decoded.events == [
        (
            0,
            EventRecord(
                number=1,
                received_ms=wire.NOW,
                time_ms=wire.NOW,
                ts=wire.NOW,
                seq=3,
                code=2,
                vendor_code=None,
                state="raised",
                kind="door_close_fault",
                text="门: 关",
            ),
        )
    ]


def test_link_keeps_whether_it_was_retained() -> None:
    messages = [wire.inbound(wire.LINK, {"ts": 1, "online": on}, retained=not on) for on in (True, False)]
    assert wire.decode(*messages).links == [
        (0, LinkRecord(number=1, received_ms=wire.NOW, online=True, retained=False)),
        (1, LinkRecord(number=1, received_ms=wire.NOW, online=False, retained=True)),
    ]
