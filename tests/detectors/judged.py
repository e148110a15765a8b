"""What the line says of a stream: the same decoder, engine and order of output as `tiwei replay`, without a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.domain.fault import FaultChange
from monitor.messages.registry import Entry
from monitor.services.replay import AFTER_MS, Replay
from tests.detectors.world import T0, Lift, Message, merged, registry_entry


@dataclass(frozen=True, slots=True)
class Told:
    """One output line. `at` and `since` in seconds since T0, `at` less the latency of the tests' lifts."""

    at: float
    equipment_id: str
    kind: str
    change: str
    since: float
    evidence: Any


class Lines(list[Told]):
    """All output lines of a run."""

    def spans(self, kind: str, equipment_id: str = "L-1") -> list[tuple[float, float | None]]:
        """[(raised, cleared or None)] of one kind."""
        found: list[tuple[float, float | None]] = []
        for line in self:
            if (line.kind, line.equipment_id) == (kind, equipment_id):
                if line.change == "raised":
                    found.append((line.at, None))
                else:
                    found[-1] = (found[-1][0], line.at)
        return found

    def raised(self, kind: str, equipment_id: str = "L-1") -> list[float]:
        """When a kind was raised."""
        return [begin for begin, _ in self.spans(kind, equipment_id)]

    def cleared(self, kind: str, equipment_id: str = "L-1") -> list[float | None]:
        """When each raise of a kind was cleared."""
        return [end for _, end in self.spans(kind, equipment_id)]

    def since(self, kind: str) -> list[float]:
        """`since` of each raise of a kind."""
        return [line.since for line in self if line.kind == kind and line.change == "raised"]

    def kinds(self) -> set[str]:
        """Everything raised, less the silence after the last message."""
        return {line.kind for line in self}


#: Silence after the last record of a stream is no part of what the tests ask.
SILENCE = {"offline", "lost_contact_occupied"}


def registry_of(lifts: Iterable[Lift]) -> list[dict[str, Any]]:
    """The registry that knows these lifts."""
    return [registry_entry(one.equipment_id, one.kind, reports=one.reports) for one in lifts]


def replay_of(registry: Iterable[dict[str, Any]]) -> Replay:
    """A replay that knows this registry."""
    entries = msgspec.convert(list(registry), list[Entry])
    return Replay([entry.equipment(number) for number, entry in enumerate(entries, start=1)])


def changes(
    mail: Sequence[Message], registry: Iterable[dict[str, Any]], *, cuts: Sequence[int] = ()
) -> list[FaultChange]:
    """What is told of `mail`, taken in batches that end before the places `cuts`."""
    run = replay_of(registry)
    told: list[FaultChange] = []
    inbound = [message.inbound() for message in mail]
    for begin, end in zip([0, *cuts], [*cuts, len(inbound)], strict=True):
        if begin < end:
            run.batch(inbound[begin:end])
            told += run.lines(inbound[end - 1].received_ms)
    if inbound:
        run.finish(inbound[-1].received_ms)
    return told + run.lines(float("inf"))


def lines_of(told: Iterable[FaultChange], *, latency: int = 100, silence: bool = False) -> Lines:
    """Told changes in the tests' own units; the silence after the end of the stream left out unless asked for."""
    return Lines(
        Told(
            (one.at_ms - T0 - latency) / 1000,
            one.equipment_id,
            one.kind.value,
            one.state.value,
            (one.since_ms - T0) / 1000,
            one.evidence,
        )
        for one in told
        if silence or one.kind.value not in SILENCE
    )


def judge(*lifts: Lift, mail: Sequence[Message] | None = None, silence: bool = False, **registry: Any) -> Lines:
    """What is told of these lifts; `mail` instead of theirs, after the network had it; `registry` changes entries."""
    if mail is None:
        mail = merged(*(one.mail for one in lifts))
    entries = [{**entry, **registry} for entry in registry_of(lifts)]
    return lines_of(changes(mail, entries), silence=silence)


__all__ = ["AFTER_MS", "Lines", "Told", "changes", "judge", "lines_of", "registry_of", "replay_of"]
