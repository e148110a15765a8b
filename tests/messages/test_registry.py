"""Registry files, right and wrong."""

from __future__ import annotations

import json

import pytest

from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.errors import UnreadableError
from monitor.messages.registry import read

LIFT = {"equipment_id": "L-1", "division": "320500", "kind": "lift"}
FULL = {
    **LIFT,
    "rescue_code": "012345",
    "bottom_floor": -2,
    "top_floor": 31,
    "floor_height_m": 2.9,
    "rated_speed_mps": 1.75,
    "firm_id": "F-1",
    "reports": "changes",
    "profile": "wmata",
    "limits": [{"quantity": "pressure", "unit": "MPa", "high": 1.1, "on_delay_s": 3.0}],
    "overrides": {"offline_s": 300.0},
    "place": {"address": "苏州 1 号", "lat": 31.3},
    "colour": "ignored",
}
KNOWN = Equipment(
    number=1,
    equipment_id="L-1",
    division="320500",
    kind=EquipmentKind.LIFT,
    rescue_code="012345",
    bottom_floor=-2,
    top_floor=31,
    floor_height_m=2.9,
    rated_speed_mps=1.75,
    firm_id="F-1",
    reports=Reports.CHANGES,
    profile="wmata",
    limits=({"quantity": "pressure", "unit": "MPa", "high": 1.1, "on_delay_s": 3.0},),
    overrides={"offline_s": 300.0},
    place={"address": "苏州 1 号", "lat": 31.3},
)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps([FULL]), "json"),
        (json.dumps({"registry": [FULL]}), "json"),
        (json.dumps(FULL), "json"),
        (json.dumps(FULL) + "\n\n", "jsonl"),
        (json.dumps({"registry": [FULL]}) + "\n", "jsonl"),
        (json.dumps(LIFT) + "\n" + json.dumps(FULL), "jsonl"),
    ],
)
def test_every_form_of_json(content: str, kind: str) -> None:
    assert read(content.encode(), kind) == [KNOWN]


def test_csv_of_a_spreadsheet() -> None:
    content = (
        "\ufeffequipment_id,division,kind,rescue_code,bottom_floor,top_floor,floor_height_m,rated_speed_mps,firm_id,"
        "reports,profile,limits,overrides,place_address,place_lat,colour\r\n"
        'L-1,320500,lift,012345,-2,31,2.9,1.75,F-1,changes,wmata,"[{""quantity"":""pressure"",""unit"":""MPa"",'
        '""high"":1.1,""on_delay_s"":3.0}]","{""offline_s"":300.0}",苏州 1 号,31.3,red\r\n'
        "L-2,320500,escalator,,,,,,,,,,,,,\r\n"
    )
    first, second = read(content.encode(), "csv")
    assert first == KNOWN
    assert second == Equipment(number=2, equipment_id="L-2", division="320500", kind=EquipmentKind.ESCALATOR)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"equipment_id": "a b"}, "equipment_id"),
        ({"equipment_id": "x" * 33}, "equipment_id"),
        ({"division": "3205"}, "division"),
        ({"kind": "tram"}, "tram"),
        ({"bottom_floor": 5, "top_floor": 4}, "above"),
        ({"bottom_floor": "5"}, "int"),
        ({"top_floor": 10**9}, "1000"),
        ({"rated_speed_mps": 0}, "rated_speed_mps"),
        ({"floor_height_m": -1.0}, "floor_height_m"),
        ({"reports": "often"}, "often"),
        ({"limits": [{"unit": "MPa"}]}, "quantity"),
        ({"overrides": {"offline_s": "long"}}, "overrides"),
    ],
)
def test_one_wrong_entry_refuses_the_file_and_is_named(change: dict[str, object], told: str) -> None:
    lines = [LIFT, LIFT | change]
    with pytest.raises(UnreadableError) as refused:
        read("\n".join(map(json.dumps, lines)).encode(), "jsonl")
    assert refused.value.detail.startswith("line 2:")
    assert told in refused.value.detail


def test_of_many_errors_the_first_are_told_and_the_rest_counted() -> None:
    with pytest.raises(UnreadableError, match="and 90 more"):
        read(json.dumps([LIFT | {"division": "x"}] * 100).encode(), "json")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "json"),
        (b"[1, 2]", "json"),
        (b'"L-1"', "json"),
        (b"[" * 100_000, "json"),
        (b'{"equipment_id": "L-1"', "jsonl"),
        (b"\xff\xfe\x00", "csv"),
        (b"equipment_id,division,kind\nL-1,320500\n", "csv"),
        (b"equipment_id,rated_speed_mps,division,kind\nL-1,nan,320500,lift\n", "csv"),
        (b'equipment_id,limits,division,kind\nL-1,"[{",320500,lift\n', "csv"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "csv"),
    ],
)
def test_what_is_no_registry_is_told(content: bytes, kind: str) -> None:
    with pytest.raises(UnreadableError):
        read(content, kind)


def test_an_empty_file_is_an_empty_registry() -> None:
    assert read(b"", "jsonl") == []
    assert read(b"equipment_id,division,kind\n", "csv") == []
    assert read(b"[]", "json") == []
