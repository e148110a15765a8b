"""Judge a centre's output by a town's truth log: what was missed, late, not cleared, and what was raised for nothing.

The judging idea is that of recorded cases with known truth: every `must` raised within its bounds and shut in time;
every other raise explained by some case, or false. Kinds that are mode events or the alarm button are never false,
nor is silence after the stream's end.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NEVER_FALSE = frozenset(
    {
        "auto_restored",
        "main_power_off",
        "out_of_service",
        "inspection",
        "fire_return",
        "firefighter",
        "emergency_power",
        "earthquake",
        "car_alarm_button",
    }
)
AFTER_THE_END = frozenset({"offline", "lost_contact_occupied"})
#: A line is raised and nothing stays open.
MOMENTARY = frozenset({"car_alarm_button", "auto_restored"})


@dataclass(slots=True)
class Verdict:
    """`problems` in words; `delays_s`: raise minus due of every must found; counts of musts and of false raises."""

    must: int = 0
    found: int = 0
    problems: list[str] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    false: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        ordered = sorted(self.delays_s)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else float("nan")
        return (
            f"must found {self.found} of {self.must}; p95 {p95:.1f} s after due; "
            f"false raises {sum(self.false.values())}; problems {len(self.problems)}"
        )


#: (equipment, kind) -> spans of (raised, cleared or None)
Spans = dict[tuple[str, str], list[tuple[int, int | None]]]


def spans_of(output: Iterable[Mapping[str, Any]]) -> Spans:
    """Fault lines of protocol §8 as spans."""
    spans: Spans = defaultdict(list)
    for line in output:
        if "fault" not in line:
            continue
        of_kind = spans[line["equipment_id"], line["fault"]]
        if line["change"] == "raised":
            if not of_kind or of_kind[-1][1] is not None or line["fault"] in MOMENTARY:
                of_kind.append((line["at"], None))
        elif of_kind and of_kind[-1][1] is None:
            of_kind[-1] = (of_kind[-1][0], line["at"])
    return spans


def judge(truth: Iterable[Mapping[str, Any]], output: Iterable[Mapping[str, Any]], *, end_ms: int) -> Verdict:
    """Hold `output` against `truth`; `end_ms` is the receive time of the stream's last record."""
    cases = list(truth)
    spans = spans_of(output)
    verdict = Verdict()
    for case in cases:
        for must in case["must"]:
            _judge_must(case, must, spans.get((case["equipment_id"], must["kind"]), []), verdict)
    by_equipment: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for case in cases:
        by_equipment[case["equipment_id"]].append(case)
    for (equipment, kind), of_kind in sorted(spans.items()):
        for raised, _ in of_kind:
            if kind in NEVER_FALSE or (kind in AFTER_THE_END and raised > end_ms):
                continue
            if not any(_explains(case, kind, raised) for case in by_equipment[equipment]):
                verdict.false[kind] += 1
                verdict.problems.append(f"false {kind} of {equipment} at {raised}")
    return verdict


def _judge_must(
    case: Mapping[str, Any], must: Mapping[str, Any], ours: list[tuple[int, int | None]], verdict: Verdict
) -> None:
    name = f"{must['kind']} of {case['equipment_id']} ({case['fault']} at {case['from']})"
    verdict.must += 1
    hit = next((s for s in ours if must["raised_after"] <= s[0] <= must["raised_before"]), None)
    if hit is None:
        verdict.problems.append(f"missed {name}")
        return
    verdict.found += 1
    verdict.delays_s.append((hit[0] - must["due"]) / 1000)
    after, before = must["cleared_after"], must["cleared_before"]
    if after is not None and hit[1] is not None and hit[1] < after:
        verdict.problems.append(f"cleared {(after - hit[1]) / 1000:.1f} s too early: {name}")
    if before is not None and must["kind"] not in MOMENTARY and (hit[1] is None or hit[1] > before):
        late = "never" if hit[1] is None else f"{(hit[1] - before) / 1000:.1f} s late"
        verdict.problems.append(f"cleared {late}: {name}")


def _explains(case: Mapping[str, Any], kind: str, raised: int) -> bool:
    if kind in case["may"] and case["may_after"] <= raised <= case["may_before"]:
        return True
    return any(
        must["kind"] == kind and must["raised_after"] <= raised <= (must["cleared_before"] or case["may_before"])
        for must in case["must"]
    )


def read_lines(text: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text if line.strip()]
