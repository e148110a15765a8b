"""Messages read through a source profile."""

from __future__ import annotations

from typing import Any

from monitor.domain.commit import EventRecord
from monitor.messages.decode import Decoded, Decoder
from tests.messages import wire


def read(profile: str, topic: str, payload: Any, *, at: int = wire.NOW) -> Decoded:
    decoder = Decoder(wire.register(profile=profile))
    return wire.decode(wire.inbound(topic, payload, at=at), decoder=decoder)


def sample(profile: str, payload: Any, topic: str = wire.STATUS, *, at: int = wire.NOW) -> dict[str, Any]:
    decoded = read(profile, topic, payload, at=at)
    assert not decoded.quarantined, decoded.quarantined
    (row,) = decoded.samples
    names = row.dtype.names
    assert names is not None
    return {name: row[name].item() for name in names}


def events(profile: str, payload: Any, *, at: int = wire.NOW) -> list[EventRecord]:
    decoded = read(profile, wire.EVENT, payload, at=at)
    assert not decoded.quarantined, decoded.quarantined
    return [found for _, found in decoded.events]
