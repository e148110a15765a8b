"""What is shown of each equipment now, and how the monitor does: on a connection of its own beside the batches."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from math import isnan
from typing import Any, Final, Protocol

import asyncpg
import numpy as np
from numpy.typing import NDArray

from monitor.adapters import pgcopy
from monitor.adapters.feed import Line, Topic, publish
from monitor.adapters.pgtext import FIRST_MS, LAST_MS, instant, json_text
from monitor.adapters.pool import Database, Session, database_errors
from monitor.domain.equipment import Equipment
from monitor.domain.reading import FLOOR_UNKNOWN

#: Bit of `flags`: silent (as in monitor.services.showing).
SILENT: Final = 128
#: Rows made into JSON before others may go on.
_AT_ONCE = 250

_COLUMNS = (
    "number, sampled_at, received_at, run_count, car_position, speed_mps, position_m, load_kg, service_mode,"
    " car_status, car_direction, door_zone, door_closed, passenger, power"
)
_STAGING = "CREATE TEMP TABLE shown_reading (LIKE tiwei.reading) ON COMMIT DELETE ROWS"
_UPSERT = f"""
INSERT INTO tiwei.latest ({_COLUMNS}, silent, quantities)
SELECT {_COLUMNS}, flags & {SILENT} <> 0, q.quantities
FROM shown_reading LEFT JOIN unnest($1::integer[], $2::jsonb[]) AS q (number, quantities) USING (number)
ON CONFLICT (number) DO UPDATE SET
    ({_COLUMNS.partition(", ")[2]}, silent, quantities) =
    ROW ({", ".join("excluded." + one for one in _COLUMNS.split(", ")[1:])}, excluded.silent, excluded.quantities)
"""  # noqa: S608 - names of columns only
_LOAD = {
    "ts": "0::bigint",
    "seq": "'-1'::bigint",
    "flags": f"CASE WHEN silent THEN {SILENT} ELSE 0 END::smallint",
}
_FIGURES = """
INSERT INTO tiwei.monitor_figures (at, body) VALUES ($1, $2)
ON CONFLICT (single) DO UPDATE SET at = excluded.at, body = excluded.body
"""

_STATE = (
    ', "sampled_at": "%sZ", "received_at": "%sZ", "silent": %s, "service_mode": %s, "car_status": %s,'
    ' "car_direction": %s, "door_zone": %s, "car_position": %s, "door_closed": %s, "passenger": %s, "speed_mps": %s,'
    ' "position_m": %s, "power": %s, "load_kg": %s, "run_count": %s, "quantities": %s}'
).replace(", ", ",").replace(": ", ":")  # fmt: skip


class Flush(Protocol):
    """What is to be shown; see `monitor.services.showing.Flush`."""

    @property
    def rows(self) -> NDArray[np.void]: ...
    @property
    def equipment(self) -> tuple[Equipment, ...]: ...
    @property
    def quantities(self) -> Mapping[int, Mapping[str, float]]: ...


class Latest:
    """tiwei.latest and tiwei.monitor_figures, for the one monitor. Raises UnavailableError, RefusedError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own: asyncpg.Connection[asyncpg.Record] | None = None
        self._named: dict[int, tuple[Equipment, str]] = {}

    async def load(self) -> tuple[NDArray[np.void], dict[int, dict[str, float]]]:
        """What is shown: READING rows with SILENT in `flags`, and the quantities of `values` kinds by number."""
        stream = io.BytesIO()
        query = f"SELECT {pgcopy.selected(_LOAD)} FROM tiwei.latest"  # noqa: S608 - names of columns only
        async with self._database.session() as session:
            await session.copy_from_query(query, output=stream, format="binary")
            found = await session.fetch("SELECT number, quantities FROM tiwei.latest WHERE quantities IS NOT NULL")
        return pgcopy.decode(stream.getvalue()), {row["number"]: json.loads(row["quantities"]) for row in found}

    async def show(self, flush: Flush) -> None:
        """Store and publish, whole or not at all."""
        body = await self._body(flush)
        numbers, quantities = list(flush.quantities), [json_text(one) for one in flush.quantities.values()]
        with database_errors():
            own = await self._connected()
            try:
                async with own.transaction():
                    await own.copy_to_table(
                        "shown_reading",
                        source=io.BytesIO(pgcopy.encode(flush.rows)),
                        columns=pgcopy.READING_COLUMNS,
                        format="binary",
                    )
                    await own.execute(_UPSERT, numbers, quantities)
                    await publish(own, [Line(topic=Topic.STATES, body=body)])
            except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError):
                self._forget(own)
                raise

    async def store_figures(self, body: Mapping[str, Any], at_ms: int) -> None:
        """Replace the monitor's figures."""
        async with self._database.session() as session:
            await session.execute(_FIGURES, instant(at_ms), json_text(body))

    async def close(self) -> None:
        """Let go of the connection."""
        own, self._own = self._own, None
        if own is not None:
            with database_errors():
                await own.close(timeout=5)

    async def _connected(self) -> Session:
        if self._own is None or self._own.is_closed():
            own = await self._database.alone("tiwei monitor latest")
            await own.execute(_STAGING)
            self._own = own
        return self._own

    def _forget(self, own: Session) -> None:
        self._own = None
        own.terminate()

    async def _body(self, flush: Flush) -> str:
        """The line of the feed: {"states": [...]}, made piece by piece so that batches are not kept waiting."""
        parts: list[str] = []
        for start in range(0, len(flush.rows), _AT_ONCE):
            parts += self._states(flush, slice(start, start + _AT_ONCE))
            await asyncio.sleep(0)
        return f'{{"states":[{",".join(parts)}]}}'

    def _states(self, flush: Flush, part: slice) -> list[str]:
        columns = _columns(flush.rows[part])
        quantities = flush.quantities
        if quantities:
            asked = (quantities.get(one.number) for one in flush.equipment[part])
            columns.append(["null" if one is None else json_text(one) for one in asked])
        else:
            columns.append(["null"] * len(columns[0]))
        states = zip(*columns, strict=True)
        return [self._name(one) + _STATE % state for one, state in zip(flush.equipment[part], states, strict=True)]

    def _name(self, one: Equipment) -> str:
        kept = self._named.get(one.number)
        if kept is not None and kept[0] is one:
            return kept[1]
        names = {"equipment_id": one.equipment_id, "division": one.division, "firm_id": one.firm_id}
        text = json_text(names)[:-1]
        self._named[one.number] = (one, text)
        return text


_CODES = np.array(["null", *map(str, range(128))], object)


def _columns(rows: NDArray[np.void]) -> list[list[Any]]:
    """READING rows as words of JSON, a list for each place of _STATE but the last."""
    code = {
        name: _CODES[rows[name].astype(np.intp) + 1].tolist()
        for name in (
            "service_mode",
            "car_status",
            "car_direction",
            "door_zone",
            "door_closed",
            "passenger",
            "power",
        )
    }
    floor = ["null" if one == FLOOR_UNKNOWN else one for one in rows["car_position"].tolist()]
    return [
        _instants(rows["time_ms"]),
        _instants(rows["received_ms"]),
        np.where(rows["flags"] & SILENT, "true", "false").tolist(),
        code["service_mode"],
        code["car_status"],
        code["car_direction"],
        code["door_zone"],
        floor,
        code["door_closed"],
        code["passenger"],
        _floats(rows["speed_mps"]),
        _floats(rows["position_m"]),
        code["power"],
        _floats(rows["load_kg"]),
        ["null" if one == -1 else one for one in rows["run_count"].tolist()],
    ]


def _instants(ms: NDArray[np.int64]) -> list[str]:
    """RFC 3339 without the zone, ms."""
    inside = np.clip(ms, FIRST_MS, LAST_MS)
    texts: list[str] = np.datetime_as_string(inside.astype("datetime64[ms]")).tolist()
    return texts


def _floats(values: NDArray[np.float32]) -> list[Any]:
    return ["null" if isnan(one) else one for one in values.astype(np.float64).round(3).tolist()]
