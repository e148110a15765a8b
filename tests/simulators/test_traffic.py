"""Normal traffic: what physics and protocol §2 ask of it, and nothing in it that looks like a fault."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import fmean
from typing import Any

import pytest

from simulators.motion import ZONE_M
from simulators.scenario import FILE_START_MS
from simulators.specs import LiftSpec
from simulators.world import World
from tests.simulators.town import HOUR_S, Heard, lived, quiet_network, samples_of, scenario

Samples = dict[str, list[dict[str, Any]]]

#: A landing error, a stretched rope and a rounding, m.
TOLERANCE_M = 0.02


@pytest.fixture(scope="module")
def town() -> tuple[World, list[Heard]]:
    return lived(scenario(lifts=24, duration_s=3 * HOUR_S, traffic=2.0, network=quiet_network()))


@pytest.fixture(scope="module")
def samples(town: tuple[World, list[Heard]]) -> Samples:
    return samples_of(town[1])


@pytest.fixture(scope="module")
def specs(town: tuple[World, list[Heard]]) -> dict[str, LiftSpec]:
    return {spec.equipment_id: spec for spec in town[0].town.lifts}


def each_pair(samples: Samples) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [pair for found in samples.values() for pair in pairwise(found)]


def test_every_lift_is_heard_and_works(samples: Samples) -> None:
    assert len(samples) == 24
    assert all(len(found) > 3 * 360 for found in samples.values())
    assert sum(b["car_status"] > a["car_status"] for a, b in each_pair(samples)) > 500


def test_seq_counts_up_by_one_and_time_goes_forward(samples: Samples) -> None:
    for found in samples.values():
        assert [sample["seq"] for sample in found] == list(range(1, len(found) + 1))
    assert all(b["ts"] > a["ts"] for a, b in each_pair(samples))


def test_a_sample_is_due_every_second_in_motion_or_with_the_door_open_and_every_ten_otherwise(
    samples: Samples,
) -> None:
    for a, b in each_pair(samples):
        due = 1_000 if a["car_status"] or not a["door_closed"] else 10_000
        assert b["ts"] - a["ts"] <= due, a


def test_nothing_is_sent_without_need(samples: Samples) -> None:
    """A sample comes either because something changed, or because one is due by the terminal's timer.

    The flag may turn just before the timer of a moving car runs out: the timer does not start again by that.
    """
    for found in samples.values():
        times = {sample["ts"] for sample in found}
        for a, b in pairwise(found):
            due = 1_000 if a["car_status"] or not a["door_closed"] else 10_000
            same = all(a[name] == b[name] for name in a if name not in ("ts", "seq", "at"))
            assert not same or b["ts"] - due in times, (a, b)


def test_the_car_never_jumps(samples: Samples, specs: dict[str, LiftSpec]) -> None:
    for equipment_id, found in samples.items():
        spec = specs[equipment_id]
        if not spec.model.position:
            continue
        for a, b in pairwise(found):
            seconds = (b["ts"] - a["ts"]) / 1000
            assert abs(b["position_m"] - a["position_m"]) <= spec.drive.speed * seconds + TOLERANCE_M
            if not a["car_status"]:
                assert abs(b["position_m"] - a["position_m"]) <= TOLERANCE_M


def test_speed_stays_within_the_rated_speed(samples: Samples, specs: dict[str, LiftSpec]) -> None:
    for equipment_id, found in samples.items():
        assert all(s.get("speed_mps", 0.0) <= specs[equipment_id].drive.speed + 1e-6 for s in found)


def test_the_zone_flag_and_the_floor_are_those_of_the_height(samples: Samples, specs: dict[str, LiftSpec]) -> None:
    for equipment_id, found in samples.items():
        spec = specs[equipment_id]
        for s in found:
            assert s["car_position"] in spec.shaft.floors
            if "position_m" in s:
                index = spec.shaft.floors.index(s["car_position"])
                away = abs(s["position_m"] - spec.shaft.heights[index])
                assert s["door_zone"] == (away <= ZONE_M) or abs(away - ZONE_M) < 0.002


def test_the_door_is_open_only_at_a_floor(samples: Samples) -> None:
    for found in samples.values():
        for s in found:
            assert s["door_closed"] or s["door_zone"], s
            # levelling a loaded car with the door open is a creep within the zone
            assert s["door_closed"] or not s["car_status"] or s.get("speed_mps", 0.0) <= 0.02, s


def test_a_stopped_car_stands_at_a_floor(samples: Samples) -> None:
    assert all(s["car_status"] or s["door_zone"] for found in samples.values() for s in found)


def test_direction_is_told_exactly_while_the_car_moves(samples: Samples) -> None:
    assert all(bool(s["car_direction"]) == bool(s["car_status"]) for found in samples.values() for s in found)


def test_run_count_counts_the_runs(samples: Samples) -> None:
    for found in samples.values():
        if "run_count" not in found[0]:
            continue
        starts = sum(not a["car_status"] and b["car_status"] and b["door_closed"] for a, b in pairwise(found))
        assert found[-1]["run_count"] - found[0]["run_count"] == starts


def test_nobody_waits_long_behind_a_closed_door(samples: Samples) -> None:
    """From the door's closing with somebody inside until the car leaves or the door opens: less than a minute."""
    for found in samples.values():
        since = None
        for s in found:
            shut_in = s["passenger"] and s["door_closed"] and not s["car_status"]
            if not shut_in:
                since = None
            elif since is None:
                since = s["ts"]
            else:
                assert s["ts"] - since < 55_000, s


def test_no_door_stands_open_for_two_minutes(samples: Samples) -> None:
    for found in samples.values():
        since = None
        for s in found:
            if s["door_closed"]:
                since = None
            elif since is None:
                since = s["ts"]
            else:
                assert s["ts"] - since < 115_000, s


def test_a_door_reopens_at_most_thrice_without_a_run(samples: Samples) -> None:
    for found in samples.values():
        turns: list[int] = []
        for a, b in pairwise(found):
            if b["car_status"] and b["door_closed"]:
                turns = []
            if a["door_closed"] and not b["door_closed"]:
                turns = [t for t in turns if b["ts"] - t <= 60_000] + [b["ts"]]
                assert len(turns) <= 4


def test_passengers_are_seen_on_loaded_runs_and_not_on_empty_ones(samples: Samples) -> None:
    runs = Counter(
        (bool(s["passenger"]), bool(s["load_kg"]))
        for found in samples.values()
        for s in found
        if s["car_status"] and "load_kg" in s
    )
    loaded = runs[True, True] + runs[False, True]
    empty = runs[True, False] + runs[False, False]
    assert runs[True, True] / loaded > 0.97  # now and then the sensor misses somebody
    assert runs[False, False] / empty > 0.9  # it holds for some seconds after they left


def test_several_groups_share_a_ride_and_a_ride_has_several_stops(samples: Samples) -> None:
    """Loads change more than once between two empty cars."""
    changes: Counter[int] = Counter()
    for found in samples.values():
        stops = 0
        for a, b in pairwise(s for s in found if "load_kg" in s):
            if a["load_kg"] and b["load_kg"] and a["load_kg"] != b["load_kg"]:
                stops += 1
            if a["load_kg"] and not b["load_kg"]:
                changes[stops] += 1
                stops = 0
    assert changes[0] > changes[2] > 0
    assert sum(n for stops, n in changes.items() if stops >= 2) > 20


def test_some_lifts_go_home_empty_with_the_door_closed(samples: Samples) -> None:
    homings = 0
    for found in samples.values():
        for a, b, c in zip(found, found[1:], found[2:], strict=False):
            arrived = a["car_status"] and not b["car_status"] and not b["passenger"]
            homings += bool(arrived and c["door_closed"] and c["ts"] - b["ts"] == 10_000)
    assert homings > 5


def test_escalators_walkways_and_boilers_tell_of_themselves(town: tuple[World, list[Heard]]) -> None:
    stairs = samples_of(town[1], "escalator")
    assert len(stairs) == len([p for p in town[0].town.plants if p.kind == "escalator"]) > 0
    for found in stairs.values():
        assert {s["moving"] for s in found} <= {0, 1}
        assert all(b["ts"] - a["ts"] <= 10_000 for a, b in pairwise(found))
        assert {s["passenger"] for s in found} == {0, 1}
    for found in samples_of(town[1], "boiler").values():
        assert all(0.3 < s["values"]["pressure_mpa"] < 1.0 for s in found)
        assert all(-40 < s["values"]["water_level_mm"] < 40 for s in found)


def test_nothing_went_wrong(town: tuple[World, list[Heard]]) -> None:
    assert town[0].truth.cases == []
    assert not [m for m in town[1] if m.topic.endswith("/event")]


def test_a_day_has_the_trips_of_its_kind_of_house() -> None:
    """Trips a lift and day, roughly those of counters in service: some hundreds, most in a hospital."""
    of = scenario(lifts=24, duration_s=86_400, start_hour=0, network=quiet_network(), plants=False)
    world = World(of, start_ms=FILE_START_MS)
    trips, moving = Counter[int](), Counter[int]()
    for records in world.records(FILE_START_MS + 86_400_000):
        for record in records:
            if record.topic.endswith("/status"):
                moves = int('"car_status":1' in record.payload)
                trips[record.unit] += moves > moving[record.unit]
                moving[record.unit] = moves
    means = {
        profile: fmean(trips[n] for n, spec in enumerate(world.town.lifts) if spec.profile == profile)
        for profile in ("residential", "office", "hospital", "mall")
    }
    assert 100 < means["residential"] < 600
    assert means["hospital"] > 1.5 * means["residential"]
