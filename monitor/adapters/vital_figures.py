"""Figures of the centre for whoever watches over it: the monitor's own, and what is open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.adapters.pgtext import milliseconds
from monitor.adapters.pool import Database

_FIGURES = """
SELECT (SELECT at FROM tiwei.monitor_figures) AS figures_at,
    (SELECT body FROM tiwei.monitor_figures) AS figures,
    (SELECT position FROM tiwei.change_head) AS position,
    (SELECT json_object_agg(kind, n) FROM (
        SELECT kind, count(*) AS n FROM tiwei.fault WHERE cleared_at IS NULL AND NOT repeated GROUP BY kind) f)
        AS faults,
    (SELECT json_agg(json_build_array(kind, severity, n)) FROM (
        SELECT kind, severity, count(*) AS n FROM tiwei.incident WHERE closed_at IS NULL GROUP BY 1, 2) i) AS incidents
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalFigures:
    """`body`: see monitor/services/vitals.py, None before a monitor wrote any; `at_ms`: when it did."""

    at_ms: int | None
    body: Mapping[str, Any] | None
    position: int
    #: Open faults by kind, open incidents by (kind, severity).
    faults: Mapping[str, int]
    incidents: Mapping[tuple[str, int], int]


async def vital_figures(database: Database) -> VitalFigures:
    """The figures as they are now. Raises UnavailableError where the database cannot be reached."""
    async with database.session() as session:
        row = await session.fetchrow(_FIGURES)
    assert row is not None
    return VitalFigures(
        at_ms=row["figures_at"] and milliseconds(row["figures_at"]),
        body=row["figures"] and json.loads(row["figures"]),
        position=row["position"],
        faults=json.loads(row["faults"] or "{}"),
        incidents={(kind, severity): n for kind, severity, n in json.loads(row["incidents"] or "[]")},
    )
