"""Scenarios: how big the town is, how much goes wrong in it, and how bad its networks are (`scenarios/*.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from simulators.faults import GROUPS, SCRIPTS
from simulators.network import Quality

#: Monday 2026-03-02 00:00 in China: where a stream to a file starts unless told otherwise.
FILE_START_MS = 1_772_380_800_000


class ScenarioError(Exception):
    """A scenario that does not exist or cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPlan:
    """`kind` happens to lift number `lift` of the town `after_s` seconds after the start."""

    lift: int
    after_s: float
    kind: str
    persons: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """The mains fail for `share` of all lifts `after_s` seconds after the start, for `minutes`."""

    after_s: float
    minutes: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Plain throughput: `lifts` terminals, one sample each every `period_s`."""

    lifts: int = 100_000
    period_s: float = 10.0
    connections: int = 4
    batch: int = 1
    in_flight: int = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a run of the town is made of. `rates` multiplies the published rates, by group of kinds."""

    name: str
    lifts: int = 500
    seed: int = 1
    duration_s: float = 86_400.0
    traffic: float = 1.0
    #: The hour of the town's day at the start; None: that of the clock.
    start_hour: int | None = None
    #: Time until help comes, against real life.
    rescue: float = 1.0
    calls: float = 0.0
    plants: bool = True
    rates: Mapping[str, float] = field(default_factory=dict)
    network: Quality = field(default_factory=Quality)
    plans: tuple[FixedPlan, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    load: Load = field(default_factory=Load)

    @property
    def slack_ms(self) -> int:
        """What this network may cost a due time: a lost change is made good by the next sample."""
        return 20_000 if self.network.loss or self.network.slow else 0


def _build(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    known = {f.name for f in fields(kind)}
    if unknown := set(table) - known:
        raise ScenarioError(f"{where}: unknown {', '.join(sorted(unknown))}")
    try:
        return kind(**table)
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}") from error


def parse(name: str, table: Mapping[str, Any]) -> Scenario:
    """A scenario from its TOML table. Raises ScenarioError."""
    parts = dict(table)
    parts["network"] = _build(Quality, parts.get("network", {}), f"{name}.network")
    parts["load"] = _build(Load, parts.get("load", {}), f"{name}.load")
    parts["plans"] = tuple(_build(FixedPlan, one, f"{name}.plans") for one in parts.get("plans", ()))
    parts["blackouts"] = tuple(_build(Blackout, one, f"{name}.blackouts") for one in parts.get("blackouts", ()))
    if wrong := set(parts.get("rates", {})) - set(GROUPS):
        raise ScenarioError(f"{name}.rates: unknown group {', '.join(sorted(wrong))}")
    if wrong := {plan.kind for plan in parts["plans"]} - set(SCRIPTS):
        raise ScenarioError(f"{name}.plans: unknown kind {', '.join(sorted(wrong))}")
    built: Scenario = _build(Scenario, {"name": name, **parts}, name)
    return built


def names() -> list[str]:
    """The scenarios that come with the package."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in files("simulators").joinpath("scenarios").iterdir()
        if entry.name.endswith(".toml")
    )


def load(name: str, **overrides: Any) -> Scenario:
    """A scenario by name, or from the TOML file at that path, with single settings replaced where not None."""
    path = Path(name)
    try:
        if path.suffix == ".toml":
            text = path.read_text(encoding="utf-8")
        else:
            text = files("simulators").joinpath("scenarios", f"{name}.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ScenarioError(f"no scenario {name!r}; there are: {', '.join(names())}") from error
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"scenario {name!r}: {error}") from error
    scenario = parse(path.stem, table)
    return replace(scenario, **{key: value for key, value in overrides.items() if value is not None})
