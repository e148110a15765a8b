"""`tiwei bench ingest`: from MQTT to committed rows, with broker, database, centre and load as real processes.

Latency is from the instant at which a sample was due to be sent (its `ts`) to the commit timestamp that PostgreSQL
keeps of the row's own transaction: nothing of what is measured takes part in measuring it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from monitor.commands._bench_centre import DEVICE_PASSWORD, Centre, centre_in, lift
from monitor.commands._load import FIRST_LIFT, FIRST_SEQ, Plan
from monitor.commands._probe import LIFTS, WARM_UP_S, lift_name
from monitor.commands._probe import Plan as ProbePlan
from monitor.commands._table import table
from monitor.commands.bench_engine import machine

#: The first second of a fixed rate is left out: connections and caches warm up.
WARM_UP_MS = 1_000
#: The detectors hold the first samples of a lift back for 3 s, in case one from before them is on its way.
HELD_BACK_S = 5.0
#: So long after the last acknowledgement the rows may still be on their way, s.
PATIENCE_S = 120.0

_log = structlog.get_logger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `bench ingest`."""
    parser.add_argument("--lifts", type=int, default=20_000, help="lifts in the registry, all sending")
    parser.add_argument("--seconds", type=float, default=15.0, help="about how long each measurement sends")
    parser.add_argument("--rates", type=float, nargs="*", default=[12_000.0], help="fixed rates, messages/s")
    parser.add_argument("--gateway", type=int, default=100, help="samples in a message of a gateway; 0: leave out")
    parser.add_argument(
        "--live", type=float, default=10_000.0, help="messages/s while a WebSocket listens; 0: leave out"
    )
    parser.add_argument("--no-most", action="store_true", help="leave out as many single messages as it takes")
    parser.add_argument("--connections", type=int, default=4, help="connections of the load")
    parser.add_argument("--json", action="store_true", help="figures as JSON only")


def run(args: argparse.Namespace) -> int:
    """Measure and print; 1 when a row was missing or there twice."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40 if args.json else 30))
    results, live = asyncio.run(_measure_all(args))
    figures = {"machine": machine(), "lifts": args.lifts, "results": [asdict(one) for one in results], "live": live}
    if not args.json:
        print(_as_table(results))
        if live is not None:
            print(_live_table(live))
    print(json.dumps(figures))
    return 0 if all(one.rows_right for one in results) and (live is None or not live["lost"]) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measurement. CPU in us a sample, of all cores; latency in ms, None where the rate was not fixed."""

    name: str
    messages: int
    samples: int
    seconds: float
    samples_per_s: float
    messages_per_s: float
    load_us: float
    broker_us: float
    centre_us: float
    database_us: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    rows_right: bool


async def _measure_all(args: argparse.Namespace) -> tuple[list[Result], dict[str, Any] | None]:
    lifts = [lift(f"L{FIRST_LIFT + number}") for number in range(args.lifts)]
    probed = [lift(lift_name(place)) for place in range(LIFTS)]
    with tempfile.TemporaryDirectory(prefix="tiwei-bench-") as folder:
        async with centre_in(Path(folder), [*lifts, *probed], monitor=True, api=args.live > 0) as centre:
            bench = _Bench(centre, args)
            await bench.warm_up()
            if not args.no_most:
                await bench.measure("single, most", rate=0.0, expected=30_000.0)
            for rate in args.rates:
                await bench.measure(f"single, {rate:,.0f}/s", rate=rate, expected=rate)
            if args.gateway:
                name = f"gateways of {args.gateway}"
                await bench.measure(name, rate=0.0, expected=120_000.0, per_message=args.gateway)
            return bench.results, await bench.measure_live(args.live) if args.live else None


class _Bench:
    """Measurements one after the other on the same lifts; `seq` counts on."""

    def __init__(self, centre: Centre, args: argparse.Namespace) -> None:
        self._centre = centre
        self._args = args
        self._before = 0
        self.results: list[Result] = []

    async def warm_up(self) -> None:
        """A few samples of each lift, so that the detectors know all of them and hold none back any more."""
        await self.measure("warm-up", rate=0.0, expected=4 * self._args.lifts / self._args.seconds)
        self.results.clear()
        await asyncio.sleep(HELD_BACK_S)

    async def measure(
        self, name: str, *, rate: float, expected: float, per_message: int = 1, longer_s: float = 0.0
    ) -> None:
        """Send for about as long as wanted, wait until everything is stored, look at every row."""
        lifts = self._args.lifts
        turns = max(1, round(expected * (self._args.seconds + longer_s) / lifts))
        plan = self._plan(turns * lifts, per_message, rate)
        cpu = self._centre.cpu_s()
        load = await self._send(name, plan)
        first_seq = FIRST_SEQ + self._before // lifts
        self._before += plan.samples
        await self._stored(self._before)
        used = {part: now - cpu[part] for part, now in self._centre.cpu_s().items()}
        times = await self._times(first_seq, fixed=rate > 0)
        seconds = times["last"] - load["began"]
        micro = 1e6 / plan.samples
        self.results.append(
            Result(
                name=name,
                messages=int(load["messages"]),
                samples=plan.samples,
                seconds=round(seconds, 2),
                samples_per_s=round(plan.samples / seconds),
                messages_per_s=round(load["messages"] / seconds),
                load_us=round(load["cpu_s"] * micro, 2),
                broker_us=round(used["broker"] * micro, 2),
                centre_us=round(used["centre"] * micro, 2),
                database_us=round(used["database"] * micro, 2),
                p50_ms=times.get("p50"),
                p95_ms=times.get("p95"),
                p99_ms=times.get("p99"),
                rows_right=await self._rows_right(first_seq + turns),
            )
        )

    def _plan(self, samples: int, per_message: int, rate: float) -> Plan:
        place = urlsplit(self._centre.broker_url)
        return Plan(
            host=place.hostname or "",
            port=place.port or 0,
            user="device",
            password=DEVICE_PASSWORD,
            lifts=self._args.lifts,
            samples=samples,
            per_message=per_message,
            rate=rate,
            connections=self._args.connections,
            before=self._before,
        )

    async def measure_live(self, rate: float) -> dict[str, Any]:
        """From the publish of what decides at once to the change at a WebSocket, beside a load of `rate` messages/s."""
        cpu = self._centre.cpu_s()
        seconds = self._args.seconds
        probing = asyncio.create_task(_probe(self._centre, seconds))
        try:
            await self.measure(f"single, {rate:,.0f}/s, WS", rate=rate, expected=rate, longer_s=WARM_UP_S + 1)
            found = await probing
        finally:
            probing.cancel()
        api_s = self._centre.cpu_s()["api"] - cpu["api"]
        kinds = {name: one for name, one in found.items() if isinstance(one, dict)}
        return {
            "rate": rate,
            "kinds": kinds,
            "lost": sum(one["sent"] - one["seen"] for one in kinds.values()),
            "octets_per_s": round(found["octets"] / (seconds + WARM_UP_S)),
            "api_share_of_a_core": round(api_s / (seconds + WARM_UP_S), 3),
        }

    async def _send(self, name: str, plan: Plan) -> dict[str, float]:
        """Run the load as a process of its own, with a progress bar from what it says on the way."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "monitor.commands._load",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(asdict(plan)).encode())
        child.stdin.close()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}"),
            TimeRemainingColumn(),
        )
        said: dict[str, float] = {}
        with Progress(*columns, console=Console(stderr=True), disable=self._args.json) as progress:
            bar = progress.add_task(name, total=plan.samples)
            async for line in child.stdout:
                said = json.loads(line)
                progress.update(bar, completed=said["acknowledged"] * plan.per_message)
        if await child.wait() or "cpu_s" not in said:
            raise RuntimeError("the load failed")
        return said

    async def _stored(self, wanted: int) -> None:
        """Wait until all rows are there; counting them costs what the centre needs, so only when none seem to come."""
        seen = -1
        async with asyncio.timeout(PATIENCE_S):
            while True:
                (now,) = await self._ask(
                    "SELECT sum(n_tup_ins)::bigint FROM pg_stat_user_tables"
                    " WHERE schemaname = 'tiwei' AND relname LIKE 'reading%'"
                )
                still, seen = now == seen, now
                if still or now >= wanted:
                    (count,) = await self._ask("SELECT count(*) FROM tiwei.reading WHERE seq >= $1", FIRST_SEQ)
                    if count >= wanted:
                        return
                await asyncio.sleep(1.5)

    async def _times(self, first_seq: int, *, fixed: bool) -> dict[str, float]:
        """When the last of these samples was committed (s since 1970), and from due to committed, ms, nearest rank."""
        (last,) = await self._ask(
            "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(x)))::float FROM"
            " (SELECT DISTINCT xmin AS x FROM tiwei.reading WHERE seq >= $1) AS t",
            first_seq,
        )
        if not fixed:
            return {"last": last}
        (found,) = await self._ask(
            "WITH r AS MATERIALIZED (SELECT xmin AS x, ts FROM tiwei.reading WHERE seq >= $1),"
            " c AS MATERIALIZED (SELECT x, extract(epoch FROM pg_xact_commit_timestamp(x)) * 1000 AS at"
            "  FROM (SELECT DISTINCT x FROM r) AS d)"
            " SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY c.at - r.ts)"
            " FROM r JOIN c ON c.x::text = r.x::text WHERE r.ts >= (SELECT min(ts) FROM r) + $2",
            first_seq,
            WARM_UP_MS,
        )
        return {
            "last": last,
            **{name: round(float(one), 1) for name, one in zip(("p50", "p95", "p99"), found, strict=True)},
        }

    async def _rows_right(self, end_seq: int) -> bool:
        """Every sample there once: of each lift all of FIRST_SEQ up to `end_seq`, and nothing else."""
        (right,) = await self._ask(
            "SELECT count(*) FILTER (WHERE (n, d, low, high) = ($1::bigint, $1::bigint, $2::bigint, $3::bigint)) = $4"
            " AND count(*) = $4 FROM (SELECT number, count(*) AS n, count(DISTINCT seq) AS d, min(seq) AS low,"
            " max(seq) AS high FROM tiwei.reading WHERE seq >= $2::bigint GROUP BY number) AS t",
            end_seq - FIRST_SEQ,
            FIRST_SEQ,
            end_seq - 1,
            self._args.lifts,
        )
        return bool(right)

    async def _ask(self, query: str, *args: Any) -> Sequence[Any]:
        import asyncpg

        connection = await asyncpg.connect(self._centre.database_url)
        try:
            return tuple(await connection.fetchrow(query, *args) or ())
        finally:
            await connection.close()


async def _probe(centre: Centre, seconds: float) -> dict[str, Any]:
    place = urlsplit(centre.broker_url)
    plan = ProbePlan(
        host=place.hostname or "",
        port=place.port or 0,
        user="device",
        password=DEVICE_PASSWORD,
        url=f"{centre.api_url.replace('http', 'ws', 1)}/api/v1/live",
        token=centre.token,
        seconds=seconds,
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor.commands._probe", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await child.communicate(json.dumps(asdict(plan)).encode())
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        raise RuntimeError("the probe failed")
    found: dict[str, Any] = json.loads(said)
    return found


def _live_table(live: dict[str, Any]) -> str:
    rows = [
        (
            kind,
            f"{one['sent']:,}",
            f"{one['seen']:,}",
            *(f"{one[f'{name}_ms']:,.0f}" if one["seen"] else "" for name in ("p50", "p95", "p99")),
        )
        for kind, one in live["kinds"].items()
    ]
    title = f"From MQTT publish to the change at a WebSocket, ms, beside {live['rate']:,.0f} messages/s"
    return table(title, ("what", "sent", "seen", "p50", "p95", "p99"), rows)


def _as_table(results: Sequence[Result]) -> str:
    heads = ("what", "msg/s", "samples/s", "p50", "p95", "p99", "load", "broker", "centre", "db", "rows")
    rows = []
    for one in results:
        late = [f"{value:,.0f}" if value is not None else "" for value in (one.p50_ms, one.p95_ms, one.p99_ms)]
        cpu = [f"{value:.1f}" for value in (one.load_us, one.broker_us, one.centre_us, one.database_us)]
        right = "right" if one.rows_right else "WRONG"
        rows.append((one.name, f"{one.messages_per_s:,}", f"{one.samples_per_s:,}", *late, *cpu, right))
    return table("From MQTT (QoS 1) to committed rows; ms from due to commit; CPU in us a sample", heads, rows)
