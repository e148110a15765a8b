"""`tiwei simulate`: a town of lifts that is not there, over MQTT against any broker or as JSONL (protocol §8)."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.domain.errors import RefusedError, SettingsError

if TYPE_CHECKING:
    from simulators.live import Devices, Gateways
    from simulators.mqtt import Broker
    from simulators.scenario import Scenario

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("simulate", help="a simulated town, over MQTT or as JSONL")
    town = parser.add_argument_group("the town")
    town.add_argument("--scenario", default="demo", help="name or TOML file (default: demo)")
    town.add_argument("--lifts", type=int, metavar="N", help="number of lifts")
    town.add_argument("--seed", type=int, metavar="S", help="same seed and settings, same bytes")
    town.add_argument("--duration", type=_seconds, metavar="TIME", help="e.g. 90, 45m, 24h (over MQTT: until stopped)")
    town.add_argument("--start", type=_instant, metavar="TIME", help="RFC 3339 instant or ms since 1970 (with --out)")
    town.add_argument("--speed", type=float, default=1.0, metavar="X", help="over MQTT: the town's time against ours")
    where = parser.add_argument_group("where it goes")
    where.add_argument("--out", type=Path, metavar="FILE", help="JSONL, compressed if it ends in .gz")
    where.add_argument("--truth", type=Path, metavar="FILE", help="what really happened, one line of JSON a case")
    where.add_argument("--registry", type=Path, metavar="FILE", help="write the register as JSON (alone: and end)")
    where.add_argument("--mqtt", metavar="URL", help="mqtt[s]://[user:password@]host[:port]")
    where.add_argument("--user", help="login at the broker")
    where.add_argument("--password-env", metavar="NAME", help="environment variable that holds the password")
    where.add_argument("--ca-file", metavar="FILE", help="PEM of who signs the broker's certificate")
    where.add_argument("--gateways", type=int, default=0, metavar="K", help="through K gateways, not one device each")
    where.add_argument("--own-topics", action="store_true", help="gateways use the equipment's own topics, no arrays")
    load = parser.add_argument_group("throughput")
    load.add_argument("--load", action="store_true", help="samples alone, as the scenario's [load] says")
    load.add_argument("--period", type=float, metavar="S", help="seconds between samples of a lift; 0: all it takes")
    load.add_argument("--connections", type=int, metavar="N")
    load.add_argument("--batch", type=int, metavar="N", help="samples in one message, as a gateway sends them")
    load.add_argument("--in-flight", type=int, metavar="N", help="unacknowledged messages of one connection")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the town; the exit status is 0 when it lived to its end or was stopped by SIGTERM or SIGINT."""
    from simulators.scenario import ScenarioError, load

    try:
        name = "load" if args.load and args.scenario == "demo" else args.scenario
        scenario = load(name, lifts=args.lifts, seed=args.seed)
    except ScenarioError as error:
        raise SettingsError(str(error)) from error
    _check(args, scenario)
    if args.load:
        return asyncio.run(_load(args, scenario))
    if args.registry is not None:
        _write_registry(args.registry, scenario)
    if args.out is not None:
        return _to_file(args, scenario)
    return asyncio.run(_to_broker(args, scenario)) if args.mqtt else 0


def _check(args: argparse.Namespace, scenario: Scenario) -> None:
    """Refuse what makes no sense together."""
    if args.out is not None and args.mqtt is not None:
        raise SettingsError("either --out or --mqtt")
    if args.out is None and args.mqtt is None and args.registry is None:
        raise SettingsError("say where it goes: --out FILE, --mqtt URL or --registry FILE")
    if args.load and args.mqtt is None and args.registry is None:
        raise SettingsError("--load needs --mqtt URL")
    if scenario.lifts < 1 or args.speed <= 0:
        raise SettingsError("a town has at least one lift, and its time goes forward")
    if args.password_env and args.password_env not in os.environ:
        raise SettingsError(f"the environment has no {args.password_env}")


def _write_registry(path: Path, scenario: Scenario) -> None:
    from simulators.fleet import make_town

    town = make_town(seed=scenario.seed, lifts=scenario.lifts, traffic=scenario.traffic, plants=scenario.plants)
    path.write_text(json.dumps({"registry": town.registry()}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _to_file(args: argparse.Namespace, scenario: Scenario) -> int:
    from simulators.output import write_stream, write_truth
    from simulators.scenario import FILE_START_MS
    from simulators.world import World

    start = FILE_START_MS if args.start is None else args.start
    until = start + round((args.duration or scenario.duration_s) * 1000)
    world = World(scenario, start_ms=start)
    try:
        records = write_stream(world, args.out, until_ms=until)
        cases = write_truth(world, args.truth, until_ms=until) if args.truth is not None else None
    except OSError as error:
        raise RefusedError(f"{error.filename or args.out}: {error.strerror}") from error
    _tell({"scenario": scenario.name, "lifts": scenario.lifts, "records": records, "cases": cases})
    return 0


def _broker(args: argparse.Namespace) -> Broker:
    from simulators.mqtt import Broker

    password = os.environ[args.password_env] if args.password_env else None
    try:
        return Broker.at(args.mqtt, user=args.user, password=password, ca_file=args.ca_file)
    except (ValueError, OSError) as error:
        raise SettingsError(f"--mqtt: {error}") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _senders(args: argparse.Namespace, scenario: Scenario) -> Devices | Gateways:
    from simulators.fleet import make_town
    from simulators.live import Devices, Gateways

    broker = _broker(args)
    if args.gateways:
        return Gateways(broker, count=args.gateways, batched=not args.own_topics)
    town = make_town(seed=scenario.seed, lifts=scenario.lifts, traffic=scenario.traffic, plants=scenario.plants)
    return Devices(town, broker, now_ms=_now_ms())


async def _to_broker(args: argparse.Namespace, scenario: Scenario) -> int:
    from simulators.live import live
    from simulators.mqtt import RefusedConnectionError
    from simulators.truth import TruthLog
    from simulators.world import World

    with args.truth.open("w", encoding="utf-8") if args.truth else nullcontext() as file:
        truth = TruthLog(slack_ms=scenario.slack_ms, told=lambda line: print(line, file=file, flush=True))
        if file is None:
            truth = TruthLog(slack_ms=scenario.slack_ms)
        try:
            counts = await live(
                _senders(args, scenario),
                lambda start_ms: World(scenario, start_ms=start_ms, truth=truth),
                clock=_now_ms,
                duration_s=args.duration,
                speed=args.speed,
                stop=_stop_on_signals(),
                on_ready=lambda: _tell({"ready": "town", "lifts": scenario.lifts, "scenario": scenario.name}),
                on_trouble=_complain,
            )
        except* RefusedConnectionError as group:
            raise RefusedError(f"the broker refused us: {group.exceptions[0]}") from group
    _tell(asdict(counts))
    return 0


def _tell(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


async def _load(args: argparse.Namespace, scenario: Scenario) -> int:
    from simulators.load import registry, run_load
    from simulators.mqtt import RefusedConnectionError

    given = {
        "lifts": args.lifts,
        "period_s": args.period,
        "connections": args.connections,
        "batch": args.batch,
        "in_flight": args.in_flight,
    }
    load = replace(scenario.load, **{name: value for name, value in given.items() if value is not None})
    if args.registry is not None:
        text = json.dumps({"registry": registry(load.lifts)}, ensure_ascii=False)
        args.registry.write_text(text + "\n", encoding="utf-8")
    if args.mqtt is None:
        return 0

    def progress(sent: int, acked: int) -> None:
        if sys.stderr.isatty():
            print(f"\rsent {sent}, acknowledged {acked}", end="", file=sys.stderr, flush=True)

    try:
        result = await run_load(
            load,
            _broker(args),
            duration_s=args.duration or scenario.duration_s,
            clock=_now_ms,
            stop=_stop_on_signals(),
            on_progress=progress,
            on_trouble=_complain,
        )
    except RefusedConnectionError as error:
        raise RefusedError(f"the broker refused us: {error}") from error
    _tell({**asdict(result), "per_second": round(result.per_second, 1)})
    return 0 if result.acked == result.sent else 1


def _complain(text: str) -> None:
    print(f"tiwei simulate: {text}", file=sys.stderr, flush=True)


def _seconds(text: str) -> float:
    """`90`, `90s`, `45m`, `24h`, `2d`."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: 90, 45m, 24h, 2d")
    return float(match[1]) * _UNITS[match[2]]


def _instant(text: str) -> int:
    """Milliseconds since 1970, or an RFC 3339 instant."""
    if text.isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no instant") from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)
