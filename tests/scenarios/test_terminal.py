"""The commands that a person uses at a terminal, on a real database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from monitor.__main__ import main
from monitor.adapters.pool import Database
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit, Quarantined
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.fault import FaultChange, FaultKind, FaultState
from tests.adapters.test_store import NOW, readings


def _fault(at: int, kind: FaultKind, state: FaultState = FaultState.RAISED, began: int | None = None) -> FaultChange:
    began = at if began is None else began
    return FaultChange(
        at_ms=NOW + at,
        number=1,
        equipment_id="LIFT-1",
        kind=kind,
        state=state,
        since_ms=NOW + began,
        raised_at_ms=NOW + began,
        evidence={"floor": 3},
    )


async def _filled(url: str) -> None:
    database = Database(url)
    store = PostgresStore(database)
    await store.acquire()
    await store.load(NOW)
    lift = Equipment(number=1, equipment_id="LIFT-1", division="320500", kind=EquipmentKind.LIFT, registered=False)
    rows = readings(11)
    rows["service_mode"][:6] = 1
    rows["service_mode"][6:] = 2
    odd = Quarantined(
        received_ms=NOW, topic="se/v1/x", reason="json", detail="at byte 1", payload=b"{[red]\x1b[2J", size=10
    )
    faults = (
        _fault(0, FaultKind.ENTRAPMENT),
        _fault(10, FaultKind.OVERSPEED),
        _fault(20, FaultKind.OVERSPEED, FaultState.CLEARED, began=10),
    )
    await store.commit(
        Commit(position=1, journal=b"", new_equipment=(lift,), readings=rows, faults=faults, quarantined=(odd, odd))
    )
    await store.close()
    await database.close()


@pytest.fixture
def filled(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a little of everything, the configured one."""
    asyncio.run(_filled(database_url))
    monkeypatch.setenv("TIWEI_DATABASE_URL", database_url)
    return database_url


@pytest.mark.usefixtures("filled")
def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--from", "2026-01-01", "--to", "2026-01-01", "--division", "320500"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "period": {"from": "2026-01-01T00:00:00+08:00", "to": "2026-01-02T00:00:00+08:00", "division": "320500"},
        "equipment": [{"equipment_id": "LIFT-1", "faults_raised": 2, "entrapments": 1, "availability": 0.6}],
    }


@pytest.mark.usefixtures("filled")
def test_report_in_another_zone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--from", "2026-01-01", "--to", "2026-01-01", "--timezone", "Asia/Tokyo"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["period"]["from"] == "2026-01-01T00:00:00+09:00"


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--from", "2026-01-02", "--to", "2026-01-01"], 2, "empty"),
        (["--from", "soon", "--to", "2026-01-01"], 2, "soon"),
        (["--from", "2026-01-01", "--to", "2026-01-01", "--division", "3205"], 2, "6 digits"),
        (["--from", "2026-01-01", "--to", "2026-01-01", "--format", "pdf"], 1, "--format json"),
    ],
)
def test_report_says_what_is_wrong(
    arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *arguments]) == status
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("filled")
def test_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults"]) == 0
    told = capsys.readouterr().out
    assert "LIFT-1" in told
    assert "overspeed" in told
    assert "2026-01-01 08:00:00" in told
    assert main(["faults", "--open"]) == 0
    told = capsys.readouterr().out
    assert "entrapment" in told
    assert "overspeed" not in told


@pytest.mark.usefixtures("filled")
def test_faults_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "--json", "--limit", "1"]) == 0
    (line,) = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert (line["equipment_id"], line["fault"], line["raised"], line["cleared"]) == (
        "LIFT-1",
        "overspeed",
        NOW + 10,
        NOW + 20,
    )


@pytest.mark.usefixtures("filled")
def test_quarantine(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["quarantine", "list"]) == 0
    told = capfdbinary.readouterr().out
    assert b"at byte 1" in told
    assert b"{[red]" in told
    assert b"\x1b[2J" not in told  # nothing off the wire steers the terminal
    assert main(["quarantine", "show", "1", "--raw"]) == 0
    assert capfdbinary.readouterr().out == b"{[red]\x1b[2J"
    assert main(["quarantine", "resubmit", "1"]) == 0
    assert main(["quarantine", "list"]) == 0
    assert b"asked for" in capfdbinary.readouterr().out
    assert main(["quarantine", "discard", "1", "2", "77"]) == 1
    captured = capfdbinary.readouterr()
    assert b"1, 2: thrown away" in captured.out
    assert b"77: not there" in captured.err
    assert main(["quarantine", "show", "1"]) == 1


@pytest.mark.usefixtures("filled")
def test_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "list", "--unregistered"]) == 0
    assert "LIFT-1" in capsys.readouterr().out
    file = tmp_path / "lifts.csv"
    file.write_text("equipment_id,division,kind,firm_id\nLIFT-1,320500,lift,F-1\nLIFT-2,320500,lift,\n")
    assert main(["registry", "import", str(file)]) == 0
    assert "2 imported" in capsys.readouterr().out
    assert main(["registry", "list", "--unregistered"]) == 0
    assert "LIFT-1" not in capsys.readouterr().out
    assert main(["registry", "list", "--json"]) == 0
    again = tmp_path / "again.jsonl"
    again.write_text(capsys.readouterr().out)
    assert main(["registry", "import", str(again)]) == 0
    file.write_text("equipment_id,division,kind\nLIFT-3,320500,lift\nLIFT-4,32,lift\n")
    capsys.readouterr()
    assert main(["registry", "import", str(file)]) == 2
    assert "line 3" in capsys.readouterr().err
    assert main(["registry", "list"]) == 0
    told = capsys.readouterr().out
    assert "LIFT-2" in told
    assert "LIFT-3" not in told
