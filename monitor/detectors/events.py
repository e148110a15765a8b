"""Coded events of the controller: what they raise and clear, twice being once and late ones being no news."""

from __future__ import annotations

from collections import deque
from typing import Any

from monitor.detectors.book import Book
from monitor.domain.commit import EventRecord
from monitor.domain.fault import MOMENTARY, FaultKind

#: Event keys remembered for each equipment, against redelivery.
REMEMBERED = 64
#: A raise older than a clearing that came at most this long ago was overtaken by it.
OVERTAKEN_MS = 60_000
#: Old news waits this long for its own clearing before it is told.
SETTLE_MS = 3000
#: What code 40 clears: what codes 1-8 and 41-47 left raised (protocol §3), by kind, as makers' codes may mean them.
RESTORABLE = frozenset(
    {
        FaultKind.SAFETY_CIRCUIT_OPEN,
        FaultKind.DOOR_CLOSE_FAULT,
        FaultKind.DOOR_OPEN_FAULT,
        FaultKind.STOPPED_OUTSIDE_DOOR_ZONE,
        FaultKind.UNINTENDED_CAR_MOVEMENT,
        FaultKind.MOTOR_RUN_LIMITER,
        FaultKind.FLOOR_POSITION_LOST,
        FaultKind.RESTART_PREVENTED,
        FaultKind.MAIN_POWER_OFF,
        FaultKind.OUT_OF_SERVICE,
        FaultKind.INSPECTION,
        FaultKind.FIRE_RETURN,
        FaultKind.FIREFIGHTER,
        FaultKind.EMERGENCY_POWER,
        FaultKind.EARTHQUAKE,
    }
)


#: Source of clearings by code 40.
RESTORED = "restored"


class Events:
    """Event sources of open faults, by row."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._keys: dict[int, deque[tuple[Any, ...]]] = {}
        #: By (row, source): `ts` and receipt of the last clearing, and of the last raise.
        self._cleared: dict[tuple[int, str], tuple[int, int]] = {}
        self._raised: dict[tuple[int, str], tuple[int, int]] = {}
        self._actions: dict[int, deque[str]] = {}
        #: Raises that are old news, until told or overtaken: (row, source) -> (due, kind, since).
        self.pending: dict[int, dict[str, tuple[int, FaultKind, int]]] = {}

    def known(self, event: EventRecord) -> bool:
        """Whether this very event came before; it is known from now on."""
        key = (event.ts, event.seq, event.code, event.vendor_code, event.state)
        keys = self._keys.setdefault(event.number, deque(maxlen=REMEMBERED))
        if key in keys:
            return True
        keys.append(key)
        return False

    def known_action(self, row: int, key: str) -> bool:
        """Whether this very action came before; it is known from now on."""
        keys = self._actions.setdefault(row, deque(maxlen=REMEMBERED))
        if key in keys:
            return True
        keys.append(key)
        return False

    def judge(self, event: EventRecord, name: str, *, since_ms: int, stale: bool) -> None:
        """Raise or release what the event says; the alarm button's meaning for an entrapment is not judged here."""
        row, at = event.number, event.received_ms
        kind = FaultKind(event.kind)
        source = f"event:{event.code}" + (f":{event.vendor_code}" if event.vendor_code else "")
        if kind in MOMENTARY:
            if event.state == "raised" and not event.test:
                if kind is FaultKind.AUTO_RESTORED:
                    self._restore(event, name)
                self._book.raise_(row, name, kind, source, at, since_ms, _evidence(event))
            return
        if event.state == "cleared":
            if self._older(self._raised.get((row, source)), event):
                return  # it was the clearing of an earlier raise
            self._cleared[row, source] = (event.ts, at)
            self._drop_pending(row, source)
            self._book.release(row, name, kind, source, at, _evidence(event))
        elif self._older(self._cleared.get((row, source)), event) or (
            kind in RESTORABLE and self._older(self._cleared.get((row, RESTORED)), event)
        ):
            return  # it is over already
        elif stale:
            self.pending.setdefault(row, {})[source] = (at + SETTLE_MS, kind, since_ms)
        else:
            self._raised[row, source] = (event.ts, at)
            self._book.raise_(row, name, kind, source, at, since_ms, _evidence(event))

    def due(self, row: int) -> int | None:
        """When a waiting raise of the row is to be told."""
        waiting = self.pending.get(row)
        return min(due for due, _, _ in waiting.values()) if waiting else None

    def tell_due(self, row: int, name: str, at: int) -> None:
        """Tell the waiting raises that are due at `at`."""
        for source, (due, kind, since_ms) in list(self.pending.get(row, {}).items()):
            if due <= at:
                self._drop_pending(row, source)
                self._book.raise_(row, name, kind, source, at, since_ms, {"late": True})

    def _older(self, other: tuple[int, int] | None, event: EventRecord) -> bool:
        """Whether the event was made before another one that came a while ago at most, and was overtaken by it."""
        return other is not None and event.ts < other[0] and event.received_ms - other[1] <= OVERTAKEN_MS

    def _drop_pending(self, row: int, source: str) -> None:
        waiting = self.pending.get(row)
        if waiting is not None and waiting.pop(source, None) is not None and not waiting:
            del self.pending[row]

    def _restore(self, event: EventRecord, name: str) -> None:
        row = event.number
        self._cleared[row, RESTORED] = (event.ts, event.received_ms)
        for source, (_, kind, _) in list(self.pending.get(row, {}).items()):
            if kind in RESTORABLE:
                self._drop_pending(row, source)
        for kind in sorted(RESTORABLE):
            fault = self._book.open.get((row, kind))
            for source in sorted(fault.sources) if fault else ():
                if source.startswith("event:") and not self._older(self._raised.get((row, source)), event):
                    self._book.release(row, name, kind, source, event.received_ms, _evidence(event))

    def dump(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "keys": [[row, [list(k) for k in keys]] for row, keys in self._keys.items()],
            "cleared": [[row, source, *when] for (row, source), when in self._cleared.items()],
            "raised": [[row, source, *when] for (row, source), when in self._raised.items()],
            "actions": [[row, list(keys)] for row, keys in self._actions.items()],
            "pending": [
                [row, source, due, kind.value, since]
                for row, waiting in self.pending.items()
                for source, (due, kind, since) in waiting.items()
            ],
        }

    def restore(self, plain: dict[str, Any]) -> None:
        """Take back what `dump` gave."""
        self._keys = {row: deque((tuple(k) for k in keys), maxlen=REMEMBERED) for row, keys in plain["keys"]}
        self._cleared = {(row, source): (ts, at) for row, source, ts, at in plain["cleared"]}
        self._raised = {(row, source): (ts, at) for row, source, ts, at in plain["raised"]}
        self._actions = {row: deque(keys, maxlen=REMEMBERED) for row, keys in plain["actions"]}
        self.pending = {}
        for row, source, due, kind, since in plain["pending"]:
            self.pending.setdefault(row, {})[source] = (due, FaultKind(kind), since)


def _evidence(event: EventRecord) -> dict[str, Any]:
    return {"code": event.code, "vendor_code": event.vendor_code, "ts": event.ts, "seq": event.seq, "text": event.text}
