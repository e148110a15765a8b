"""A recorded stream through the live pipeline on a virtual clock (protocol §8)."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from monitor.detectors.engine import Engine, Outcome
from monitor.domain.equipment import Equipment
from monitor.domain.errors import UnreadableError
from monitor.domain.fault import FaultChange
from monitor.domain.incident import Change, Incident
from monitor.domain.register import Register
from monitor.domain.triage import on_fault
from monitor.messages.decode import Decoded, Decoder, Inbound
from monitor.messages.registry import Entry

#: The clock goes on for so long after the last record.
AFTER_MS = 300_000
#: Records judged together; the result does not depend on it.
BATCH = 4096


def _equipment(entry: Entry, number: int) -> Equipment:
    try:
        return entry.equipment(number)
    except ValueError as error:
        raise UnreadableError("registry", str(error)) from error


class _Line(msgspec.Struct):
    registry: list[Entry] | None = None
    at: int | None = None
    topic: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"")
    retained: bool = False


class Stream:
    """A recorded stream: its registry, and its records in order of receipt."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        self._lines = content.splitlines()
        self._decode = msgspec.json.Decoder(_Line).decode
        self.registry: list[Equipment] = []
        self._first = 0
        for place, line in enumerate(self._lines):
            if line.strip():
                head = self._read(place)
                if head.registry is not None:
                    self.registry = [_equipment(entry, number) for number, entry in enumerate(head.registry, start=1)]
                    self._first = place + 1
                break

    def _read(self, place: int) -> _Line:
        try:
            return self._decode(self._lines[place])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise UnreadableError("stream", f"line {place + 1}: {error}") from error

    def batches(self, size: int = BATCH) -> Iterator[list[Inbound]]:
        """The records in batches of `size`.

        Raises:
            UnreadableError: a line is no record, or goes back in time.
        """
        batch: list[Inbound] = []
        last = -(2**62)
        for place in range(self._first, len(self._lines)):
            if not self._lines[place]:
                continue
            line = self._read(place)
            if line.at is None or line.at < last:
                raise UnreadableError("stream", f"line {place + 1}: `at` is missing or goes back")
            last = line.at
            batch.append(Inbound(line.topic, bytes(line.payload), line.at, line.retained))
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch


class Replay:
    """One run: the decoder and the engine of the live centre, driven by the stream's own clock."""

    def __init__(self, registry: Sequence[Equipment]) -> None:
        self._decoder = Decoder(Register(registry))
        self._engine = Engine(registry)
        self._held: list[FaultChange] = []

    def batch(self, batch: Sequence[Inbound]) -> tuple[Decoded, Outcome]:
        """Judge one batch as the live centre would."""
        decoded = self._decoder.decode(batch)
        self._engine.register(decoded.new_equipment)
        outcome = self._engine.process(decoded, batch[-1].received_ms)
        self._held += outcome.faults
        return decoded, outcome

    def lines(self, before_ms: float) -> list[FaultChange]:
        """Changes told before that instant and not returned yet; later ones may still be joined by others."""
        done = [line for line in self._held if line.at_ms < before_ms]
        self._held = [line for line in self._held if line.at_ms >= before_ms]
        return sorted(done, key=lambda line: (line.at_ms, line.number))

    def finish(self, last_ms: int) -> Outcome:
        """Let the clock go on after the last record."""
        outcome = self._engine.tick(last_ms + AFTER_MS)
        self._held += outcome.faults
        return outcome


class Cases:
    """The incidents of a run, in memory."""

    def __init__(self) -> None:
        self._open: dict[int, Incident] = {}

    def take(self, fault: FaultChange) -> Change | None:
        """What the fault does to the incident of its equipment."""
        change = on_fault(self._open.get(fault.number), fault)
        if change is not None:
            if change.incident.is_open:
                self._open[fault.number] = change.incident
            else:
                self._open.pop(fault.number, None)
        return change


def with_incidents(faults: Iterable[FaultChange]) -> Iterator[FaultChange | Change]:
    """Changes of faults, each followed by what it does to an incident."""
    cases = Cases()
    for fault in faults:
        yield fault
        change = cases.take(fault)
        if change is not None:
            yield change


def run(stream: Stream, size: int = BATCH) -> Iterator[FaultChange]:
    """All changes of faults of a stream, sorted by `at_ms`."""
    replay = Replay(stream.registry)
    last = None
    for batch in stream.batches(size):
        replay.batch(batch)
        last = batch[-1].received_ms
        yield from replay.lines(last)
    if last is not None:
        replay.finish(last)
    yield from replay.lines(float("inf"))


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode(line: FaultChange | Change) -> bytes:
    """A change as a line of JSON (protocol §8)."""
    return _encode(_plain_fault(line) if isinstance(line, FaultChange) else _plain_incident(line)) + b"\n"


def _plain_fault(line: FaultChange) -> dict[str, Any]:
    return {
        "at": line.at_ms,
        "equipment_id": line.equipment_id,
        "fault": line.kind.value,
        "change": line.state.value,
        "since": line.since_ms,
        "evidence": dict(line.evidence),
    }


def _plain_incident(line: Change) -> dict[str, Any]:
    return {
        "at": line.entry.at_ms,
        "incident_id": str(line.incident.incident_id),
        "equipment_id": line.incident.equipment_id,
        "status": line.incident.status.value,
        "level": line.incident.level,
        "reason": line.reason.value,
    }
