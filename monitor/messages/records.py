"""From JSON objects to the domain's records, one object at a time.

Every function reads one object whole before anything is taken in: it returns a record, or one that lacks only the
equipment's number (`Numbered`), or raises UnreadableError.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.domain.commit import ActionRecord, CallRecord, EventRecord, LinkRecord, Measurement, RideRecord
from monitor.domain.errors import UnreadableError
from monitor.domain.fault import MOMENTARY, FaultKind, FaultState
from monitor.messages.codes import kind_of
from monitor.messages.exact import keepable, refusal, without_nulls
from monitor.messages.payloads import Action, Call, Event, Link, Ride, ValuesStatus
from monitor.messages.profiles import Profile
from monitor.messages.reasons import Reason
from monitor.messages.samples import is_broken
from monitor.messages.topics import Route, is_equipment_id

#: Longest ride, s (protocol §4).
RIDE_S = 60

T = TypeVar("T")
Numbered = Callable[[int], T]

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def convert(one: dict[str, Any], struct: type[T]) -> T:
    """`one` as a `struct`, strictly: no text becomes a number, no number a flag.

    Raises:
        UnreadableError: a field is missing, or of the wrong type, or out of its range.
    """
    try:
        return msgspec.convert(without_nulls(one), struct)
    except Exception as error:  # noqa: BLE001 - a parser's errors all mean the same here
        raise refusal(error) from None


def time_of(ts: int, received_ms: int) -> int:
    """`ts`, or the receive time where the device's clock is broken (protocol §1)."""
    return received_ms if is_broken(ts, received_ms) else ts


def events(one: dict[str, Any], received_ms: int, profile: Profile | None) -> list[Numbered[EventRecord]]:
    """A coded fault, event or alarm (protocol §3); what a profile reads may be several events, or none."""
    if profile is None:
        return [_coded(one, None, received_ms)]
    return [_coded(coded.fields, coded.kind, received_ms) for coded in profile.events(one)]


def _coded(fields: dict[str, Any], kind: FaultKind | None, received_ms: int) -> Numbered[EventRecord]:
    sent = convert(fields, Event)
    vendor_code = sent.vendor_code
    if kind is None:
        found = kind_of(sent.code, vendor_code)
        if found is None:
            raise UnreadableError(Reason.EVENT_CODE, "code 0 without vendor_code")
        kind, vendor_code = found
    return partial(
        _event,
        received_ms=received_ms,
        time_ms=time_of(sent.ts, received_ms),
        ts=sent.ts,
        seq=sent.seq,
        code=sent.code,
        vendor_code=vendor_code,
        state=_state(sent.state, kind),
        kind=kind.value,
        text=sent.text,
        test=sent.test,
    )


def _event(number: int, **fields: Any) -> EventRecord:
    return EventRecord(number=number, **fields)


def _state(state: str | None, kind: FaultKind) -> str:
    if state is not None:
        return state
    if kind in MOMENTARY:
        # An alarm button is not refused for want of a word that could only be "raised".
        return FaultState.RAISED.value
    raise UnreadableError(Reason.MISSING, "Object missing required field `state`")


def link(one: dict[str, Any], received_ms: int, *, retained: bool) -> Numbered[LinkRecord]:
    """Online or not (protocol §1); `ts` must be there but says nothing: a will's is as old as the session."""
    sent = convert(one, Link)
    return partial(_link, received_ms=received_ms, online=sent.online, retained=retained)


def _link(number: int, **fields: Any) -> LinkRecord:
    return LinkRecord(number=number, **fields)


def measurement(one: dict[str, Any], received_ms: int, profile: Profile | None) -> Numbered[Measurement]:
    """A sample of a `values` kind (protocol §2); a quantity that is null is not known and left out."""
    if profile is not None:
        one = profile.status(one)
    values = one.get("values")
    if isinstance(values, dict):
        one = {**one, "values": without_nulls(values)}
    sent = convert(one, ValuesStatus)
    broken = bool(is_broken(sent.ts, received_ms))
    return partial(
        _measurement,
        received_ms=received_ms,
        time_ms=received_ms if broken else sent.ts,
        ts=sent.ts,
        seq=sent.seq,
        values=sent.values,
        broken_clock=broken,
    )


def _measurement(number: int, **fields: Any) -> Measurement:
    return Measurement(number=number, **fields)


def ride(one: dict[str, Any], received_ms: int) -> Numbered[RideRecord]:
    """A vibration burst (protocol §4): three axes of equal length, at most 60 s."""
    sent = convert(one, Ride)
    length = len(sent.x)
    if not length or len(sent.y) != length or len(sent.z) != length:
        raise UnreadableError(Reason.RIDE, "x, y and z differ in length, or are empty")
    if length > RIDE_S * sent.rate_hz:
        raise UnreadableError(Reason.RIDE, f"longer than {RIDE_S} s")
    return partial(
        _ride,
        received_ms=received_ms,
        time_ms=time_of(sent.ts, received_ms),
        ts=sent.ts,
        rate_hz=sent.rate_hz,
        x=_axis(sent.x),
        y=_axis(sent.y),
        z=_axis(sent.z),
    )


def _ride(number: int, **fields: Any) -> RideRecord:
    return RideRecord(number=number, **fields)


def _axis(values: list[float]) -> NDArray[np.float32]:
    return np.clip(np.array(values, np.float64), -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)


def call(one: dict[str, Any], received_ms: int, route: Route) -> CallRecord:
    """Progress of one emergency call (protocol §5), its payload kept whole."""
    sent = convert(one, Call)
    assert route.division is not None
    assert route.call_id is not None
    if sent.call_id is not None and sent.call_id != route.call_id:
        raise UnreadableError(Reason.MISMATCH, "call_id")
    _check_equipment_id(sent.equipment_id)
    return CallRecord(
        division=route.division,
        call_id=route.call_id,
        event=sent.event,
        ts=sent.ts,
        received_ms=received_ms,
        payload=keepable(one),
    )


def action(one: dict[str, Any], received_ms: int, route: Route) -> ActionRecord:
    """What a firm's people did (protocol §6), its payload kept whole."""
    sent = convert(one, Action)
    assert route.firm_id is not None
    if sent.firm_id is not None and sent.firm_id != route.firm_id:
        raise UnreadableError(Reason.MISMATCH, "firm_id")
    _check_equipment_id(sent.equipment_id)
    target = sent.incident_id or sent.equipment_id
    if target is None:
        raise UnreadableError(Reason.TARGET, "neither incident_id nor equipment_id")
    return ActionRecord(
        firm_id=route.firm_id,
        key=f"{sent.ts}/{sent.action}/{target}" if sent.id is None else str(sent.id),
        ts=sent.ts,
        received_ms=received_ms,
        action=sent.action,
        equipment_id=sent.equipment_id,
        incident_id=sent.incident_id,
        payload=keepable(one),
    )


def _check_equipment_id(equipment_id: str | None) -> None:
    if equipment_id is not None and not is_equipment_id(equipment_id):
        raise UnreadableError(Reason.RANGE, "equipment_id")
