"""`tiwei replay` as its users run it: whole process, files in, lines out, figures from the database."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitor.adapters.pool import Database
from monitor.adapters.store import PostgresStore
from tests.detectors.world import Lift, registry_entry
from tests.metro import figures_agree

SHARED = Path(__file__).parents[3] / "shared"


def tiwei(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, **(env or {})},
    )


def shut_in(equipment_id: str = "L-1") -> Lift:
    """Somebody is shut in between floors, and freed."""
    lift = Lift(equipment_id=equipment_id)
    lift.wait(20)
    lift.board()
    lift.stop_between(5)
    lift.wait(60)
    lift.level_and_open()
    lift.wait(30)
    return lift


def stream_of(path: Path, *lifts: Lift) -> Path:
    mail = sorted((m for lift in lifts for m in lift.mail), key=lambda m: m.at)
    lines = [json.dumps({"registry": [registry_entry(lift.equipment_id) for lift in lifts]})]
    lines += [json.dumps({"at": 1_764_547_200_000 + m.at, "topic": m.topic, "payload": m.payload}) for m in mail]
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def lines_of(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_the_same_input_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    stream = stream_of(tmp_path / "s.jsonl.gz", *(shut_in(f"L-{n}") for n in range(1, 40)))
    first = tiwei("replay", stream, env={"PYTHONHASHSEED": "1"})
    other = tiwei("replay", stream, "--out", tmp_path / "out", env={"PYTHONHASHSEED": "4711"})
    assert (first.returncode, other.returncode) == (0, 0), first.stderr + other.stderr
    assert first.stdout == (tmp_path / "out").read_bytes()
    assert sum(line.get("fault") == "entrapment" for line in lines_of(first.stdout)) == 2 * 39


def test_lines_have_what_the_contract_says_and_an_incident_follows_its_fault(tmp_path: Path) -> None:
    done = tiwei("replay", stream_of(tmp_path / "s.jsonl", shut_in()))
    lines = lines_of(done.stdout)
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    raised = next(i for i, line in enumerate(lines) if line.get("fault") == "entrapment")
    assert lines[raised].keys() == {"at", "equipment_id", "fault", "change", "since", "evidence"}
    incident = lines[raised + 1]
    assert incident.keys() == {"at", "incident_id", "equipment_id", "status", "level", "reason"}
    assert (incident["status"], incident["at"]) == ("REPORTED", lines[raised]["at"])
    cleared = [line for line in lines if line.get("incident_id") == incident["incident_id"]][-1]
    assert (cleared["status"], cleared["reason"]) == ("REPORTED", "fault_cleared")  # people may be inside


def test_several_files_are_several_runs_in_the_order_given(tmp_path: Path) -> None:
    one = stream_of(tmp_path / "a.jsonl", shut_in("L-1"))
    two = stream_of(tmp_path / "b.jsonl", shut_in("L-2"))
    both = tiwei("replay", two, one, two).stdout
    assert both == tiwei("replay", two).stdout + tiwei("replay", one).stdout + tiwei("replay", two).stdout


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'{"at": 5, "topic": "x", "payload": {}}\n{"at": 4, "topic": "x", "payload": {}}', b"line 2"),
        (b'{"at": 5, "topic": "x", "payl', b"line 1"),
        (b'{"registry": [{"equipment_id": "A B", "division": "1", "kind": "lift"}]}', b"equipment_id"),
        (b"\x1f\x8b broken", b"s.jsonl"),
    ],
)
def test_a_stream_that_is_none_is_said_in_one_line(tmp_path: Path, content: bytes, named: bytes) -> None:
    (tmp_path / "s.jsonl").write_bytes(content)
    done = tiwei("replay", tmp_path / "s.jsonl")
    assert done.returncode != 0
    assert named in done.stderr
    assert done.stderr.count(b"\n") == 1


async def test_stored_history_is_the_same_and_leaves_the_monitors_own_state_alone(
    tmp_path: Path, database_url: str
) -> None:
    stream = stream_of(tmp_path / "s.jsonl", shut_in("L-1"), shut_in("L-2"))
    env = {"TIWEI_DATABASE_URL": database_url, "TIWEI_DATA_DIR": str(tmp_path / "data")}
    stored = tiwei("replay", stream, "--store", env=env)
    assert stored.returncode == 0, stored.stderr
    assert stored.stdout == tiwei("replay", stream).stdout
    connection = await asyncpg.connect(database_url, ssl=False)
    rows = await connection.fetchval("SELECT count(*) FROM tiwei.reading")
    faults = await connection.fetchval("SELECT count(*) FROM tiwei.fault WHERE kind = 'entrapment'")
    assert rows == sum(m.topic.endswith("status") for n in ("L-1", "L-2") for m in shut_in(n).mail)
    assert faults == 2
    # Once more changes nothing, and a monitor that starts now has nothing of it to judge again.
    assert tiwei("replay", stream, "--store", env=env).stdout == stored.stdout
    assert await connection.fetchval("SELECT count(*) FROM tiwei.reading") == rows
    assert await connection.fetchval("SELECT count(*) FROM tiwei.journal") == 0
    await connection.close()


async def test_storing_is_refused_while_a_monitor_is_at_work(tmp_path: Path, database_url: str) -> None:
    database = Database(database_url, application="test")
    monitor = PostgresStore(database)
    await monitor.acquire()
    stream = stream_of(tmp_path / "s.jsonl", shut_in())
    done = tiwei("replay", stream, "--store", env={"TIWEI_DATABASE_URL": database_url})
    await monitor.close()
    await database.close()
    assert done.returncode != 0
    assert b"a monitor is at work" in done.stderr
    assert done.stdout == b""


@pytest.mark.public_data
@pytest.mark.skipif(not (SHARED / "cases" / "score.py").exists(), reason=f"NOT COVERED HERE: no cases in {SHARED}")
def test_public_cases_are_all_found_and_nothing_else() -> None:
    """A sample of the cases by every kind of noise; the README's figures are of all of them."""
    names = sorted(path.name.removesuffix(".expect.json") for path in (SHARED / "cases").glob("*-[0-9].expect.json"))
    chosen = random.Random(96333).sample(names, 60)
    scored = subprocess.run(
        [sys.executable, str(SHARED / "cases" / "score.py"), str(SHARED / "cases"), "--only", *chosen, "--",
         sys.executable, "-m", "monitor", "replay"],
        capture_output=True, check=False, text=True, timeout=200,
    )  # fmt: skip
    assert scored.returncode == 0, scored.stdout


@pytest.mark.public_data
@pytest.mark.skipif(not (SHARED / "data").exists(), reason=f"NOT COVERED HERE: no recorded data in {SHARED}")
async def test_two_years_of_a_metro_give_the_published_figures(tmp_path: Path, database_url: str) -> None:
    env = {"TIWEI_DATABASE_URL": database_url, "TIWEI_DATA_DIR": str(tmp_path / "data")}
    stored = tiwei("replay", SHARED / "data" / "wmata-half.jsonl.gz", "--store", "--timezone", "UTC", env=env)
    assert stored.returncode == 0, stored.stderr[-2000:]
    expected = json.loads((SHARED / "data" / "wmata-half.expect.json").read_text())
    whole = tiwei("report", "--from", "2013-01-01", "--to", "2015-12-31", "--format", "json", env=env)
    units = {one["equipment_id"]: one for one in json.loads(whole.stdout)["equipment"]}
    for unit, availability in expected["availability_wall_clock"].items():
        assert abs(units[unit]["availability"] - availability) <= 1e-4, unit
    database = Database(database_url, application="test")
    await figures_agree(database)
    await database.close()
