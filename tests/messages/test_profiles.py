"""Source profiles: every row of profiles.toml, and how a profile is applied."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import monitor.messages
from monitor.domain.commit import EventRecord
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import SettingsError
from monitor.messages.decode import Decoded, Decoder
from monitor.messages.profiles import builtin, load
from tests.messages import wire

TEXT = Path(monitor.messages.__file__).with_name("profiles.toml").read_text("utf-8")
STAIR = f"se/v1/610926/escalator/{wire.ESCALATOR}/status"
#: 2016-07-20 14:38:33 in China, UTC+8.
JULY = 1_468_996_713_000


def read(profile: str, topic: str, payload: Any, *, at: int = wire.NOW) -> Decoded:
    decoder = Decoder(wire.register(profile=profile))
    return wire.decode(wire.inbound(topic, payload, at=at), decoder=decoder)


def sample(profile: str, payload: Any, topic: str = wire.STATUS, *, at: int = wire.NOW) -> dict[str, Any]:
    decoded = read(profile, topic, payload, at=at)
    assert not decoded.quarantined, decoded.quarantined
    (row,) = decoded.samples
    names = row.dtype.names
    assert names is not None
    return {name: row[name].item() for name in names}


def events(profile: str, payload: Any, *, at: int = wire.NOW) -> list[EventRecord]:
    decoded = read(profile, wire.EVENT, payload, at=at)
    assert not decoded.quarantined, decoded.quarantined
    return [found for _, found in decoded.events]


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


# Polarities and names


@pytest.mark.parametrize("name", ["door_zone", "door_status", "passenger_status", "power_status"])
@pytest.mark.parametrize(("sent", "meant"), [("1", 1), ("2", 0), ("0", 0), (1, 1), (2, 0), ("", -1), (None, -1)])
def test_flags_of_one_and_two(name: str, sent: Any, meant: int) -> None:
    ours = {"door_status": "door_closed", "passenger_status": "passenger", "power_status": "power"}.get(name, name)
    assert sample("special-equipment", {"ts": wire.NOW, name: sent})[ours] == meant


def test_flag_that_no_table_lists_is_refused() -> None:
    (aside,) = read("special-equipment", wire.STATUS, {"ts": wire.NOW, "door_zone": "3"}).quarantined
    assert aside.reason == "range"


def test_special_equipment_lift() -> None:
    row = sample(
        "special-equipment",
        {
            "stats_timestamp": "2016-07-20 14:38:33",
            "service_mode": "1",
            "car_status": "1",
            "car_direction": "2",
            "door_zone": "2",
            "car_position": "-1",
            "door_status": "1",
            "passenger_status": "2",
            "power_status": "1",
            "present_counter_value": 812,
        },
        at=JULY,
    )
    assert row["ts"] == row["time_ms"] == JULY
    assert (row["service_mode"], row["car_status"], row["car_direction"], row["door_zone"]) == (1, 1, 2, 0)
    assert (row["car_position"], row["door_closed"], row["passenger"], row["power"]) == (-1, 1, 0, 1)
    assert row["run_count"] == 812


def test_special_equipment_escalator() -> None:
    row = sample("special-equipment", {"ts": wire.NOW, "operation_status": "1", "operation_direction": "2"}, STAIR)
    assert (row["car_status"], row["car_direction"]) == (1, 2)


@pytest.mark.parametrize(
    ("deal_status", "state"),
    [("00", "cleared"), ("01", "raised"), ("02", "raised"), ("04", "raised"), ("05", "cleared"), (None, "raised")],
)
def test_special_equipment_state_of_a_fault(deal_status: str | None, state: str) -> None:
    payload = {"fault_timestamp": "2016-07-20 14:38:33", "fault_type": "11", "deal_status": deal_status}
    (found,) = events("special-equipment", payload, at=JULY)
    assert (found.kind, found.state, found.ts) == ("entrapment", state, JULY)


def test_juli() -> None:
    row = sample(
        "juli",
        {
            "status_time": "2016-07-20 14:38:33",
            "service_mode": "7",
            "car_status": "0",
            "car_direction": "0",
            "door_zone": "0",
            "car_position": "12",
            "door_status": "0",
            "passenger_status": "1",
            "run_num": "99",
        },
        at=JULY,
    )
    assert (row["ts"], row["service_mode"], row["car_status"], row["door_zone"]) == (JULY, 7, 0, 0)
    assert (row["car_position"], row["door_closed"], row["passenger"], row["run_count"]) == (12, 0, 1, 99)
    stair = sample("juli", {"ts": wire.NOW, "operation_status": "1", "operation_direction": "1"}, STAIR)
    assert (stair["car_status"], stair["car_direction"]) == (1, 1)
    (found,) = events("juli", {"fault_time": "2016-07-20 14:38:33", "fault_code": "17"}, at=JULY)
    assert (found.kind, found.vendor_code, found.state, found.ts) == ("reported_fault", "17", "raised", JULY)


def test_jshx() -> None:
    row = sample(
        "jshx",
        {
            "timestamps": "2016-07-20 14:38:33",
            "mode": "5",
            "carstatus": "1",
            "direction": "1",
            "iszone": "0",
            "floor": "8",
            "doorstatus": "1",
            "passenger": "1",
            "times": "7",
        },
        at=JULY,
    )
    assert (row["ts"], row["service_mode"], row["car_status"], row["car_direction"]) == (JULY, 5, 1, 1)
    assert (row["door_zone"], row["car_position"], row["door_closed"], row["passenger"]) == (0, 8, 1, 1)
    assert row["run_count"] == 7
    found = events("jshx", {"starttime": "2016-07-20 14:38:33", "istrap": "1", "alarm": "1"}, at=JULY)
    assert [one.kind for one in found] == ["entrapment", "car_alarm_button"]
    assert {one.ts for one in found} == {JULY}


@pytest.mark.parametrize(("mode", "meant"), [("0", 0), ("1", 1), ("2", 2), ("3", 3), ("4", 0), ("5", 5)])
def test_jshx_mode_4_is_no_firefighter(mode: str, meant: int) -> None:
    assert sample("jshx", {"ts": wire.NOW, "mode": mode})["service_mode"] == meant


@pytest.mark.parametrize("flag", [True, False])
def test_bacnet_gb(flag: bool) -> None:
    names = ("Door_Zone", "Door_Status", "Passenger_Status")
    payload = {
        "ts": wire.NOW,
        "Service_Mode": 6,
        "Car_Status": 1,
        "Car_Direction": 1,
        "Car_Position": 3,
        "Present_Counter_Value": 10,
        **dict.fromkeys(names, flag),
    }
    row = sample("bacnet-gb", payload)
    assert (row["service_mode"], row["car_status"], row["car_direction"], row["car_position"]) == (6, 1, 1, 3)
    assert (row["door_zone"], row["door_closed"], row["passenger"]) == (flag, flag, flag)
    assert row["run_count"] == 10
    (found,) = events("bacnet-gb", {"ts": wire.NOW, "Message_Code": 90, "state": "raised"})
    assert found.kind == "car_alarm_button"


@pytest.mark.parametrize(("direction", "meant"), [(0, -1), (1, 0), (2, 0), (3, 1), (4, 2), (5, -1)])
@pytest.mark.parametrize(("drive", "moves"), [(0, -1), (1, 0), *((one, 1) for one in range(2, 10))])
def test_bacnet(direction: int, meant: int, drive: int, moves: int) -> None:
    payload = {"ts": wire.NOW, "Car_Moving_Direction": direction, "Car_Drive_Status": drive, "Car_Position": 4}
    row = sample("bacnet", payload)
    assert (row["car_direction"], row["car_status"], row["car_position"]) == (meant, moves, 4)
    (found,) = events("bacnet", {"ts": wire.NOW, "Fault_Signal": 5, "state": "cleared"})
    assert (found.kind, found.state) == ("safety_circuit_open", "cleared")


@pytest.mark.parametrize(("mode", "meant"), [(0, 1), (1, 2), (2, 0)])
@pytest.mark.parametrize(("level", "zone"), [(0, 1), (1, 0)])
@pytest.mark.parametrize(("supply", "power"), [(0, 1), (1, 0), (2, -1)])
def test_shmashine(mode: int, meant: int, level: int, zone: int, supply: int, power: int) -> None:
    row = sample(
        "shmashine",
        {
            "ts": wire.NOW,
            "modeStatus": mode,
            "runStatus": 1,
            "direction": 2,
            "floor": "-2",
            "floorStatus": level,
            "droopClose": 1,
            "hasPeople": 1,
            "powerStatus": supply,
            "speed": "1.75",
        },
    )
    assert (row["service_mode"], row["door_zone"], row["power"]) == (meant, zone, power)
    assert (row["car_status"], row["car_direction"], row["car_position"]) == (1, 2, -2)
    assert (row["door_closed"], row["passenger"], row["speed_mps"]) == (1, 1, 1.75)


@pytest.mark.parametrize(("sent", "state"), [("add", "raised"), ("disappear", "cleared")])
def test_shmashine_fault_appears_and_disappears(sent: str, state: str) -> None:
    (found,) = events("shmashine", {"ts": wire.NOW, "fault_type": "8", "ST": sent})
    assert (found.kind, found.state, found.vendor_code) == ("entrapment", state, "8")


@pytest.mark.parametrize(("run", "moves", "direction"), [("0", 0, 0), ("1", 1, 1), ("2", 1, 2)])
@pytest.mark.parametrize(("door", "closed"), [("0", 1), ("1", 0)])
@pytest.mark.parametrize(("supply", "power"), [("normal", 1), ("battery", 0)])
@pytest.mark.parametrize(("overhaul", "mode"), [("N", 1), ("Y", 2)])
def test_songjiang(
    run: str, moves: int, direction: int, door: str, closed: int, supply: str, power: int, overhaul: str, mode: int
) -> None:
    state = {
        "runingStatus": run,
        "speed": "0.5",
        "floor": "B1",
        "doorStatus": door,
        "isPerson": "1",
        "runTotal": "300",
        "electric": supply,
        "overhaul": overhaul,
    }
    row = sample("songjiang", {"timeStamp": str(wire.NOW), "realtime": {"time": "1", "data": state}})
    assert (row["ts"], row["car_status"], row["car_direction"], row["door_closed"]) == (
        wire.NOW,
        moves,
        direction,
        closed,
    )
    assert (row["power"], row["service_mode"], row["passenger"], row["run_count"]) == (power, mode, 1, 300)
    assert row["speed_mps"] == 0.5
    assert row["car_position"] == -(2**31)  # a floor that is no number is unknown, the sample is not


def test_songjiang_message_with_several_faults_is_several_events() -> None:
    flags = {"F9999": "Y", "F9993": "Y", "F9992": "N"}
    found = events("songjiang", {"timeStamp": str(wire.NOW), "fault": {"data": flags}})
    assert {(one.kind, one.vendor_code, one.state, one.ts) for one in found} == {
        ("entrapment", "F9999", "raised", wire.NOW),
        ("car_alarm_button", "F9993", "raised", wire.NOW),
    }
    (bike,) = events("songjiang", {"timeStamp": str(wire.NOW), "event": {"data": {"E9896": "Y"}}})
    assert (bike.kind, bike.vendor_code) == ("reported_fault", "E9896")


@pytest.mark.parametrize(
    ("code", "trapped", "kinds"),
    [("03", "0", ["door_open_fault"]), ("03", "1", ["entrapment", "door_open_fault"]), ("00", "1", ["entrapment"])],
)
def test_yunanda(code: str, trapped: str, kinds: list[str]) -> None:
    payload = {"Fault_Time": "2016-07-20 14:38:33", "Fault_Code": code, "Trapped": trapped}
    found = events("yunanda", payload, at=JULY)
    assert [one.kind for one in found] == kinds
    assert all((one.ts, one.state) == (JULY, "raised") for one in found)


def test_four_digit() -> None:
    (found,) = events("four-digit", {"ts": wire.NOW, "eventCode": "0207", "state": "cleared"})
    assert (found.kind, found.state) == ("unintended_car_movement", "cleared")


# How a profile is applied


def test_profiled_and_plain_equipment_share_a_gateway() -> None:
    register = wire.register(profile="special-equipment")
    register.add(Equipment(number=9, equipment_id="PLAIN", division="610926", kind=EquipmentKind.LIFT))
    batch = [{"equipment_id": one, "ts": wire.NOW, "door_zone": zone} for one, zone in ((wire.LIFT, 2), ("PLAIN", 0))]
    decoded = wire.decode(wire.inbound(wire.GATEWAY, batch), decoder=Decoder(register))
    assert decoded.samples["number"].tolist() == [1, 9]
    assert decoded.samples["door_zone"].tolist() == [0, 0]
    batch[1]["door_zone"] = 2
    (aside,) = wire.decode(wire.inbound(wire.GATEWAY, batch), decoder=Decoder(register)).quarantined
    assert aside.reason == "range"


def test_profile_that_does_not_exist_sets_aside() -> None:
    decoded = read("no-such", wire.STATUS, wire.SAMPLE)
    assert [(aside.reason, aside.detail) for aside in decoded.quarantined] == [("profile", "no-such")]


@pytest.mark.parametrize("time", ["2016-07-20T14:38:33", "", "yesterday", "9999-99-99 00:00:00"])
def test_time_of_another_form_sets_aside(time: str) -> None:
    (aside,) = read("juli", wire.STATUS, {"status_time": time}).quarantined
    assert aside.reason in {"type", "missing"}


@pytest.mark.parametrize("value", ["1_0", "0x1", "nan", "inf", "1e5", "１", "one"])
def test_text_that_is_no_number_sets_aside(value: str) -> None:
    (aside,) = read("juli", wire.STATUS, {"ts": wire.NOW, "car_status": value}).quarantined
    assert aside.reason == "type"


def test_values_kind_may_have_a_profile() -> None:
    profiles = load('[p]\ntitle="t"\nsource="s"\n[p.status.fields]\ndata="values"\nt="ts"\n[p.status.scale]\nts=1000')
    register = wire.register()
    register.add(Equipment(number=4, equipment_id="B-1", division="610926", kind=EquipmentKind.BOILER, profile="p"))
    message = wire.inbound(f"se/v1/610926/boiler/{wire.BOILER}/status", {"t": 5, "data": {"a": 1}})
    ((_, found),) = wire.decode(message, decoder=Decoder(register, profiles)).measurements
    assert (found.ts, found.values) == (5000, {"a": 1.0})


@pytest.mark.parametrize(
    "text",
    [
        "[p",
        "p = 1",
        '[p]\ntitle="t"',
        '[p]\ntitle="t"\nsource="s"\nunknown=1',
        '[p]\ntitle="t"\nsource="s"\n[p.codes]\n"1"="no_such_kind"',
        '[p]\ntitle="t"\nsource="s"\n[p.status]\nfelds={}',
        '[p]\ntitle="t"\nsource="s"\nutc_offset_h=99',
    ],
)
def test_wrong_table_is_a_settings_error(text: str) -> None:
    with pytest.raises(SettingsError):
        load(text)
