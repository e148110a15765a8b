"""Source profiles: polarities and names of each, and how a profile is applied."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import SettingsError
from monitor.messages.decode import Decoder
from monitor.messages.profiles import load
from tests.messages import wire
from tests.messages.profiled import events, read, sample

STAIR = f"se/v1/610926/escalator/{wire.ESCALATOR}/status"
#: 2016-07-20 14:38:33 in China, UTC+8.
JULY = 1_468_996_713_000


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
