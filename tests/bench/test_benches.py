"""The benches, small: that they measure what they say and count every row; their figures are for a quiet machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.__main__ import main
from monitor.commands._probe import Heard
from monitor.commands._table import WIDTH, table


def figures(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON that a bench printed; it must have found everything right."""
    assert main(["bench", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_api_asks_every_route_and_gets_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--lifts", "60", "--faults", "80", "--incidents", "9", "--askers", "3", "--seconds", "0.1"]
    found = figures(capsys, "api", *small)
    assert len(found["routes"]) >= 10
    for name, one in found["routes"].items():
        assert one["requests"] >= 3, name
        assert not one["wrong"], name
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
    assert found["routes"]["GET incidents?open=true"]["octets"] > 9 * 300


@pytest.mark.soak
def test_ingest_counts_every_row_and_every_change_at_the_websocket(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--lifts", "400", "--seconds", "3", "--rates", "800", "--gateway", "20", "--live", "500"]
    found = figures(capsys, "ingest", *small)
    assert [one["rows_right"] for one in found["results"]] == [True] * 4
    assert found["live"]["lost"] == 0
    assert {one["seen"] for one in found["live"]["kinds"].values()} == {60}


def test_the_probe_takes_only_what_it_waits_for() -> None:
    heard = Heard()
    heard.expect("car_alarm_button", "P1")

    def told(state: str, kind: str, lift: str) -> str:
        fault = {"kind": kind, "equipment_id": lift}
        return json.dumps({"type": "change", "topic": "fault", "body": {"state": state, "fault": fault}})

    heard.take(told("cleared", "car_alarm_button", "P1"))
    heard.take(told("raised", "car_alarm_button", "P2"))
    heard.take(json.dumps({"type": "beat"}))
    assert heard.figures()["car_alarm_button"] == {"seen": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "sent": 1}
    heard.take(told("raised", "car_alarm_button", "P1"))
    heard.take(told("raised", "car_alarm_button", "P1"))
    assert heard.figures()["car_alarm_button"]["seen"] == 1


def test_a_table_fits_the_width_and_lines_up() -> None:
    rows = [("a name", "1,234", "5"), ("b", "7", "12,345")]
    lines = table("Title", ("what", "first", "second"), rows).splitlines()
    assert lines[0] == "Title"
    assert lines[1:] == [
        "what    first  second",
        "------  -----  ------",
        "a name  1,234       5",
        "b           7  12,345",
    ]
    wide = table("t", ["x" * 7] * 10, [["1"] * 10]).splitlines()
    assert max(map(len, wide)) <= WIDTH
