"""Coded events of the controller: what they raise and clear, twice being once and late ones being no news."""

from __future__ import annotations

from collections import deque
from typing import Any

from monitor.detectors.book import Book
from monitor.domain.commit import EventRecord
from monitor.domain.fault import FaultKind

#: Event keys remembered for each equipment, against redelivery.
REMEMBERED = 64
#: A raise older than a clearing that came at most this long ago was overtaken by it.
OVERTAKEN_MS = 60_000
#: Old news waits this long for its own clearing before it is told.
SETTLE_MS = 3000
AUTO_RESTORED, ALARM_BUTTON = 40, 90
#: Codes whose raised faults code 40 clears (protocol §3).
RESTORABLE = frozenset({*range(1, 9), *range(41, 48)})


class Events:
    """Event sources of open faults, by row."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._keys: dict[int, deque[tuple[Any, ...]]] = {}
        self._cleared: dict[tuple[int, str], tuple[int, int]] = {}
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

    def judge(self, event: EventRecord, name: str, *, since_ms: int, stale: bool) -> None:
        """Raise or release what the event says; the alarm button's meaning for an entrapment is not judged here."""
        row, at = event.number, event.received_ms
        kind = FaultKind(event.kind)
        if event.code == ALARM_BUTTON:
            if event.state == "raised" and not event.test:
                self._book.raise_(row, name, kind, "event:90", at, since_ms, _evidence(event))
            return
        if event.code == AUTO_RESTORED:
            if event.state == "raised":
                self._restore(event, name)
                self._book.raise_(row, name, kind, "event:40", at, since_ms, _evidence(event))
            return
        source = f"event:{event.code}" + (f":{event.vendor_code}" if event.vendor_code else "")
        if event.state == "cleared":
            self._cleared[row, source] = (event.ts, at)
            self._drop_pending(row, source)
            self._book.release(row, name, kind, source, at, _evidence(event))
        elif self._overtaken(row, source, event):
            return
        elif stale:
            self.pending.setdefault(row, {})[source] = (at + SETTLE_MS, kind, since_ms)
        else:
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

    def _overtaken(self, row: int, source: str, event: EventRecord) -> bool:
        cleared_ts, cleared_at = self._cleared.get((row, source), (event.ts, 0))
        return event.ts < cleared_ts and event.received_ms - cleared_at <= OVERTAKEN_MS

    def _drop_pending(self, row: int, source: str) -> None:
        waiting = self.pending.get(row)
        if waiting is not None and waiting.pop(source, None) is not None and not waiting:
            del self.pending[row]

    def _restore(self, event: EventRecord, name: str) -> None:
        row = event.number
        for source in list(self.pending.get(row, {})):
            if _restorable(source):
                self._drop_pending(row, source)
        for kind in FaultKind:
            fault = self._book.open.get((row, kind))
            for source in sorted(fault.sources) if fault else ():
                if _restorable(source):
                    self._book.release(row, name, kind, source, event.received_ms, _evidence(event))

    def dump(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "keys": [[row, [list(k) for k in keys]] for row, keys in self._keys.items()],
            "cleared": [[row, source, *when] for (row, source), when in self._cleared.items()],
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
        self.pending = {}
        for row, source, due, kind, since in plain["pending"]:
            self.pending.setdefault(row, {})[source] = (due, FaultKind(kind), since)


def _restorable(source: str) -> bool:
    parts = source.split(":")
    return parts[0] == "event" and int(parts[1]) in RESTORABLE


def _evidence(event: EventRecord) -> dict[str, Any]:
    return {"code": event.code, "vendor_code": event.vendor_code, "ts": event.ts, "seq": event.seq, "text": event.text}
