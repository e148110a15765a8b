"""`tiwei faults`: what is wrong now, what was, and what comes, for a person at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from monitor.adapters.faults import FaultLine, Faults, FeedLine
from monitor.commands._database import moment, narrow_table, plain, ready_database, terminal
from monitor.domain.fault import FaultKind, FaultState
from monitor.log import start_logging
from monitor.settings import Settings, read_settings

#: Somebody may be shut in, or hurt.
_URGENT = frozenset(
    {
        FaultKind.ENTRAPMENT,
        FaultKind.LOST_CONTACT_OCCUPIED,
        FaultKind.UNINTENDED_CAR_MOVEMENT,
        FaultKind.DOOR_OPEN_WHILE_MOVING,
        FaultKind.CAR_ALARM_BUTTON,
    }
)


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("faults", help="open and past faults, and faults as they come")
    parser.add_argument("--open", action="store_true", help="only what is open")
    parser.add_argument("--follow", action="store_true", help="go on with every change as it is committed")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="the newest N (default %(default)s)")
    parser.add_argument("--division", metavar="C", help="administrative division, 6 digits")
    parser.add_argument("--json", action="store_true", help="one line of JSON each")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print faults."""
    settings = read_settings()
    start_logging(settings.log_level, process="faults")
    asyncio.run(_run(settings, args))
    return 0


async def _run(settings: Settings, args: argparse.Namespace) -> None:
    console = terminal()
    async with ready_database(settings, "tiwei faults") as database:
        faults = Faults(database)
        position = await faults.position()
        lines = await faults.newest(max(0, args.limit), open_only=args.open, division=args.division)
        if args.json:
            for line in reversed(lines):
                _print_json(_fault_json(line))
        else:
            console.print(_table(lines, settings.zone, open_only=args.open))
        if not args.follow:
            return
        async with aclosing(faults.follow(position)) as feed:
            async for change in feed:
                if args.division is not None and change.fault.division != args.division:
                    continue
                if args.json:
                    _print_json(_change_json(change))
                else:
                    console.print(_change(change, settings.zone), soft_wrap=True)


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _fault_json(line: FaultLine) -> dict[str, Any]:
    return {
        "fault_id": str(line.fault_id),
        "equipment_id": line.equipment_id,
        "division": line.division,
        "fault": line.kind,
        "since": line.since_ms,
        "raised": line.raised_ms,
        "cleared": line.cleared_ms,
        "evidence": line.evidence,
    }


def _change_json(change: FeedLine) -> dict[str, Any]:
    """As `tiwei replay` writes it (protocol §8)."""
    fault = change.fault
    cleared = change.state is FaultState.CLEARED
    return {
        "at": change.at_ms,
        "equipment_id": fault.equipment_id,
        "fault": fault.kind,
        "change": change.state.value,
        "since": fault.since_ms,
        "evidence": (fault.clear_evidence if cleared else fault.evidence) or {},
    }


def _style(kind: str) -> str:
    return "bold red" if kind in _URGENT else ""


def _table(lines: Sequence[FaultLine], zone: ZoneInfo, *, open_only: bool) -> Table:
    table = narrow_table(
        "open faults" if open_only else "faults",
        f"{len(lines)} shown, newest first; times in {zone.key}",
        *("raised", "equipment", "division", "fault", "since", "cleared"),
    )
    for line in lines:
        style = _style(line.kind) if line.cleared_ms is None else "dim"
        table.add_row(
            moment(line.raised_ms, zone),
            plain(line.equipment_id),
            plain(line.division),
            plain(line.kind, style),
            moment(line.since_ms, zone),
            "open" if line.cleared_ms is None else moment(line.cleared_ms, zone),
        )
    return table


def _change(change: FeedLine, zone: ZoneInfo) -> Text:
    fault = change.fault
    cleared = change.state is FaultState.CLEARED
    line = Text(f"{moment(change.at_ms, zone)}  ")
    line.append(f"{change.state.value:<8}", style="green" if cleared else "red")
    line.append_text(plain(f"{fault.kind:<26}", "" if cleared else _style(fault.kind)))
    line.append_text(plain(f"{fault.equipment_id}  since {moment(fault.since_ms, zone)}"))
    return line
