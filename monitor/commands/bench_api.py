"""`tiwei bench api`: the main routes under many askers at once, on a database with a city's worth in it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import numpy as np
import structlog

from monitor.commands._askers import Plan
from monitor.commands._bench_centre import Centre, centre_in, lift
from monitor.commands._load import FIRST_LIFT
from monitor.commands._table import table
from monitor.commands.bench_engine import machine
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment
from monitor.domain.fault import FaultChange, FaultKind, FaultState

if TYPE_CHECKING:
    from monitor.adapters.pool import Database
    from monitor.adapters.store import PostgresStore

#: Faults that are no incident's.
_OTHERS = (FaultKind.OFFLINE, FaultKind.PASSENGER_SENSOR_STUCK, FaultKind.INSPECTION)
#: Lifts with an hour of samples, one a second.
_WITH_HISTORY = 20
_HOUR_MS = 3_600_000
_AT_ONCE = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `bench api`."""
    parser.add_argument("--lifts", type=int, default=20_000, help="lifts in the registry, all with a state")
    parser.add_argument("--faults", type=int, default=10_000, help="faults, half of them open")
    parser.add_argument("--incidents", type=int, default=1_000, help="open incidents, of these faults")
    parser.add_argument("--askers", type=int, default=8, help="connections that ask at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each route is asked")
    parser.add_argument("--json", action="store_true", help="figures as JSON only")


def run(args: argparse.Namespace) -> int:
    """Measure and print; 1 when an answer was none."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40 if args.json else 30))
    found = asyncio.run(_measure(args))
    if not args.json:
        print(_as_table(found, args.askers))
    print(json.dumps({"machine": machine(), "lifts": args.lifts, "askers": args.askers, "routes": found}))
    return 1 if any(one["wrong"] for one in found.values()) else 0


async def _measure(args: argparse.Namespace) -> dict[str, Any]:
    lifts = [lift(f"L{FIRST_LIFT + number}") for number in range(args.lifts)]
    with tempfile.TemporaryDirectory(prefix="tiwei-bench-") as folder:
        async with centre_in(Path(folder), lifts, monitor=False, api=True) as centre:
            now_ms = time.time_ns() // 1_000_000
            await _fill(centre, args, now_ms)
            plan = await _plan(centre, args, now_ms)
            before = centre.cpu_s()
            found = await _ask(plan)
            used = {name: round(now - before[name], 2) for name, now in centre.cpu_s().items()}
            print(f"CPU s: {used}", file=sys.stderr)
            return found


async def _ask(plan: Plan) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor.commands._askers", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate(json.dumps(asdict(plan)).encode())
    if child.returncode:
        raise RuntimeError("the askers failed")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


async def _plan(centre: Centre, args: argparse.Namespace, now_ms: int) -> Plan:
    """What is asked: of each route enough different things that no answer is just the one before."""
    place = urlsplit(centre.api_url)
    v1 = "/api/v1"
    names = [f"L{FIRST_LIFT + number}" for number in range(0, args.lifts, 7)]
    incidents = await _incident_ids(centre)
    begin, end = (quote(_iso(ms)) for ms in (now_ms - _HOUR_MS, now_ms))
    return Plan(
        host=place.hostname or "",
        port=place.port or 0,
        token=centre.token,
        askers=args.askers,
        seconds=args.seconds,
        routes={
            "GET fleet": [f"{v1}/fleet"],
            "GET equipment": [f"{v1}/equipment?limit=100"],
            "GET equipment/{id}": [f"{v1}/equipment/{name}" for name in names],
            "GET equipment/{id}/history": [
                f"{v1}/equipment/L{FIRST_LIFT + number}/history?from={begin}&to={end}"
                for number in range(min(_WITH_HISTORY, args.lifts))
            ],
            "GET faults?open=true": [f"{v1}/faults?open=true&limit=100"],
            "GET incidents?open=true": [f"{v1}/incidents?open=true&limit=100"],
            "GET incidents/{id}": [f"{v1}/incidents/{one}" for one in incidents],
            "GET metrics": [f"{v1}/metrics"],
            "GET health/live": [f"{v1}/health/live"],
        },
        notes=[f"{v1}/incidents/{one}" for one in incidents],
    )


def _iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))


async def _incident_ids(centre: Centre) -> list[str]:
    from monitor.adapters.pool import Database

    database = Database(centre.database_url)
    try:
        async with database.session() as session:
            rows = await session.fetch("SELECT incident_id::text FROM tiwei.incident ORDER BY incident_no")
            return [row[0] for row in rows]
    finally:
        await database.close()


async def _fill(centre: Centre, args: argparse.Namespace, now_ms: int) -> None:
    """States, faults and incidents as a monitor would have stored them."""
    from monitor.adapters.pool import Database
    from monitor.adapters.store import PostgresStore

    database = Database(centre.database_url)
    store = PostgresStore(database)
    try:
        await store.acquire()
        equipment = (await store.load(now_ms)).equipment
        await _fill_states(database, equipment, now_ms)
        await _fill_faults(store, equipment, args, now_ms)
        async with database.session() as session:
            await session.execute("ANALYZE")
    finally:
        await store.close()
        await database.close()


async def _fill_states(database: Database, equipment: Sequence[Equipment], now_ms: int) -> None:
    from monitor.adapters.latest import Latest
    from monitor.messages.samples import absent_rows
    from monitor.services.showing import Flush

    latest = Latest(database)
    for start in range(0, len(equipment), 5_000):
        part = tuple(equipment[start : start + 5_000])
        rows = absent_rows(len(part))
        rows["number"] = [one.number for one in part]
        rows["time_ms"] = rows["received_ms"] = now_ms
        rows["service_mode"], rows["car_position"], rows["speed_mps"] = 1, np.arange(len(part)) % 9 + 1, 0.5
        touched = np.zeros(len(part), np.int64)
        await latest.show(Flush(at_ms=now_ms, rows=rows, equipment=part, quantities={}, touched_ms=touched))
    await latest.close()


async def _fill_faults(
    store: PostgresStore, equipment: Sequence[Equipment], args: argparse.Namespace, now_ms: int
) -> None:
    """Batches of changes; the first holds the history as well. Every second fault that is no incident's is over."""
    raised = [_raised(equipment, place, args.incidents, now_ms) for place in range(args.faults)]
    cleared = [_cleared(one, now_ms) for one in raised[args.incidents :: 2]]
    changes = [*raised, *cleared]
    by_id = {one.equipment_id: one for one in equipment}
    history = [by_id[f"L{FIRST_LIFT + number}"] for number in range(min(_WITH_HISTORY, len(equipment)))]
    for position, start in enumerate(range(0, len(changes), _AT_ONCE), start=1):
        part = tuple(changes[start : start + _AT_ONCE])
        readings = _history(history, now_ms) if position == 1 else _history((), now_ms)
        await store.commit(Commit(position=position, journal=b"V", judged_ms=now_ms, readings=readings, faults=part))


def _raised(equipment: Sequence[Equipment], place: int, incidents: int, now_ms: int) -> FaultChange:
    one = equipment[place % len(equipment)]
    kind = FaultKind.ENTRAPMENT if place < incidents else _OTHERS[place % len(_OTHERS)]
    at_ms = now_ms - _HOUR_MS + place * 10
    return FaultChange(
        at_ms=at_ms,
        number=one.number,
        equipment_id=one.equipment_id,
        kind=kind,
        state=FaultState.RAISED,
        since_ms=at_ms - 20_000,
        raised_at_ms=at_ms,
        evidence={"seen": {"service_mode": 1, "car_position": 3, "door_closed": 1, "passenger": 1}, "ts": at_ms},
    )


def _cleared(one: FaultChange, now_ms: int) -> FaultChange:
    return FaultChange(
        at_ms=now_ms,
        number=one.number,
        equipment_id=one.equipment_id,
        kind=one.kind,
        state=FaultState.CLEARED,
        since_ms=one.since_ms,
        raised_at_ms=one.raised_at_ms,
        evidence={},
    )


def _history(lifts: Sequence[Equipment], now_ms: int) -> Any:
    from monitor.messages.samples import absent_rows

    each = _HOUR_MS // 1000
    rows = absent_rows(len(lifts) * each)
    rows["number"] = np.repeat([one.number for one in lifts], each) if lifts else 0
    step = np.tile(np.arange(each), len(lifts))
    rows["time_ms"] = rows["received_ms"] = rows["ts"] = now_ms - _HOUR_MS + step * 1000
    rows["seq"] = step
    rows["service_mode"], rows["car_position"], rows["door_closed"] = 1, step % 9 + 1, 1
    return rows


def _as_table(found: dict[str, Any], askers: int) -> str:
    rows = [
        (
            name,
            f"{one['requests_per_s']:,.0f}",
            *(f"{one[f'{rank}_ms']:,.1f}" for rank in ("p50", "p95", "p99")),
            f"{one['octets']:,}",
            ", ".join(f"{count} x {status}" for status, count in one["wrong"].items()) or "-",
        )
        for name, one in found.items()
    ]
    title = f"Routes asked by {askers} at once; ms to the whole answer; bytes of it"
    return table(title, ("route", "req/s", "p50", "p95", "p99", "bytes", "not 2xx"), rows)
