"""A batch's input as bytes, so that a restart can judge again what the last checkpoint does not know.

An entry is one byte of version, then msgpack. Samples travel as their raw rows together with the row's layout, so that
an entry written before a column was added to READING is still read afterwards.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import msgspec
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
)
from monitor.domain.equipment import Equipment
from monitor.domain.errors import UnreadableError
from monitor.domain.reading import READING
from monitor.messages.decode import Decoded
from monitor.messages.reasons import Reason
from monitor.messages.samples import absent_rows

#: First byte of an entry; a reader refuses others.
VERSION = 1
#: Longest entry, bytes; a longer one is refused unread.
MAX_BYTES = 1 << 30

#: Formats of numpy that a row may hold: what numpy itself would take is far more, down to expressions.
_FORMAT = re.compile(r"[<|][iuf][1248]")
_LAYOUT = [(name, READING[name].str) for name in READING.names or ()]


class _Entry(msgspec.Struct, array_like=True):
    now_ms: int
    layout: list[tuple[str, str]]
    samples: bytes
    sample_order: bytes
    events: list[tuple[int, EventRecord]]
    links: list[tuple[int, LinkRecord]]
    measurements: list[tuple[int, Measurement]]
    rides: list[tuple[int, RideRecord]]
    calls: list[tuple[int, CallRecord]]
    actions: list[tuple[int, ActionRecord]]
    quarantined: list[Quarantined]
    new_equipment: tuple[Equipment, ...]


def pack(decoded: Decoded, now_ms: int) -> bytes:
    """`decoded` and the instant it was judged at, as one entry."""
    entry = _Entry(
        now_ms=now_ms,
        layout=_LAYOUT if len(decoded.samples) else [],
        samples=decoded.samples.tobytes(),
        sample_order=decoded.sample_order.tobytes(),
        events=decoded.events,
        links=decoded.links,
        measurements=decoded.measurements,
        rides=decoded.rides,
        calls=decoded.calls,
        actions=decoded.actions,
        quarantined=decoded.quarantined,
        new_equipment=decoded.new_equipment,
    )
    return bytes((VERSION,)) + _encoder.encode(entry)


def unpack(entry: bytes) -> tuple[Decoded, int]:
    """What `pack` was given.

    Raises:
        UnreadableError: the entry is of another version, too long, or damaged (reason `journal`).
    """
    if not 1 < len(entry) <= MAX_BYTES:
        raise UnreadableError(Reason.JOURNAL, f"{len(entry)} bytes")
    if entry[0] != VERSION:
        raise UnreadableError(Reason.JOURNAL, f"version {entry[0]}, not {VERSION}")
    try:
        read = _decoder.decode(memoryview(entry)[1:])
        samples = _rows(read)
        order = np.frombuffer(read.sample_order, np.int32).copy()
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableError(Reason.JOURNAL, type(error).__name__) from error
    if len(order) != len(samples):
        raise UnreadableError(Reason.JOURNAL, "samples and their order differ in length")
    decoded = Decoded(
        samples=samples,
        sample_order=order,
        events=read.events,
        links=read.links,
        measurements=read.measurements,
        rides=read.rides,
        calls=read.calls,
        actions=read.actions,
        quarantined=read.quarantined,
        new_equipment=read.new_equipment,
    )
    return decoded, read.now_ms


def _rows(read: _Entry) -> NDArray[np.void]:
    if read.layout == _LAYOUT or not read.layout:
        return np.frombuffer(read.samples, READING).copy()
    if not all(_FORMAT.fullmatch(form) for _, form in read.layout):
        raise ValueError("a layout of other things than numbers")
    written = np.frombuffer(read.samples, np.dtype(read.layout))
    rows = absent_rows(len(written))
    for name, _ in read.layout:
        if name in _NAMES:
            rows[name] = written[name]
    return rows


_NAMES = frozenset(READING.names or ())


def _plain(value: Any) -> bytes | dict[str, Any]:
    if isinstance(value, np.ndarray):
        return value.astype("<f4", copy=False).tobytes()
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(type(value).__name__)


def _array_from_bytes(_type: Any, value: Any) -> NDArray[np.float32]:
    return np.frombuffer(value, "<f4").copy()


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(_Entry, dec_hook=_array_from_bytes)
