"""The county: streets, estates, buildings, lifts and what else stands there, made from one seed.

County 330199 (云溪县) does not exist; neither do its estates, makers and firms.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulators.car import Doors, TerminalModel
from simulators.motion import Drive, Shaft
from simulators.specs import LiftSpec, PlantSpec

DIVISION = "330199"
COUNTY = "云溪县"
CENTRE = (30.2310, 119.7150)

STREETS = ("青枫街道", "锦溪街道", "临湖街道", "东关街道", "玉屏镇", "石桥镇", "白鹭镇", "高塘镇")
HOMES = (
    "桂花苑", "翡翠湾", "阳光家园", "云栖里", "金色华庭", "锦绣江南", "翠竹小区", "书香名邸", "望湖花园", "和平新村",
    "枫林晚苑", "丹桂园", "天目府", "清河坊", "映月台", "梧桐公馆", "新安江畔", "学府壹号", "春晓苑", "兰亭雅苑",
)  # fmt: skip
OFFICES = (
    "云溪国际大厦", "财富中心", "科创园A座", "环球商务楼", "税务大楼", "农商银行大厦", "县行政服务中心", "电商产业园",
)  # fmt: skip
HOSPITALS = ("云溪县人民医院", "云溪县中医院", "云溪县妇幼保健院")
MALLS = ("银泰城云溪店", "吾悦广场")
MAKERS = ("恒升", "西岭", "通达", "蓝石", "远东机电")
FIRMS = {
    "F01": "恒升电梯云溪分公司",
    "F02": "西岭电梯维保",
    "F03": "通达楼宇设备",
    "F04": "云溪安梯维保",
    "F05": "诚信电梯服务",
    "F06": "浙北机电维保",
}

FULL = TerminalModel(name="full")
BLIND = TerminalModel(name="blind", position=False, load=False)
PLAIN = TerminalModel(name="plain", speed=False, position=False, power=False, load=False, runs=False)

#: Levelling error of a vane, m.
VANE_M = 0.006


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingType:
    """`floors` above the ground, drawn from; `storey_m` and `entrance_m`: heights; `speeds` by the floors."""

    profile: str
    floors: tuple[int, ...]
    storey_m: tuple[float, ...]
    entrance_m: float
    garages: tuple[int, ...]
    lifts: tuple[int, ...]


TYPES: Mapping[str, BuildingType] = {
    "residential": BuildingType(
        profile="residential",
        floors=(6, 7, 11, 11, 17, 18, 18, 26, 33),
        storey_m=(2.8, 2.9, 3.0),
        entrance_m=3.2,
        garages=(0, 0, 1, 1, 2),
        lifts=(1, 2, 2),
    ),
    "office": BuildingType(
        profile="office", floors=(9, 14, 22, 30), storey_m=(3.6, 3.8), entrance_m=5.4, garages=(1, 2), lifts=(2, 3, 4)
    ),
    "hospital": BuildingType(
        profile="hospital", floors=(8, 13, 18), storey_m=(3.9,), entrance_m=5.0, garages=(1,), lifts=(4, 6)
    ),
    "mall": BuildingType(profile="mall", floors=(5, 6), storey_m=(5.1,), entrance_m=5.6, garages=(2,), lifts=(3, 4)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    lifts: tuple[LiftSpec, ...]
    plants: tuple[PlantSpec, ...]

    def registry(self) -> list[dict[str, Any]]:
        """The register as protocol §8 writes it, one object an equipment, and where it stands."""
        return [*map(lift_entry, self.lifts), *map(plant_entry, self.plants)]


def lift_entry(spec: LiftSpec) -> dict[str, Any]:
    return {
        "equipment_id": spec.equipment_id,
        "division": spec.division,
        "kind": "lift",
        "rescue_code": spec.rescue_code,
        "bottom_floor": spec.shaft.floors[0],
        "top_floor": spec.shaft.floors[-1],
        "floor_height_m": spec.floor_height_m,
        "rated_speed_mps": spec.drive.speed,
        "firm_id": spec.firm_id,
        "maker": spec.maker,
        "installed": spec.installed,
        "place": dict(spec.place),
    }


def plant_entry(spec: PlantSpec) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "equipment_id": spec.equipment_id,
        "division": spec.division,
        "kind": spec.kind,
        "rescue_code": spec.rescue_code,
        "firm_id": spec.firm_id,
        "maker": spec.maker,
        "place": dict(spec.place),
    }
    if spec.rated_speed_mps is not None:
        entry["rated_speed_mps"] = spec.rated_speed_mps
    if spec.limits:
        entry["limits"] = [dict(limit) for limit in spec.limits]
    return entry


class _Codes:
    """Registration codes of 20 digits (class, division, year and month, sequence) and rescue codes of 6."""

    def __init__(self) -> None:
        self._sequence = 0

    def next(self, class_code: str, year: int, month: int) -> tuple[str, str]:
        self._sequence += 1
        # a full cycle over all 900,000 codes: no two alike, neighbours far apart
        rescue = 100_000 + (self._sequence * 77_773) % 900_000
        return f"{class_code}{DIVISION}{year}{month:02d}{self._sequence:04d}", f"{rescue:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    name: str
    kind: BuildingType
    street: str
    latitude: float
    longitude: float
    firm_id: str
    maker: str
    year: int


def _sites(rng: random.Random) -> Iterator[_Site]:
    """Two hospitals, a mall and some offices first, then homes with an office now and then, without end."""
    first = [(HOSPITALS[0], "hospital"), (MALLS[0], "mall"), (HOSPITALS[1], "hospital"), (OFFICES[0], "office")]
    later = [*((name, "office") for name in OFFICES[1:]), (HOSPITALS[2], "hospital"), (MALLS[1], "mall")]
    number = 0
    while True:
        if number < len(first):
            name, kind = first[number]
        elif number % 5 == 4 and later:
            name, kind = later.pop(0)
        else:
            turn, which = divmod(number, len(HOMES))
            name, kind = HOMES[which] + ("" if turn == 0 else f"{'二三四五六七八九'[(turn - 1) % 8]}期"), "residential"
        number += 1
        street = rng.randrange(len(STREETS))
        yield _Site(
            name=name,
            kind=TYPES[kind],
            street=STREETS[street],
            latitude=round(CENTRE[0] + 0.03 * (street % 3 - 1) + rng.gauss(0, 0.008), 6),
            longitude=round(CENTRE[1] + 0.04 * (street // 3 - 1) + rng.gauss(0, 0.010), 6),
            firm_id=rng.choice(list(FIRMS)),
            maker=rng.choice(MAKERS),
            year=rng.randint(2003, 2024),
        )


def _shaft(rng: random.Random, kind: BuildingType) -> tuple[Shaft, int, float]:
    """Floors and heights of a building, the index of its entrance, and the storey height of the drawing."""
    upper, garages, storey = rng.choice(kind.floors), rng.choice(kind.garages), rng.choice(kind.storey_m)
    floors = (*range(-garages, 0), *range(1, upper + 1))
    heights, height = [], 0.0
    for n in range(len(floors)):
        error = round(rng.uniform(-VANE_M, VANE_M), 3) if n else 0.0
        heights.append(round(height + error, 3))
        height += kind.entrance_m if floors[n] == 1 else storey + 0.6 * (floors[n] < 0)
    return Shaft(floors, tuple(heights)), garages, storey


def _speed(floors: int, kind: BuildingType, rng: random.Random) -> float:
    if floors <= 8:
        return rng.choice((1.0, 1.0, 1.5)) if kind.profile == "residential" else 1.0
    if floors <= 20:
        return rng.choice((1.5, 1.75)) if kind.profile != "office" else rng.choice((1.75, 2.0, 2.5))
    return rng.choice((2.0, 2.5)) if kind.profile == "residential" else rng.choice((2.5, 3.0, 4.0))


def _building(rng: random.Random, site: _Site, number: int, codes: _Codes, traffic: float) -> Iterator[LiftSpec]:
    """The lifts of one building; they share its shaft, its drive and its age."""
    shaft, entrance, storey = _shaft(rng, site.kind)
    rated = _speed(len(shaft.floors), site.kind, rng)
    drive = Drive(speed=rated, acceleration=rng.choice((0.7, 0.8, 0.9, 1.0)), jerk=rng.choice((0.8, 1.0, 1.2)))
    doors = Doors(
        opening_ms=rng.randrange(1_600, 2_600, 100),
        closing_ms=rng.randrange(2_200, 3_600, 100),
        dwell_ms=rng.randrange(3_000, 5_500, 100),
    )
    model = rng.choices((FULL, BLIND, PLAIN), (80, 14, 6))[0]
    homing = rng.choice((None, 60_000, 120_000, 180_000))
    lifts = rng.choice(site.kind.lifts)
    for lift in range(1, lifts + 1):
        equipment_id, rescue_code = codes.next("3110", site.year, rng.randint(1, 12))
        home = site.kind.profile == "residential"
        where = f"{site.name}{number}幢" + (f"{lift}单元" if home and lifts > 1 else f"{lift}号梯")
        yield LiftSpec(
            equipment_id=equipment_id,
            division=DIVISION,
            rescue_code=rescue_code,
            firm_id=site.firm_id,
            shaft=shaft,
            entrance=entrance,
            floor_height_m=storey,
            drive=drive,
            doors=doors,
            model=model,
            profile=site.kind.profile,
            traffic=traffic * rng.uniform(0.5, 1.3),
            homing_after_ms=homing,
            rescue_device=rng.random() < 0.35,
            sensor_hold_ms=rng.randrange(2_000, 8_000, 500),
            place=_place(site, where),
            maker=site.maker,
            installed=site.year,
        )


def _place(site: _Site, where: str) -> dict[str, str | float]:
    return {
        "address": f"{COUNTY}{site.street}{where}",
        "estate": site.name,
        "street": site.street,
        "use": site.kind.profile,
        "lat": site.latitude,
        "lon": site.longitude,
    }


def make_town(*, seed: int, lifts: int, traffic: float = 1.0, plants: bool = True) -> Town:
    """`lifts` lifts in as many estates as it takes; with `plants`, the escalators and boilers among them."""
    rng = random.Random(f"town/{seed}")
    codes = _Codes()
    specs: list[LiftSpec] = []
    others: list[PlantSpec] = []
    for site in _sites(rng):
        if len(specs) >= lifts:
            break
        buildings = rng.randint(2, 9) if site.kind.profile == "residential" else 1
        for number in range(1, buildings + 1):
            specs.extend(_building(rng, site, number, codes, traffic))
        if plants:
            others.extend(_plants(rng, site, codes))
    return Town(lifts=tuple(specs[:lifts]), plants=tuple(others))


def _limit(quantity: str, unit: str, on_delay_s: float, **bounds: float) -> Mapping[str, str | float]:
    return {"quantity": quantity, "unit": unit, **bounds, "on_delay_s": on_delay_s}


BOILER_LIMITS = (
    _limit("pressure_mpa", "MPa", 30, low=0.3, high=1.0, high_high=1.15, deadband=0.02),
    _limit("water_level_mm", "mm", 20, low_low=-60, low=-40, high=40, high_high=60, deadband=4),
    _limit("flue_gas_c", "°C", 60, high=190, high_high=220, deadband=5),
)


def _plants(rng: random.Random, site: _Site, codes: _Codes) -> Iterator[PlantSpec]:
    """Escalators in malls and hospitals, a walkway in a mall, a boiler in a hospital."""
    counts = {"mall": (("escalator", 8), ("walkway", 2)), "hospital": (("escalator", 4), ("boiler", 1))}
    classes = {"escalator": "3310", "walkway": "3320", "boiler": "1110"}
    names = {"escalator": "扶梯", "walkway": "自动人行道", "boiler": "锅炉"}
    for kind, count in counts.get(site.kind.profile, ()):
        for number in range(1, count + 1):
            equipment_id, rescue_code = codes.next(classes[kind], site.year, rng.randint(1, 12))
            yield PlantSpec(
                equipment_id=equipment_id,
                division=DIVISION,
                kind=kind,
                rescue_code=rescue_code,
                firm_id=site.firm_id,
                place=_place(site, f"{site.name}{number}号{names[kind]}"),
                rated_speed_mps=None if kind == "boiler" else 0.5,
                limits=BOILER_LIMITS if kind == "boiler" else (),
                maker=site.maker,
            )
