"""The book of open faults: several sources (rules, events) of one kind make one fault, raised once, cleared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.domain.fault import MOMENTARY, FaultChange, FaultKind, FaultState


@dataclass(slots=True, kw_only=True)
class OpenFault:
    """An open fault and what holds it open."""

    raised_at_ms: int
    since_ms: int
    sources: set[str] = field(default_factory=set)


#: Entrapments remembered for each equipment, so that history does not tell one again.
REMEMBERED = 16


class Book:
    """Open faults by (row, kind), and the lines to be told."""

    def __init__(self) -> None:
        self.open: dict[tuple[int, FaultKind], OpenFault] = {}
        #: Spans [since, cleared or None] of the last entrapments of a row.
        self.entrapments: dict[int, list[list[int | None]]] = {}
        self._lines: list[FaultChange] = []

    def raise_(
        self,
        number: int,
        equipment_id: str,
        kind: FaultKind,
        source: str,
        at_ms: int,
        since_ms: int,
        evidence: Mapping[str, Any],
    ) -> None:
        """`source` holds the fault open; the first source raises it. A momentary kind is told and not kept."""
        key = (number, kind)
        known = self.open.get(key)
        if known is not None:
            known.sources.add(source)
            return
        since_ms = min(since_ms, at_ms)
        if kind not in MOMENTARY:
            self.open[key] = OpenFault(raised_at_ms=at_ms, since_ms=since_ms, sources={source})
        if kind is FaultKind.ENTRAPMENT:
            self.entrapments.setdefault(number, []).append([since_ms, None])
            del self.entrapments[number][:-REMEMBERED]
        self._lines.append(
            FaultChange(
                at_ms=at_ms,
                number=number,
                equipment_id=equipment_id,
                kind=kind,
                state=FaultState.RAISED,
                since_ms=since_ms,
                raised_at_ms=at_ms,
                evidence={"source": source, **evidence},
            )
        )

    def release(
        self,
        number: int,
        equipment_id: str,
        kind: FaultKind,
        source: str,
        at_ms: int,
        evidence: Mapping[str, Any],
        *,
        over_ms: int | None = None,
    ) -> None:
        """`source` no longer holds the fault; it is cleared when nothing does. `over_ms`: since when, if told late."""
        known = self.open.get((number, kind))
        if known is None or source not in known.sources:
            return
        known.sources.discard(source)
        if known.sources:
            return
        del self.open[number, kind]
        if kind is FaultKind.ENTRAPMENT and self.entrapments.get(number):
            self.entrapments[number][-1][1] = at_ms if over_ms is None else min(at_ms, over_ms)
        self._lines.append(
            FaultChange(
                at_ms=at_ms,
                number=number,
                equipment_id=equipment_id,
                kind=kind,
                state=FaultState.CLEARED,
                since_ms=known.since_ms,
                raised_at_ms=known.raised_at_ms,
                evidence={"source": source, **evidence},
            )
        )

    def holds(self, number: int, kind: FaultKind, source: str) -> bool:
        """Whether `source` holds that fault open."""
        known = self.open.get((number, kind))
        return known is not None and source in known.sources

    def tell(self, line: FaultChange) -> None:
        """Add a line found in history."""
        self._lines.append(line)

    def take(self) -> tuple[FaultChange, ...]:
        """The lines since the last call, by `at_ms`, then equipment, then as they came."""
        lines, self._lines = self._lines, []
        return tuple(sorted(lines, key=lambda line: (line.at_ms, line.number)))

    def dump(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "open": [[n, k.value, f.raised_at_ms, f.since_ms, sorted(f.sources)] for (n, k), f in self.open.items()],
            "entrapments": [[n, spans] for n, spans in self.entrapments.items()],
        }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take back what `dump` gave."""
        self.open = {
            (n, FaultKind(k)): OpenFault(raised_at_ms=raised, since_ms=since, sources=set(sources))
            for n, k, raised, since, sources in plain["open"]
        }
        self.entrapments = dict(plain["entrapments"])
