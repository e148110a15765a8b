"""From a batch of messages to what they say: the one door through which the wire comes in (protocol §1-6).

Nothing a sender does makes `Decoder.decode` raise: what cannot be read is set aside whole with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.domain.commit import (
    ActionRecord,
    CallRecord,
    EventRecord,
    LinkRecord,
    Measurement,
    Quarantined,
    RideRecord,
    no_readings,
)
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import UnreadableError
from monitor.domain.register import Register
from monitor.messages import exact, hot, records
from monitor.messages.profiles import Profile, Profiles, builtin
from monitor.messages.reasons import Reason
from monitor.messages.samples import Table
from monitor.messages.topics import Channel, Route, is_equipment_id, parse

#: Topics of known equipment kept with their numbers; when full they are learned anew.
MAX_TARGETS = 1 << 20
#: Longest topic kept with a message set aside, characters.
MAX_TOPIC = 1_024

_FORMS = {
    EquipmentKind.LIFT: hot.LIFT_FORM,
    EquipmentKind.ESCALATOR: hot.STAIR_FORM,
    EquipmentKind.WALKWAY: hot.STAIR_FORM,
}
#: A target is `number << 1`, plus 1 for escalators and walkways, or one of these for a gateway of that kind.
_GATEWAYS = {EquipmentKind.LIFT: -1, EquipmentKind.ESCALATOR: -2, EquipmentKind.WALKWAY: -3}
_UNKNOWN = -4

T = TypeVar("T")


class Inbound(NamedTuple):
    """One message as the broker delivered it; `received_ms` on the receiver's clock."""

    topic: str
    payload: bytes
    received_ms: int
    retained: bool = False


@dataclass(slots=True, kw_only=True)
class Decoded:
    """What a batch says, in receive order; an order is the place of a thing's message in the batch.

    `samples` is a READING array, `sample_order` as long. `new_equipment` is what the batch brought into the register.
    """

    samples: NDArray[np.void] = field(default_factory=no_readings)
    sample_order: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    events: list[tuple[int, EventRecord]] = field(default_factory=list)
    links: list[tuple[int, LinkRecord]] = field(default_factory=list)
    measurements: list[tuple[int, Measurement]] = field(default_factory=list)
    rides: list[tuple[int, RideRecord]] = field(default_factory=list)
    calls: list[tuple[int, CallRecord]] = field(default_factory=list)
    actions: list[tuple[int, ActionRecord]] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    new_equipment: tuple[Equipment, ...] = ()


class _Part(NamedTuple):
    samples: NDArray[np.void]
    orders: NDArray[np.int64]


class _Slow:
    """Status samples read one by one, waiting to become columns."""

    def __init__(self, form: hot.Form) -> None:
        self.form = form
        self.structs: list[hot.Status] = []
        self.numbers: list[int] = []
        self.orders: list[int] = []
        self.received_ms: list[int] = []

    def add(self, order: int, received_ms: int, number: int, struct: hot.Status) -> None:
        self.structs.append(struct)
        self.numbers.append(number)
        self.orders.append(order)
        self.received_ms.append(received_ms)

    def part(self) -> _Part:
        table = Table(self.structs, self.form.columns)
        samples = table.readings(np.array(self.numbers, np.int64), np.array(self.received_ms, np.int64))
        return _Part(samples, np.array(self.orders, np.int64))


class Decoder:
    """Decodes batches; keeps what it learned of topics and equipment between them.

    Equipment that the register does not know is taken into it (`Register.number_of`), in receive order, whatever the
    size of the batches.
    """

    def __init__(self, register: Register, profiles: Profiles | None = None) -> None:
        self._register = register
        self._profiles = builtin() if profiles is None else profiles
        self._targets: dict[str, int] = {}
        #: Unprofiled equipment by id, per kind: what a gateway's object may name on the hot path.
        self._known: dict[int, dict[str, int]] = {code: {} for code in _GATEWAYS.values()}
        self._revision = register.revision
        self._channels: dict[Channel, Callable[[Decoded, int, Inbound, Route], None]] = {
            Channel.EVENT: self._event,
            Channel.LINK: self._link,
            Channel.RIDE: self._ride,
            Channel.CALLS: self._call,
            Channel.ACTIONS: self._action,
        }

    def decode(self, batch: Sequence[Inbound]) -> Decoded:
        """What `batch` says. Never raises for anything a message holds."""
        decoded = Decoded()
        if not batch:
            return decoded
        if self._revision != self._register.revision:
            self._forget()
        parts, left = self._hot(batch)
        slow = {kind: _Slow(form) for kind, form in _FORMS.items()}
        for order in left:
            self._read(decoded, slow, order, batch[order])
        parts += [one.part() for one in slow.values() if one.structs]
        _join(decoded, parts)
        decoded.new_equipment = self._register.take_new()
        return decoded

    def _forget(self) -> None:
        self._revision = self._register.revision
        self._targets.clear()
        for known in self._known.values():
            known.clear()

    # The hot way

    def _hot(self, batch: Sequence[Inbound]) -> tuple[list[_Part], list[int]]:
        """Read what can be read at once; the rest is left, as places in the batch, ascending."""
        topics, payloads, received, _ = zip(*batch, strict=True)
        kept = list(map(self._targets.get, topics))
        if None in kept:
            kept = [
                self._learn(topic) if target is None else target for topic, target in zip(topics, kept, strict=True)
            ]
        targets = np.array(kept, np.int64)
        left = np.flatnonzero(targets == _UNKNOWN).tolist()
        if len(left) == len(batch):
            return [], left
        received_ms = np.fromiter(received, np.int64, len(batch))
        parts = []
        stairs = np.where(targets >= 0, targets & 1 == 1, targets < _GATEWAYS[EquipmentKind.LIFT])
        for form, chosen in ((hot.LIFT_FORM, ~stairs), (hot.STAIR_FORM, stairs)):
            orders = np.flatnonzero(chosen & (targets != _UNKNOWN))
            if not orders.size:
                continue
            mail = hot.Mail(
                orders=orders,
                payloads=payloads if orders.size == len(batch) else [payloads[order] for order in orders.tolist()],
                received_ms=received_ms[orders],
                numbers=targets[orders] >> 1,
                known=partial(self._known_at, targets[orders]),
            )
            found = hot.read(mail, form, self._register)
            parts.append(_Part(found.samples, found.orders))
            left += found.left
        return parts, sorted(left)

    def _learn(self, topic: str) -> int:
        """The target of a status topic of a gateway or of known equipment without a profile; it is remembered."""
        try:
            route = parse(topic)
        except UnreadableError:
            return _UNKNOWN
        if route.channel is not Channel.STATUS or route.kind not in _FORMS:
            return _UNKNOWN
        target = _GATEWAYS[route.kind]
        if route.equipment_id is not None:
            known = self._register.by_id.get(route.equipment_id)
            if known is None or known.kind is not route.kind or known.profile is not None:
                return _UNKNOWN
            target = known.number << 1 | (route.kind is not EquipmentKind.LIFT)
        if len(self._targets) >= MAX_TARGETS:
            self._targets.clear()
        self._targets[topic] = target
        return target

    def _known_at(self, targets: NDArray[np.int64], place: int) -> dict[str, int]:
        return self._known[int(targets[place])]

    # The exact way, one message at a time

    def _read(self, decoded: Decoded, slow: dict[EquipmentKind, _Slow], order: int, message: Inbound) -> None:
        try:
            route = parse(message.topic)
            if route.channel is Channel.STATUS:
                self._status(decoded, slow, order, message, route)
            else:
                self._channels[route.channel](decoded, order, message, route)
        except Exception as error:  # noqa: BLE001 - a poison message is set aside, never the death of the line
            decoded.quarantined.append(set_aside(message, exact.refusal(error)))

    def _status(
        self, decoded: Decoded, slow: dict[EquipmentKind, _Slow], order: int, message: Inbound, route: Route
    ) -> None:
        assert route.kind is not None
        waiting = slow.get(route.kind)
        if waiting is None:
            read = partial(_measurement, message.received_ms)
            decoded.measurements += [(order, one) for one in self._numbered(decoded, message, route, read)]
            return
        sampled = partial(_sample, waiting.form.struct)
        for number, struct in self._numbered(decoded, message, route, sampled):
            waiting.add(order, message.received_ms, number, struct)

    def _event(self, decoded: Decoded, order: int, message: Inbound, route: Route) -> None:
        read = partial(_event, message.received_ms)
        decoded.events += [(order, one) for one in self._numbered(decoded, message, route, read)]

    def _link(self, decoded: Decoded, order: int, message: Inbound, route: Route) -> None:
        read = partial(_link, message.received_ms, message.retained)
        decoded.links += [(order, one) for one in self._numbered(decoded, message, route, read)]

    def _ride(self, decoded: Decoded, order: int, message: Inbound, route: Route) -> None:
        read = partial(_ride, message.received_ms)
        decoded.rides += [(order, one) for one in self._numbered(decoded, message, route, read)]

    def _call(self, decoded: Decoded, order: int, message: Inbound, route: Route) -> None:
        objects = exact.read(message.payload)
        decoded.calls += [(order, one) for one in [records.call(one, message.received_ms, route) for one in objects]]

    def _action(self, decoded: Decoded, order: int, message: Inbound, route: Route) -> None:
        objects = exact.read(message.payload)
        found = [records.action(one, message.received_ms, route) for one in objects]
        decoded.actions += [(order, one) for one in found]

    def _numbered(
        self,
        decoded: Decoded,
        message: Inbound,
        route: Route,
        read: Callable[[dict[str, Any], Profile | None], list[records.Numbered[T]]],
    ) -> list[T]:
        """Everything a message says of its equipment.

        First all of it is read, then its equipment is taken in, so that a message that cannot be read leaves no
        trace. Of a gateway's message that can be read, what concerns equipment that cannot be taken in (too many
        unregistered, another kind in the registry) is left out and the message set aside as well: one bad entry of
        the registry must not silence the other lifts of a gateway.
        """
        named = [(_named(route, one), one) for one in exact.read(message.payload)]
        things = [
            (equipment_id, thing) for equipment_id, one in named for thing in read(one, self._profile(equipment_id))
        ]
        found: list[T] = []
        refused: UnreadableError | None = None
        for equipment_id, thing in things:
            try:
                found.append(thing(self._admit(route, equipment_id)))
            except UnreadableError as error:
                refused = refused or error
        if refused is not None:
            decoded.quarantined.append(set_aside(message, refused))
        return found

    def _profile(self, equipment_id: str) -> Profile | None:
        known = self._register.by_id.get(equipment_id)
        if known is None or known.profile is None:
            return None
        profile = self._profiles.get(known.profile)
        if profile is None:
            raise UnreadableError(Reason.PROFILE, known.profile[: exact.MAX_DETAIL])
        return profile

    def _admit(self, route: Route, equipment_id: str) -> int:
        assert route.division is not None
        assert route.kind is not None
        number = self._register.number_of(equipment_id, route.division, route.kind)
        if number is None:
            raise UnreadableError(Reason.UNREGISTERED_LIMIT, equipment_id)
        known = self._register.by_number[number]
        if known.kind is not route.kind:
            raise UnreadableError(Reason.KIND_MISMATCH, f"{equipment_id} is registered as {known.kind}")
        code = _GATEWAYS.get(route.kind)
        if known.profile is None and code is not None:
            self._known[code][equipment_id] = number
        return number


def set_aside(message: Inbound, error: UnreadableError) -> Quarantined:
    """The quarantine record of `message`: its payload cut to 1 MiB, its topic made storable."""
    topic = message.topic[:MAX_TOPIC].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return Quarantined(
        received_ms=message.received_ms,
        topic=topic,
        reason=str(error.reason),
        detail=error.detail[: exact.MAX_DETAIL],
        payload=bytes(message.payload[: exact.MAX_BYTES]),
        size=len(message.payload),
    )


def _named(route: Route, one: dict[str, Any]) -> str:
    """The equipment an object is about: the topic's, or in a gateway's form the object's own."""
    own = one.get("equipment_id")
    if own is not None and not isinstance(own, str):
        raise UnreadableError(Reason.TYPE, "equipment_id is no text")
    if route.equipment_id is not None:
        if own is not None and own != route.equipment_id:
            raise UnreadableError(Reason.MISMATCH, "equipment_id")
        return route.equipment_id
    if own is None:
        raise UnreadableError(Reason.MISSING, "equipment_id")
    if not is_equipment_id(own):
        raise UnreadableError(Reason.RANGE, "equipment_id")
    return own


def _sample(
    struct: type[hot.Status], one: dict[str, Any], profile: Profile | None
) -> list[records.Numbered[tuple[int, hot.Status]]]:
    read = records.convert(one if profile is None else profile.status(one), struct)
    return [lambda number: (number, read)]


def _event(received_ms: int, one: dict[str, Any], profile: Profile | None) -> list[records.Numbered[EventRecord]]:
    return records.events(one, received_ms, profile)


def _link(
    received_ms: int, retained: bool, one: dict[str, Any], _: Profile | None
) -> list[records.Numbered[LinkRecord]]:
    return [records.link(one, received_ms, retained=retained)]


def _ride(received_ms: int, one: dict[str, Any], _: Profile | None) -> list[records.Numbered[RideRecord]]:
    return [records.ride(one, received_ms)]


def _measurement(received_ms: int, one: dict[str, Any], profile: Profile | None) -> list[records.Numbered[Measurement]]:
    return [records.measurement(one, received_ms, profile)]


def _join(decoded: Decoded, parts: list[_Part]) -> None:
    """One READING array in receive order; a message's samples lie in one part, in their own order."""
    if not parts:
        return
    samples, orders = parts[0]
    if len(parts) > 1:
        samples = np.concatenate([part.samples for part in parts])
        orders = np.concatenate([part.orders for part in parts])
        sequence = np.argsort(orders, kind="stable")
        samples, orders = samples[sequence], orders[sequence]
    decoded.samples = samples
    decoded.sample_order = orders.astype(np.int32)
