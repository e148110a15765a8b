"""What the tests of the wire send: payloads as JSON texts, independent of our own encoders."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings

from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.register import Register
from monitor.messages.decode import Decoded, Decoder, Inbound

#: How hard properties are tried. No deadline: the machine may be busy with other tests.
TRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)

#: Receive time of every message here, unless said otherwise: 2025-12-01 00:00 UTC.
NOW = 1_764_547_200_000
LIFT = "31106109262016080001"
ESCALATOR = "E-1"
WALKWAY = "W-1"
BOILER = "B-1"
STATUS = f"se/v1/610926/lift/{LIFT}/status"
EVENT = f"se/v1/610926/lift/{LIFT}/event"
LINK = f"se/v1/610926/lift/{LIFT}/link"
RIDE = f"se/v1/610926/lift/{LIFT}/ride"
GATEWAY = "se/v1/610926/lift/@gw-1/status"
GATEWAY_EVENT = "se/v1/610926/lift/@gw-1/event"
CALLS = "calls/v1/610926/C-1"
ACTIONS = "firms/v1/F-1/actions"

SAMPLE: dict[str, Any] = {
    "ts": NOW - 5,
    "seq": 7,
    "service_mode": 1,
    "car_status": 0,
    "car_direction": 0,
    "door_zone": 1,
    "car_position": 3,
    "door_closed": 1,
    "passenger": 0,
    "speed_mps": 0.5,
    "position_m": 6.25,
    "power": 1,
    "load_kg": 75.0,
    "run_count": 12_000,
}


def register(*, profile: str | None = None, unregistered_limit: int = 100) -> Register:
    """A lift, an escalator, a walkway and a boiler, numbers 1 to 4; `profile` is the lift's and the escalator's."""
    known = ((LIFT, EquipmentKind.LIFT), (ESCALATOR, EquipmentKind.ESCALATOR), (WALKWAY, EquipmentKind.WALKWAY))
    stock = [
        Equipment(number=number, equipment_id=one, division="610926", kind=kind, profile=profile)
        for number, (one, kind) in enumerate(known, 1)
    ]
    stock.append(Equipment(number=4, equipment_id=BOILER, division="610926", kind=EquipmentKind.BOILER))
    return Register(stock, unregistered_limit=unregistered_limit)


def inbound(topic: str, payload: Any, *, at: int = NOW, retained: bool = False) -> Inbound:
    """A message; `payload` as it is when bytes, else as JSON."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Inbound(topic, content, at, retained)


def decode(*messages: Inbound, decoder: Decoder | None = None) -> Decoded:
    """The messages as one batch, read twice by the same decoder, cold and warm: both must say the same."""
    decoder = decoder or Decoder(register())
    decoder.decode(messages)
    return decoder.decode(messages)


def said(decoded: Decoded) -> int:
    """How many things were read."""
    lists = (decoded.events, decoded.links, decoded.measurements, decoded.rides, decoded.calls, decoded.actions)
    return len(decoded.samples) + sum(len(one) for one in lists)


def without(*fields: str, **changed: Any) -> dict[str, Any]:
    """SAMPLE less some fields, with some changed."""
    return {key: value for key, value in {**SAMPLE, **changed}.items() if key not in fields}
