"""`tiwei bench engine`: decode and rules without broker and database; the tick; memory (all on this machine)."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from monitor.commands._table import table
from monitor.detectors.engine import Engine
from monitor.detectors.fleet import BYTES_PER_ROW
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.register import Register
from monitor.messages.decode import Decoder, Inbound

START_MS = 1_750_000_000_000
PERIOD_MS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `bench engine`."""
    parser.add_argument("--lifts", type=int, nargs="+", default=[100_000, 1_000_000], help="fleet sizes")
    parser.add_argument("--batch", type=int, default=2000, help="messages judged together")
    parser.add_argument("--samples", type=int, default=400_000, help="samples timed for each fleet")
    parser.add_argument("--json", action="store_true", help="figures as JSON only")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    results = [_measure(lifts, args.batch, args.samples) for lifts in args.lifts]
    if args.json:
        print(json.dumps({"machine": machine(), "results": results}))
        return 0
    rows = [
        [f"{one[key]:,.2f}" if isinstance(one[key], float) else f"{one[key]:,}" for key in _COLUMNS] for one in results
    ]
    print(
        table(f"Batches of {args.batch}: us a sample, medians; ms a tick; bytes a lift", list(_COLUMNS.values()), rows)
    )
    print(json.dumps({"machine": machine(), "results": results}))
    return 0


_COLUMNS = {
    "lifts": "lifts",
    "decode_us": "decode",
    "rules_us": "rules",
    "both_us": "both",
    "both_p95_us": "p95",
    "tick_ms": "tick",
    "state_bytes_a_lift": "state",
    "all_bytes_a_lift": "all",
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    return {"cores": os.cpu_count(), "cpu": model, "kernel": platform.release(), "python": platform.python_version()}


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _measure(lifts: int, batch: int, samples: int) -> dict[str, Any]:
    before = _resident()
    fleet = [_lift(number) for number in range(1, lifts + 1)]
    decoder, engine = Decoder(Register(fleet)), Engine(fleet)
    batches = samples // batch
    sequence = np.zeros(lifts + 1, np.int64)
    warm_up = 2 * -(-lifts // batch)
    decode_s, rules_s = [], []
    now = START_MS
    # Every lift is heard twice before anything is timed: first samples wait for earlier ones.
    for place in _progress(warm_up + batches, f"{lifts:,} lifts"):
        now = START_MS + place * batch * PERIOD_MS // lifts
        messages = _messages(fleet, sequence, place * batch, batch, now)
        started = time.perf_counter()
        decoded = decoder.decode(messages)
        read = time.perf_counter()
        engine.process(decoded, now)
        judged = time.perf_counter()
        if place >= warm_up:
            decode_s.append(read - started)
            rules_s.append(judged - read)
    ticks = []
    for step in range(20):
        started = time.perf_counter()
        engine.tick(now + step)
        ticks.append(time.perf_counter() - started)
    gc.collect()
    both = np.add(decode_s, rules_s) / batch * 1e6
    return {
        "lifts": lifts,
        "batch": batch,
        "samples": batches * batch,
        "decode_us": float(np.median(decode_s) / batch * 1e6),
        "rules_us": float(np.median(rules_s) / batch * 1e6),
        "both_us": float(np.median(both)),
        "both_p95_us": float(np.percentile(both, 95)),
        "tick_ms": float(np.median(ticks) * 1e3),
        "state_bytes_a_lift": BYTES_PER_ROW,
        "all_bytes_a_lift": (_resident() - before) // lifts,
    }


def _resident() -> int:
    """Resident memory of this process, bytes: state, registry, names and topics, and what the bench itself holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _progress(steps: int, what: str) -> Any:
    from rich.console import Console
    from rich.progress import track

    return track(range(steps), what, console=Console(stderr=True))


def _lift(number: int) -> Equipment:
    return Equipment(
        number=number,
        equipment_id=f"L{number:07}",
        division="330199",
        kind=EquipmentKind.LIFT,
        bottom_floor=1,
        top_floor=18,
        rated_speed_mps=1.75,
    )


def _messages(fleet: list[Equipment], sequence: Any, first: int, count: int, now: int) -> list[Inbound]:
    """The next samples of `count` lifts: each runs, opens its door and stands in turn; one run in five carries people.

    The door of one lift in 97 does not open: so some faults are raised and cleared all the time.
    """
    messages = []
    for place in range(first, first + count):
        one = fleet[place % len(fleet)]
        sequence[one.number] += 1
        seq = int(sequence[one.number])
        run, phase = divmod(one.number + seq, 3)
        moving, floor = int(phase == 0), 1 + run % 18
        closed = int(phase != 1 or one.number % 97 == 0)
        aboard = int((run + (phase == 2)) * 7 % 5 == 0)
        payload = (
            f'{{"ts":{now - 80},"seq":{seq},"service_mode":1,"car_status":{moving},"car_direction":{moving},'
            f'"door_zone":{1 - moving},"car_position":{floor},"door_closed":{closed},'
            f'"passenger":{aboard},"speed_mps":{1.5 * moving},"position_m":{3.0 * floor - 1.5 * moving},'
            f'"power":1,"run_count":{12000 + run}}}'
        )
        messages.append(Inbound(f"se/v1/330199/lift/{one.equipment_id}/status", payload.encode(), now))
    return messages
