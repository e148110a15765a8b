"""What one batch brings: everything that is committed in one transaction before its messages are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.domain.equipment import Equipment
from monitor.domain.fault import FaultChange
from monitor.domain.reading import READING


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One sample of a `values` kind (boiler, vessel, crane ...): quantities by name. Instants as in READING."""

    number: int
    received_ms: int
    time_ms: int
    ts: int
    seq: int
    values: Mapping[str, float]
    broken_clock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One coded fault, event or alarm as the controller sent it (protocol §3)."""

    number: int
    received_ms: int
    time_ms: int
    ts: int
    seq: int
    code: int
    vendor_code: str | None
    state: str
    kind: str
    text: str | None = None
    test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RideRecord:
    """One vibration burst (protocol §4); x, y, z in m/s², gravity removed."""

    number: int
    received_ms: int
    time_ms: int
    ts: int
    rate_hz: float
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord:
    """The last link message of an equipment; `link` is never a duplicate, the last received counts."""

    number: int
    received_ms: int
    online: bool
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """Progress of one emergency call (protocol §5), kept whole; unique by (call_id, event, ts)."""

    division: str
    call_id: str
    event: str
    ts: int
    received_ms: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """What a firm's people did (protocol §6), kept whole; unique by (firm_id, key).

    `key` is the action's `id`, or `ts/action/target` without one.
    """

    firm_id: str
    key: str
    ts: int
    received_ms: int
    action: str
    equipment_id: str | None
    incident_id: str | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A message that could not be read, whole; `payload` is cut to 1 MiB, `size` is what came."""

    received_ms: int
    topic: str
    reason: str
    detail: str
    payload: bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The detectors' whole state after batch `position`; `chunks` are opaque to the store."""

    position: int
    chunks: tuple[bytes, ...]


def no_readings() -> NDArray[np.void]:
    """An empty READING array."""
    return np.empty(0, READING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One batch, committed whole or not at all, and as often as needed: twice makes once.

    `position` counts batches up by one. `journal` holds the batch's input; the entries after the last checkpoint's
    position are judged again at a restart. `readings` is a READING array of samples not stored before as far as the
    detectors know; rows flagged HISTORY or CLOCK_SET (and only those) may repeat stored ones and are looked up by
    (number, ts, seq) before they are stored.
    """

    position: int
    journal: bytes
    #: When it was judged, ms, receiver's clock: a sign of life, in a batch of nothing too. None: not said.
    judged_ms: int | None = None
    new_equipment: tuple[Equipment, ...] = ()
    readings: NDArray[np.void] = field(default_factory=no_readings)
    measurements: tuple[Measurement, ...] = ()
    events: tuple[EventRecord, ...] = ()
    rides: tuple[RideRecord, ...] = ()
    links: tuple[LinkRecord, ...] = ()
    calls: tuple[CallRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()
    faults: tuple[FaultChange, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a monitor finds when it starts: the registry, the last checkpoint and the journal after it, in order."""

    equipment: tuple[Equipment, ...]
    checkpoint: Checkpoint | None
    journal: tuple[tuple[int, bytes], ...]
    #: Equipment numbers [first, last] that this monitor may give to equipment that no register knows.
    free_numbers: tuple[int, int]
    #: Receive time of the last committed batch, ms; None when there never was one.
    last_alive_ms: int | None
