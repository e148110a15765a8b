"""The metro's published figures, and whether what a database holds gives them."""

from __future__ import annotations

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from monitor.adapters.figures import PostgresFigures
from monitor.adapters.pool import Database
from monitor.services.report import period, report

DATA = Path(__file__).parents[2] / "shared" / "data"


async def figures_agree(database: Database) -> None:
    """All 2,616 windows to the fault, and the availability of all 436 units."""
    expected = json.loads((DATA / "wmata-half.expect.json").read_text())
    figures = PostgresFigures(database)
    windows: dict[tuple[int, int], dict[str, int]] = {}
    for one in expected["published_fault_counts"]:
        windows.setdefault((one["from"], one["to"]), {})[one["equipment_id"]] = one["faults_raised"]
    compared = 0
    async with database.session() as session:
        for (from_ms, to_ms), published in windows.items():
            counted = await figures.fault_counts(session, from_ms, to_ms)
            names = await session.fetch("SELECT number, equipment_id FROM tiwei.equipment")
            found = {row["equipment_id"]: counted.get(row["number"], (0, 0))[0] for row in names}
            assert {unit: found[unit] for unit in published} == published
            compared += len(published)
    assert compared == 2_616
    everything = period("2013-01-01", "2015-12-31", None, ZoneInfo("UTC"))
    told = await report(figures, everything)
    availability = {one["equipment_id"]: one["availability"] for one in told["equipment"]}
    published_availability = expected["availability_wall_clock"]
    assert len(published_availability) == 436
    differences = [abs(availability[unit] - value) for unit, value in published_availability.items()]
    assert np.max(differences) <= 1e-6
