"""The hot path: status messages of known equipment, a whole batch in a few passes.

It accepts only what is beyond doubt and leaves the rest to the exact way, so nothing here decides that a message is
bad. What it accepts, the exact way reads the same (a property test holds that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.domain.errors import UnreadableError
from monitor.domain.register import Register
from monitor.messages import exact
from monitor.messages.exact import MAX_BYTES, MAX_OBJECTS
from monitor.messages.payloads import LiftStatus, StairStatus
from monitor.messages.samples import LIFT, STAIR, Column, Table

Status = LiftStatus | StairStatus


class Form(NamedTuple):
    """A struct type, how it is decoded (one object or an array), and its columns."""

    decode: Callable[[bytes], Any]
    struct: type[Status]
    columns: tuple[Column, ...]


LIFT_FORM = Form(msgspec.json.Decoder(LiftStatus | list[LiftStatus]).decode, LiftStatus, LIFT)
STAIR_FORM = Form(msgspec.json.Decoder(StairStatus | list[StairStatus]).decode, StairStatus, STAIR)


class Mail(NamedTuple):
    """Messages of one form, columns of equal length.

    `orders` are places in the batch; `numbers` the equipment, or -1 for a gateway's, whose objects are looked up in
    the dict of `known` of the same place: equipment id to number, of one kind.
    """

    orders: NDArray[np.int64]
    payloads: Sequence[bytes]
    received_ms: NDArray[np.int64]
    numbers: NDArray[np.int64]
    known: Callable[[int], dict[str, int]]


class Read(NamedTuple):
    """Samples accepted, the message each came from, and the messages left to the exact way (places in the batch)."""

    samples: NDArray[np.void]
    orders: NDArray[np.int64]
    left: list[int]


def read(mail: Mail, form: Form, register: Register) -> Read:
    """Decode `mail`; never raises for anything a payload holds."""
    objects, counts = _decode(mail.payloads, form)
    table = Table(list(chain.from_iterable(objects)), form.columns)
    owner = np.repeat(np.arange(len(counts)), counts)
    doubtful = _doubtful(mail.payloads, table, owner, counts)
    numbers = np.repeat(mail.numbers, counts)
    if table.named or (mail.numbers < 0).any():
        numbers = _name(mail, table, counts, register, doubtful)
    samples = table.readings(numbers, mail.received_ms[owner])
    orders = mail.orders[owner]
    if not doubtful.any():
        return Read(samples, orders, [])
    sure = ~doubtful[owner]
    return Read(samples[sure], orders[sure], mail.orders[doubtful].tolist())


def _decode(payloads: Sequence[bytes], form: Form) -> tuple[list[Sequence[Status]], NDArray[np.int64]]:
    """The structs of each payload and their counts; 0 where it could not be read."""
    try:
        results = list(map(form.decode, payloads)) if max(map(len, payloads)) <= MAX_BYTES else None
    except Exception:  # noqa: BLE001 - one bad payload among many: find it below
        results = None
    if results is None:
        results = [_decode_one(payload, form) for payload in payloads]
    if list not in set(map(type, results)):
        return [results], np.ones(len(payloads), np.int64)
    objects: list[Sequence[Status]] = [
        (one if 0 < len(one) <= MAX_OBJECTS else ()) if type(one) is list else (one,) for one in results
    ]
    return objects, np.fromiter(map(len, objects), np.int64, len(objects))


def _decode_one(payload: bytes, form: Form) -> Any:
    if len(payload) > MAX_BYTES:
        return []
    try:
        return form.decode(payload)
    except Exception:  # noqa: BLE001 - the exact way will say what is wrong with it
        return []


def _doubtful(
    payloads: Sequence[bytes], table: Table, owner: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Messages that could not be read, or in which something was overlooked.

    Each field read costs one colon. No more colons than fields: every key was read and no key twice, so that msgspec
    skipped nothing, and what it does not skip it checks. More colons: a key twice, a field unknown to us or a colon in
    a text. Those are looked into, and what was read of them stands if they turn out to be sound.
    """
    doubtful: NDArray[np.bool_] = counts == 0
    colons = np.fromiter(map(bytes.count, payloads, repeat(b":")), np.int64, len(payloads))
    fields = np.bincount(owner, table.sent, len(payloads))
    for place in np.flatnonzero((colons != fields) & ~doubtful).tolist():
        try:
            exact.read(payloads[place])
        except UnreadableError:
            doubtful[place] = True
    return doubtful


def _name(
    mail: Mail, table: Table, counts: NDArray[np.int64], register: Register, doubtful: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The equipment number of each sample; messages with an id that does not fit or is not known become doubtful."""
    numbers: list[int] = []
    start = 0
    for place, (number, count) in enumerate(zip(mail.numbers.tolist(), counts.tolist(), strict=True)):
        ids = table.ids[start : start + count]
        start += count
        if number >= 0:
            own = register.by_number[number].equipment_id
            doubtful[place] |= any(one not in (None, own) for one in ids)
            numbers += [number] * count
            continue
        known = mail.known(place)
        found = [None if one is None else known.get(one) for one in ids]
        if None in found:
            doubtful[place] = True
            numbers += [0] * count
        else:
            numbers += found  # type: ignore[arg-type]
    return np.array(numbers, np.int64)
