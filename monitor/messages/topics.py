"""Topics of protocol §1, parsed into a Route."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from monitor.domain.equipment import EquipmentKind
from monitor.domain.errors import UnreadableError
from monitor.messages.reasons import Reason

#: Parsed topics kept; the oldest leave first, so that invented topics cannot fill the memory.
CACHED = 1 << 16

_KINDS = {kind.value: kind for kind in EquipmentKind}
_DIVISION = re.compile(r"[0-9]{6}")
_EQUIPMENT_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
#: Names given by others (gateways, calls, firms): anything printable that MQTT and a URL path survive.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/+#\ud800-\udfff\ufffe\uffff]{1,128}")


class Channel(StrEnum):
    """What a topic carries."""

    STATUS = "status"
    EVENT = "event"
    LINK = "link"
    RIDE = "ride"
    CALLS = "calls"
    ACTIONS = "actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a message comes from and what it carries; fields that its channel does not have are None.

    Of `equipment_id` and `gateway` exactly one is set for status and event: a gateway's objects name theirs.
    """

    channel: Channel
    division: str | None = None
    kind: EquipmentKind | None = None
    equipment_id: str | None = None
    gateway: str | None = None
    call_id: str | None = None
    firm_id: str | None = None


def is_equipment_id(text: str) -> bool:
    """Whether `text` may name an equipment: 1 to 32 of `A-Z a-z 0-9 - _` (protocol §1)."""
    return _EQUIPMENT_ID.fullmatch(text) is not None


@lru_cache(maxsize=CACHED)
def parse(topic: str) -> Route:
    """The route of `topic`.

    Raises:
        UnreadableError: `topic` is not one that the centre reads (protocol §1); the detail says which part is wrong.
    """
    match topic.split("/"):
        case ["se", "v1", division, kind, source, channel]:
            return _equipment_route(division, kind, source, channel)
        case ["calls", "v1", division, call_id]:
            _check(_DIVISION, division, "division")
            return Route(channel=Channel.CALLS, division=division, call_id=_check(_NAME, call_id, "call_id"))
        case ["firms", "v1", firm_id, "actions"]:
            return Route(channel=Channel.ACTIONS, firm_id=_check(_NAME, firm_id, "firm_id"))
    raise UnreadableError(Reason.TOPIC, "no topic of the protocol")


def _equipment_route(division: str, kind_name: str, source: str, channel_name: str) -> Route:
    _check(_DIVISION, division, "division")
    kind = _KINDS.get(kind_name)
    if kind is None:
        raise UnreadableError(Reason.TOPIC, "unknown kind")
    if channel_name not in {"status", "event", "link", "ride"}:
        raise UnreadableError(Reason.TOPIC, "unknown channel")
    channel = Channel(channel_name)
    if not source.startswith("@"):
        _check(_EQUIPMENT_ID, source, "equipment_id")
        return Route(channel=channel, division=division, kind=kind, equipment_id=source)
    if channel not in {Channel.STATUS, Channel.EVENT}:
        raise UnreadableError(Reason.TOPIC, "a gateway sends status and event only")
    return Route(channel=channel, division=division, kind=kind, gateway=_check(_NAME, source[1:], "gateway"))


def _check(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise UnreadableError(Reason.TOPIC, f"wrong {what}")
    return text
