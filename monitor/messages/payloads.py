"""Payloads of protocol §2-6 as msgspec structs.

A struct holds what the protocol names; other fields are skipped. A field of a sample that is not sent has a value that
cannot be sent (-1 for codes, NaN for quantities), so that a column of structs becomes a numpy column without a look at
each value. An explicit null is None here and means the same: *unknown* (protocol §1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

#: Integers that a double holds exactly: what JSON carries unharmed from any sender (RFC 8259 §6).
EXACT = 2**53
NAN = float("nan")
#: `car_position` of a sample without one; out of the range that samples are clamped to.
NO_FLOOR = -(2**63)

Instant = Annotated[int, Meta(ge=-EXACT, le=EXACT)]
Flag = Annotated[int, Meta(ge=0, le=1)]
Direction = Annotated[int, Meta(ge=0, le=2)]
ServiceMode = Annotated[int, Meta(ge=0, le=7)]
Speed = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
#: Part of a unique key in the database, hence the bound.
Key = Annotated[str, Meta(min_length=1, max_length=128)]


class LiftStatus(Struct, kw_only=True, gc=False):
    """One sample of a lift (§2). Field order is the order of `samples.LIFT`'s columns."""

    equipment_id: str | None = None
    ts: Instant
    seq: Instant | None = -1
    service_mode: ServiceMode | None = -1
    car_status: Flag | None = -1
    car_direction: Direction | None = -1
    door_zone: Flag | None = -1
    car_position: int | None = NO_FLOOR
    door_closed: Flag | None = -1
    passenger: Flag | None = -1
    speed_mps: Speed | None = NAN
    position_m: float | None = NAN
    power: Flag | None = -1
    load_kg: float | None = NAN
    run_count: int | None = -1


class StairStatus(Struct, kw_only=True, gc=False):
    """One sample of an escalator or a moving walkway (§2). Field order is the order of `samples.STAIR`'s columns."""

    equipment_id: str | None = None
    ts: Instant
    seq: Instant | None = -1
    service_mode: ServiceMode | None = -1
    moving: Flag | None = -1
    direction: Direction | None = -1
    speed_mps: Speed | None = NAN
    passenger: Flag | None = -1
    power: Flag | None = -1


class ValuesStatus(Struct, kw_only=True):
    """One sample of any other kind (§2)."""

    equipment_id: str | None = None
    ts: Instant
    seq: Instant = -1
    values: dict[Annotated[str, Meta(min_length=1, max_length=64)], float] = {}


class Event(Struct, kw_only=True):
    """One coded fault, event or alarm (§3). Codes 40 and 90 are momentary and mean "raised" without a `state`."""

    equipment_id: str | None = None
    ts: Instant
    seq: Instant = -1
    code: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    state: Literal["raised", "cleared"] | None = None
    text: str | None = None
    vendor_code: Annotated[str, Meta(max_length=128)] | None = None
    test: bool = False


class Link(Struct, kw_only=True):
    """The terminal's session with the broker begins or ends (§1)."""

    equipment_id: str | None = None
    ts: Instant
    online: bool


class Ride(Struct, kw_only=True):
    """A vibration burst (§4)."""

    equipment_id: str | None = None
    ts: Instant
    rate_hz: Annotated[float, Meta(gt=0, le=100_000)]
    unit: Literal["m/s2"]
    x: list[float]
    y: list[float]
    z: list[float]


class Location(Struct, kw_only=True):
    """A place, WGS-84 degrees."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]


class Recording(Struct, kw_only=True):
    """Where a call's recording lies, and its checksum."""

    ref: str
    sha256: str


class Call(Struct, kw_only=True):
    """Progress of one emergency call (§5)."""

    ts: Instant
    event: Literal["offered", "answered", "abandoned", "ended"]
    source: Literal["phone", "car_button", "qr", "app"]
    direction: Literal["in", "out"] | None = None
    caller: str | None = None
    rescue_code: str | None = None
    equipment_id: Key | None = None
    type: Literal["entrapment", "fault", "complaint", "enquiry", "accident", "test"] | None = None
    trapped: Count | None = None
    injured: Count | None = None
    operator: str | None = None
    language: str | None = None
    text: str | None = None
    location: Location | None = None
    incident_id: Key | None = None
    recording: Recording | None = None
    call_id: str | None = None


class Action(Struct, kw_only=True):
    """What a firm's people did (§6)."""

    ts: Instant
    action: Literal["accept", "decline", "en_route", "arrive", "free", "repair", "self_freed", "false_alarm", "note"]
    id: Key | Instant | None = None
    incident_id: Key | None = None
    equipment_id: Key | None = None
    reason: Literal["not_our_contract", "too_far", "no_people", "other"] | None = None
    by: str | None = None
    persons_freed: Count | None = None
    cause: Annotated[str, Meta(pattern=r"\A(?:10[1-9]|1[1-9][0-9]|[2-6][0-9]{2}|700)\Z")] | None = None
    location: Location | None = None
    text: str | None = None
    firm_id: str | None = None
