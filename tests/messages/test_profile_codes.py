"""Fault codes of the source profiles: every row of profiles.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import monitor.messages
from monitor.messages.profiles import builtin
from tests.messages import wire
from tests.messages.profiled import events

TEXT = Path(monitor.messages.__file__).with_name("profiles.toml").read_text("utf-8")

# The codes. Each table is written out here a second time, from the sources, so that no row changes unseen.

CODES: dict[str, dict[str, str]] = {
    "special-equipment": {
        "01": "safety_circuit_open",
        "02": "door_close_fault",
        "03": "door_open_fault",
        "04": "stopped_outside_door_zone",
        "05": "unintended_car_movement",
        "06": "motor_run_limiter",
        "07": "floor_position_lost",
        "08": "restart_prevented",
        "09": "top_overrun",
        "10": "pit_overrun",
        "11": "entrapment",
        "61": "safety_circuit_open",
        "62": "overspeed",
        "63": "reported_fault",
        "64": "reported_fault",
        "65": "restart_prevented",
    },
    "bacnet": {
        "0": "reported_fault",
        "1": "reported_fault",
        "4": "main_power_off",
        "5": "safety_circuit_open",
        "6": "door_close_fault",
        "7": "door_open_fault",
        "8": "stopped_outside_door_zone",
        "9": "reported_fault",
        "13": "motor_run_limiter",
        "14": "floor_position_lost",
        "16": "reported_fault",
    },
    "shmashine": {
        "1": "top_overrun",
        "2": "pit_overrun",
        "3": "overspeed",
        "4": "door_open_while_moving",
        "5": "unintended_car_movement",
        "6": "stopped_outside_door_zone",
        "7": "entrapment",
        "8": "entrapment",
        "9": "main_power_off",
        "10": "safety_circuit_open",
        "11": "door_open_fault",
        "12": "door_close_fault",
        "13": "reported_fault",
        "17": "motor_run_limiter",
        "19": "floor_position_lost",
        "20": "reported_fault",
        "21": "car_alarm_button",
        "23": "safety_circuit_open",
        "24": "overspeed",
        "25": "reported_fault",
        "28": "auto_restored",
        "29": "inspection",
        "30": "main_power_off",
        "36": "inspection",
        "37": "reported_fault",
        "41": "main_power_off",
        "90": "reported_fault",
    },
    "chongqing": {"91": "pit_overrun", "92": "top_overrun", "93": "entrapment"},
    "songjiang": {
        "F9988": "reported_fault",
        "F9989": "reported_fault",
        "F9990": "door_open_while_moving",
        "F9991": "pit_overrun",
        "F9992": "top_overrun",
        "F9993": "car_alarm_button",
        "F9994": "entrapment",
        "F9995": "entrapment",
        "F9996": "unintended_car_movement",
        "F9997": "unintended_car_movement",
        "F9998": "door_close_fault",
        "F9999": "entrapment",
        "E9895": "overspeed",
        "E9896": "reported_fault",
        "E9897": "reported_fault",
        "E9898": "reported_fault",
        "E9899": "reported_fault",
    },
    "yunanda": {
        "01": "safety_circuit_open",
        "02": "door_close_fault",
        "03": "door_open_fault",
        "04": "stopped_outside_door_zone",
        "05": "unintended_car_movement",
        "06": "motor_run_limiter",
        "07": "floor_position_lost",
        "08": "door_open_while_moving",
        "09": "top_overrun",
        "10": "pit_overrun",
        "11": "overspeed",
        "12": "unintended_car_movement",
        "13": "motor_run_limiter",
        "14": "door_reopening",
        "15": "car_alarm_button",
        "99": "reported_fault",
        "Trapped": "entrapment",
    },
    "four-digit": {
        "0101": "entrapment",
        "0201": "reported_fault",
        "0202": "safety_circuit_open",
        "0203": "stopped_outside_door_zone",
        "0204": "pit_overrun",
        "0205": "top_overrun",
        "0207": "unintended_car_movement",
        "0313": "offline",
        "0314": "reported_fault",
        "0315": "reported_fault",
        "0317": "reported_fault",
        "0401": "out_of_service",
        "0402": "inspection",
    },
    "jshx": {"istrap": "entrapment", "alarm": "car_alarm_button"},
    "juli": {},
    "bacnet-gb": {},
}


def test_every_profile_and_every_row_is_pinned() -> None:
    rows = tomllib.loads(TEXT)
    assert set(rows) == set(builtin()) == set(CODES)
    for name, row in rows.items():
        listed = {code for code, kind in row.get("codes", {}).items() if kind != "nothing"}
        assert listed <= set(CODES[name]), name
        assert row["title"]
        assert row["source"]


@pytest.mark.parametrize(
    ("profile", "code", "kind"), [(name, code, kind) for name, table in CODES.items() for code, kind in table.items()]
)
def test_fault_code(profile: str, code: str, kind: str) -> None:
    payload = {"ts": wire.NOW, "code": 0, "vendor_code": code, "state": "raised"}
    (found,) = events(profile, payload)
    assert (found.kind, found.vendor_code, found.code) == (kind, code, 0)


@pytest.mark.parametrize(
    ("profile", "key", "width"),
    [("special-equipment", "fault_type", 2), ("yunanda", "Fault_Code", 2), ("four-digit", "eventCode", 4)],
)
def test_code_may_come_as_a_number_without_its_zeros(profile: str, key: str, width: int) -> None:
    code, kind = next(iter(CODES[profile].items()))
    (found,) = events(profile, {"ts": wire.NOW, key: int(code), "state": "raised"})
    assert (found.kind, found.vendor_code) == (kind, code)
    assert len(code) == width


@pytest.mark.parametrize(
    ("profile", "payload"),
    [
        ("special-equipment", {"fault_type": "00"}),
        ("yunanda", {"Fault_Code": "00"}),
        ("bacnet-gb", {"Message_Code": 0}),
        ("songjiang", {"fault": {"data": {"F9999": "N"}}}),
        ("jshx", {"istrap": "0"}),
    ],
)
def test_no_fault_is_no_event(profile: str, payload: dict[str, Any]) -> None:
    assert events(profile, {"ts": wire.NOW, "state": "raised", **payload}) == []


@pytest.mark.parametrize("profile", ["special-equipment", "bacnet", "shmashine", "songjiang", "yunanda", "four-digit"])
def test_own_codes_are_never_the_protocols(profile: str) -> None:
    (found,) = events(profile, {"ts": wire.NOW, "code": 90, "state": "raised"})
    assert (found.kind, found.code) == ("reported_fault", 0)


@pytest.mark.parametrize("profile", ["juli", "jshx", "bacnet-gb", "chongqing"])
@pytest.mark.parametrize(
    ("code", "kind"), [(1, "safety_circuit_open"), (41, "main_power_off"), (90, "car_alarm_button")]
)
def test_other_sources_share_the_protocols_codes(profile: str, code: int, kind: str) -> None:
    (found,) = events(profile, {"ts": wire.NOW, "code": code, "state": "cleared"})
    assert (found.kind, found.code, found.state, found.vendor_code) == (kind, code, "cleared", None)


def test_chongqing_code_keeps_its_number() -> None:
    (found,) = events("chongqing", {"ts": wire.NOW, "code": 93, "state": "raised"})
    assert (found.kind, found.code, found.vendor_code) == ("entrapment", 93, "93")
