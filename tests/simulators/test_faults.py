"""How often things go wrong, and what the scenarios promise."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from monitor.domain.register import Register
from monitor.messages import registry
from monitor.messages.decode import Decoder, Inbound
from monitor.services import replay
from simulators.faults import DAY_MS, FAULTS, GROUPS, feasible, plans
from simulators.fleet import make_town
from simulators.output import write_stream
from simulators.scenario import FILE_START_MS, ScenarioError, load, names, parse
from simulators.specs import LiftSpec, Plan
from simulators.world import World
from tests.simulators.town import HOUR_S, scenario

#: Lift-days looked at: a thousand lifts for two years.
LIFTS, DAYS = 1_000, 730


def planned(specs: tuple[LiftSpec, ...], days: int, multipliers: Mapping[str, float]) -> Counter[str]:
    """Plans by kind, of all those lifts."""
    end = FILE_START_MS + days * DAY_MS
    found: Counter[str] = Counter()
    for n, spec in enumerate(specs):
        stream = plans(spec, random.Random(n), multipliers, FILE_START_MS, [])
        found.update(plan.kind for plan in itertools.takewhile(lambda plan: plan.at_ms < end, stream))
    return found


@pytest.fixture(scope="module")
def specs() -> tuple[LiftSpec, ...]:
    return make_town(seed=3, lifts=LIFTS).lifts


@pytest.fixture(scope="module")
def two_years(specs: tuple[LiftSpec, ...]) -> Counter[str]:
    return planned(specs, DAYS, {"routines": 0.0})


def share(found: Counter[str], group: str) -> float:
    """Of that group, a day in 10,000 lifts."""
    return sum(n for kind, n in found.items() if FAULTS[kind].group == group) / (LIFTS * DAYS) * 10_000


def test_entrapments_are_as_many_as_published(two_years: Counter[str]) -> None:
    """2 to 4 a day in 10,000 lifts (domain.md §3.2: 0.7 to 4.5, the large platforms 1.7 to 3)."""
    assert 2.0 < share(two_years, "entrapments") < 4.0


def test_few_free_themselves_and_a_fifth_are_power_cuts(two_years: Counter[str]) -> None:
    """Jiangsu: 2.6 % self-freed; power 18.6 to 22.6 % in Jinan, Rizhao."""
    entrapments = {kind: n for kind, n in two_years.items() if FAULTS[kind].group == "entrapments"}
    total = sum(entrapments.values())
    assert 0.008 < entrapments["trapped_then_self_freed"] / total < 0.06
    assert 0.1 < entrapments["trapped_by_power_cut"] / total < 0.32


def test_every_kind_comes_at_its_rate(two_years: Counter[str], specs: tuple[LiftSpec, ...]) -> None:
    for kind, fault in FAULTS.items():
        if fault.group == "routines":
            continue
        lifts = sum(feasible(spec, fault) for spec in specs)
        expected = fault.per_10k_days / 10_000 * lifts * DAYS
        assert abs(two_years[kind] - expected) < 4 * expected**0.5 + 1, kind


def test_a_multiplier_moves_its_group_and_no_other(specs: tuple[LiftSpec, ...]) -> None:
    few = planned(specs[:200], 100, {"entrapments": 50.0, "faults": 0.0, "network": 0.0, "routines": 0.0})
    assert {FAULTS[kind].group for kind in few} == {"entrapments"}
    assert few.total() == pytest.approx(50 * 3e-4 * 200 * 100, rel=0.25)


def test_the_test_call_comes_every_three_days_and_the_mechanic_every_fifteen(specs: tuple[LiftSpec, ...]) -> None:
    found = planned(specs[:300], 60, {})
    assert found["test_call"] / (300 * 60) == pytest.approx(1 / 3, rel=0.05)
    assert found["inspection"] / (300 * 60) == pytest.approx(1 / 15, rel=0.1)


def test_fixed_plans_come_in_their_place_among_the_others(specs: tuple[LiftSpec, ...]) -> None:
    fixed = [Plan(FILE_START_MS + n * DAY_MS, "fire_drill") for n in (9, 2)]
    stream = plans(specs[0], random.Random(1), {"faults": 100.0}, FILE_START_MS, fixed)
    found = list(itertools.islice(stream, 40))
    assert [plan.at_ms for plan in found] == sorted(plan.at_ms for plan in found)
    assert all(plan in found for plan in fixed)


@pytest.mark.parametrize("name", names())
def test_every_scenario_can_be_read_and_names_only_groups_that_exist(name: str) -> None:
    of = load(name)
    assert of.name == name
    assert set(of.rates) <= set(GROUPS)


@pytest.mark.parametrize(
    "table",
    [
        {"lift": 3},
        {"rates": {"fault": 1.0}},
        {"network": {"lost": 0.1}},
        {"plans": [{"lift": 1, "after_s": 1, "kind": "no_such_thing"}]},
        {"plans": [{"lift": 1, "kind": "overspeed"}]},
    ],
)
def test_a_scenario_with_a_slip_of_the_pen_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ScenarioError):
        parse("slip", table)


def test_a_scenario_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ScenarioError, match="demo"):
        load("nowhere")


def test_the_register_has_five_hundred_lifts_of_one_county_with_codes_of_their_own() -> None:
    town = make_town(seed=96333, lifts=500)
    entries = town.registry()
    equipment = registry.read(json.dumps(entries).encode(), "json")
    assert [one.equipment_id for one in equipment] == [entry["equipment_id"] for entry in entries]
    assert len({one.rescue_code for one in equipment}) == len(equipment) > 500
    for one in equipment:
        assert len(one.equipment_id) == 20
        assert one.equipment_id.isdigit()
        assert one.equipment_id[4:10] == one.division == "330199"
        assert one.rescue_code is not None
        assert len(one.rescue_code) == 6
        assert str(one.place["address"]).startswith("云溪县")
        assert one.firm_id
    assert {one.kind for one in equipment} == {"lift", "escalator", "walkway", "boiler"}
    assert len({one.place["estate"] for one in equipment}) > 15
    assert all(one.limits for one in equipment if one.kind == "boiler")


def test_the_same_seed_builds_the_same_county_and_a_smaller_one_is_its_beginning() -> None:
    assert make_town(seed=5, lifts=120) == make_town(seed=5, lifts=120)
    assert make_town(seed=5, lifts=60).lifts == make_town(seed=5, lifts=120).lifts[:60]
    assert make_town(seed=5, lifts=60) != make_town(seed=6, lifts=60)


def test_every_message_of_a_town_can_be_read() -> None:
    of = scenario(
        lifts=20,
        duration_s=HOUR_S,
        calls=1.0,
        rates={"entrapments": 9_000.0, "faults": 900.0, "network": 300.0, "routines": 30.0},
    )
    world = World(of, start_ms=FILE_START_MS)
    decoder = Decoder(Register(registry.read(json.dumps(world.town.registry()).encode(), "json")))
    seen: Counter[str] = Counter()
    for records in world.records(FILE_START_MS + round(HOUR_S * 1000)):
        batch = [Inbound(record.topic, record.payload.encode(), record.at_ms) for record in records]
        decoded = decoder.decode(batch)
        assert decoded.quarantined == []
        seen.update(samples=len(decoded.samples), events=len(decoded.events), calls=len(decoded.calls))
        seen.update(links=len(decoded.links), measurements=len(decoded.measurements))
    assert all(seen[part] for part in ("samples", "events", "calls", "links", "measurements")), seen


def test_the_demo_shows_its_first_fault_within_45_s_and_one_every_minute_or_so(tmp_path: Path) -> None:
    of = load("demo")
    path = tmp_path / "demo.jsonl"
    minutes = 12
    write_stream(World(of, start_ms=FILE_START_MS), path, until_ms=FILE_START_MS + minutes * 60_000)
    raised = [
        line.at_ms - FILE_START_MS
        for line in replay.run(replay.Stream(path))
        if line.state == "raised" and line.at_ms < FILE_START_MS + minutes * 60_000
    ]
    assert raised[0] < 45_000
    assert len(raised) >= minutes
    gaps = [b - a for a, b in itertools.pairwise([0, *raised, minutes * 60_000])]
    assert max(gaps) < 4 * 60_000
