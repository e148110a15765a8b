"""What really happened: one line of JSON a case, in the shape that a scorer needs.

    {"equipment_id", "fault", "from", "to", "persons", "note", "must": [{"kind", "due", "raised_after",
     "raised_before", "cleared_after", "cleared_before"}], "may": [kind], "may_after", "may_before"}

Instants are true ms since 1970 UTC, which is the receiver's clock. `fault` is what was done to the equipment, `must`
what a correct centre raises because of it (protocol §7), `may` what it may raise as well between `may_after` and
`may_before`. A raise that no case explains is false. `to` is null for what goes on at the end of the stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

#: A centre may be this much ahead of our reckoning of `due` (a sample's rounding, a clock's drift) ...
EARLY_MS = 10_000
#: ... or behind it: 3 s wait for late samples, one sample period, and some.
LATE_MS = 25_000
#: "Nobody there for 30 s once the door has been open", and a sample.
CLEARING_MS = 31_000
#: A late burst arrives, and is searched, within this.
BURST_MS = 90_000
#: After a stream's end the centre's clock goes on for this long (protocol §8).
END_MS = 300_000
#: What may be raised may also come a little before and after the case.
MAY_MARGIN_MS = 60_000


@dataclass(slots=True, kw_only=True)
class Must:
    """One kind that must be raised between `raised_after` and `raised_before`, and be shut in its bounds."""

    kind: str
    due: int
    raised_after: int
    raised_before: int
    cleared_after: int | None = None
    cleared_before: int | None = None


@dataclass(slots=True, kw_only=True)
class Case:
    """One thing that went wrong with one piece of equipment."""

    equipment_id: str
    fault: str
    start_ms: int
    persons: int
    note: str
    slack_ms: int
    #: Until then the centre hears nothing: what falls due earlier is told within a minute and a half after it.
    silent_until_ms: int = 0
    end_ms: int | None = None
    must: list[Must] = field(default_factory=list)
    may: set[str] = field(default_factory=set)
    #: What may be raised as long as nobody knows how the case ends.
    may_while_open: frozenset[str] = frozenset()

    def expect(self, kind: str, due_ms: int, *, early_ms: int = EARLY_MS, late_ms: int = LATE_MS) -> Must:
        """The centre must raise `kind`, due at `due_ms`."""
        if due_ms < self.silent_until_ms:
            due_ms, late_ms = self.silent_until_ms, BURST_MS
        must = Must(
            kind=kind, due=due_ms, raised_after=due_ms - early_ms, raised_before=due_ms + late_ms + self.slack_ms
        )
        self.must.append(must)
        return must

    def drop(self, kind: str) -> None:
        """What was expected did not last long enough: it may still be raised."""
        self.must = [m for m in self.must if m.kind != kind]
        self.may.add(kind)

    def over(self, kind: str, at_ms: int, within_ms: int = CLEARING_MS) -> None:
        """The condition of `kind` ended at `at_ms`: shut by then and `within_ms`, not before."""
        for must in self.must:
            if must.kind == kind and must.cleared_before is None:
                if at_ms < self.silent_until_ms:
                    at_ms, within_ms = self.silent_until_ms, BURST_MS + CLEARING_MS
                must.cleared_after = at_ms - 1_000
                must.cleared_before = at_ms + within_ms + self.slack_ms

    def cut(self, until_ms: int) -> Case:
        """The case as far as it went by `until_ms`, the end of the stream."""
        must = [replace(m) for m in self.must if m.raised_before <= until_ms]
        for one in must:
            if one.cleared_before is not None and one.cleared_before > until_ms:
                one.cleared_before = None
        may = self.may | {m.kind for m in self.must if m.raised_before > until_ms}
        ended = self.end_ms is not None and self.end_ms <= until_ms
        return replace(
            self, must=must, may=may if ended else may | self.may_while_open, end_ms=self.end_ms if ended else None
        )

    def line(self, until_ms: int = 0) -> str:
        """One line of the log; a case without an end may go on till after `until_ms`."""
        end = self.end_ms if self.end_ms is not None else until_ms
        record = {
            "equipment_id": self.equipment_id,
            "fault": self.fault,
            "from": self.start_ms,
            "to": self.end_ms,
            "persons": self.persons,
            "note": self.note,
            "must": [{name: getattr(m, name) for name in Must.__slots__} for m in self.must],
            "may": sorted(self.may),
            "may_after": self.start_ms - MAY_MARGIN_MS,
            "may_before": max([end, self.start_ms, *(m.raised_before for m in self.must)])
            + MAY_MARGIN_MS
            + self.slack_ms,
        }
        return json.dumps(record, ensure_ascii=False)


class TruthLog:
    """All cases of a town. `told` (if given) is called with each line as soon as its case has ended.

    `slack_ms` widens every bound on the late side: what the network may cost.
    """

    def __init__(self, *, slack_ms: int = 0, told: Callable[[str], None] | None = None) -> None:
        self.cases: list[Case] = []
        self._slack_ms = slack_ms
        self._told = told

    def open(
        self,
        equipment_id: str,
        fault: str,
        start_ms: int,
        *,
        persons: int = 0,
        note: str = "",
        may: tuple[str, ...] = (),
    ) -> Case:
        case = Case(
            equipment_id=equipment_id,
            fault=fault,
            start_ms=start_ms,
            persons=persons,
            note=note,
            slack_ms=self._slack_ms,
            may=set(may),
        )
        self.cases.append(case)
        return case

    def close(self, case: Case, end_ms: int) -> None:
        case.end_ms = end_ms
        if self._told is not None:
            self._told(case.line())

    def lines(self, until_ms: int) -> list[str]:
        """Every case begun before `until_ms`, by time; what was still due then is no more than possible."""
        chosen = [c.cut(until_ms) for c in self.cases if c.start_ms < until_ms]
        chosen.sort(key=lambda c: (c.start_ms, c.equipment_id, c.fault))
        return [case.line(until_ms + END_MS) for case in chosen]
