"""`tiwei replay --store`: what it prints of incidents is what the database has, entry by entry."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest

from tests.scenarios.test_replay import SHARED, tiwei

_ENTRIES = """
SELECT l.entered_at, l.incident_id::text, l.reason, l.place, i.status, i.version
FROM tiwei.incident_entry l JOIN tiwei.incident i USING (incident_id) ORDER BY l.entered_at, l.incident_id, l.place
"""


@pytest.mark.public_data
@pytest.mark.skipif(not (SHARED / "cases").exists(), reason=f"NOT COVERED HERE: no cases in {SHARED}")
async def test_stored_incidents_are_those_that_are_printed(tmp_path: Path, database_url: str) -> None:
    env = {"TIWEI_DATABASE_URL": database_url, "TIWEI_DATA_DIR": str(tmp_path / "data")}
    streams = sorted((SHARED / "cases").glob("entrapment*-1.jsonl.gz"))[:6]
    assert streams
    seen = 0
    for stream in streams:
        stored = tiwei("replay", stream, "--store", env=env)
        assert stored.returncode == 0, stored.stderr
        told = [line for line in map(json.loads, stored.stdout.splitlines()) if "incident_id" in line]
        connection = await asyncpg.connect(database_url, ssl=False)
        rows = await connection.fetch(_ENTRIES)
        await connection.execute("TRUNCATE tiwei.incident CASCADE")
        await connection.close()
        assert sorted((row["incident_id"], row["place"], row["reason"]) for row in rows) == _placed(told)
        last = {line["incident_id"]: line["status"] for line in told}
        assert {row["incident_id"]: row["status"] for row in rows} == last
        seen += len(told)
    assert seen > 0


def _placed(told: list[dict[str, str]]) -> list[tuple[str, int, str]]:
    """Printed lines with the place that each has in its incident's timeline."""
    places: dict[str, int] = {}
    found = []
    for line in told:
        place = places[line["incident_id"]] = places.get(line["incident_id"], 0) + 1
        found.append((line["incident_id"], place, line["reason"]))
    return sorted(found)
