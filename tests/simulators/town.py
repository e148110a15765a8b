"""Small towns for the tests, parsed as a centre would parse them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from simulators.network import Quality
from simulators.scenario import FILE_START_MS, FixedPlan, Scenario
from simulators.world import World

HOUR_S = 3_600.0
#: A town in which nothing goes wrong.
NO_RATES = {"entrapments": 0.0, "faults": 0.0, "network": 0.0, "routines": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message as received."""

    at: int
    topic: str
    payload: dict[str, Any]


def scenario(**settings: Any) -> Scenario:
    """Four hours of an ordinary Monday morning unless told otherwise."""
    given = {"name": "test", "lifts": 12, "duration_s": 4 * HOUR_S, "start_hour": 7, "rates": NO_RATES}
    return Scenario(**{**given, **settings})


def quiet_network() -> Quality:
    """A network that loses nothing, and clocks that are right."""
    return Quality(clock_sd_s=0.0, drift_ppm=0.0)


def plan(lift: int, kind: str, after_s: float = 300.0, **options: Any) -> FixedPlan:
    return FixedPlan(lift=lift, after_s=after_s, kind=kind, **options)


def lived(of: Scenario, start_ms: int = FILE_START_MS) -> tuple[World, list[Heard]]:
    """The whole of a scenario: its world and everything received."""
    world = World(of, start_ms=start_ms)
    heard = [
        Heard(at=record.at_ms, topic=record.topic, payload=json.loads(record.payload))
        for records in world.records(start_ms + round(of.duration_s * 1000))
        for record in records
    ]
    return world, heard


def samples_of(heard: list[Heard], kind: str = "lift") -> dict[str, list[dict[str, Any]]]:
    """The samples of each equipment of that kind, in order of `seq`; `at` added."""
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in heard:
        _, _, _, of_kind, equipment_id, channel = message.topic.split("/")
        if of_kind == kind and channel == "status":
            samples[equipment_id].append({**message.payload, "at": message.at})
    return {key: sorted(found, key=lambda sample: sample["seq"]) for key, found in samples.items()}
