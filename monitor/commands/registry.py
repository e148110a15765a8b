"""`tiwei registry`: the register of equipment."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from monitor.adapters.access_audit import COMMAND_LINE, Deed, record
from monitor.adapters.registry import Registry
from monitor.commands._database import narrow_table, plain, ready_database, terminal
from monitor.domain.equipment import Equipment
from monitor.domain.errors import SettingsError, UnreadableError
from monitor.log import start_logging
from monitor.messages.registry import read
from monitor.settings import Settings, read_settings

_KINDS = {".json": "json", ".jsonl": "jsonl", ".csv": "csv"}


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("registry", help="the register of equipment: import, list, unregistered")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    importing = actions.add_parser("import", help="take in or replace equipment; all of a file, or nothing of it")
    importing.add_argument("file", type=Path, metavar="FILE", help=".json, .jsonl or .csv")
    importing.set_defaults(run=_import)

    listing = actions.add_parser("list", help="equipment, by number")
    listing.add_argument("--unregistered", action="store_true", help="only what sends and no register knows")
    listing.add_argument("--division", metavar="C", help="administrative division, 6 digits")
    listing.add_argument("--limit", type=int, default=1_000, metavar="N", help="the first N (default %(default)s)")
    listing.add_argument("--json", action="store_true", help="one line of JSON each, fit for `import`")
    listing.set_defaults(run=_list)


def _import(args: argparse.Namespace) -> int:
    kind = _KINDS.get(args.file.suffix.lower())
    if kind is None:
        raise SettingsError(f"a registry is a file of {', '.join(_KINDS)}: {args.file}")
    try:
        equipment = read(args.file.read_bytes(), kind)
    except OSError as error:
        raise SettingsError(f"{args.file}: {error.strerror}") from error
    except UnreadableError as error:
        raise SettingsError(f"{args.file}: nothing was imported: {error.detail}") from error
    settings = read_settings()
    start_logging(settings.log_level, process="registry")
    asyncio.run(_stored(settings, equipment))
    print(f"{len(equipment):,} imported")
    return 0


async def _stored(settings: Settings, equipment: Sequence[Equipment]) -> None:
    deed = Deed(
        at_ms=time.time_ns() // 1_000_000,
        origin=COMMAND_LINE,
        action="registry_import",
        detail={"equipment": len(equipment)},
    )
    async with ready_database(settings, "tiwei registry") as database:
        await Registry(database).import_equipment(equipment, beside=lambda session: record(session, deed))


def _list(args: argparse.Namespace) -> int:
    settings = read_settings()
    start_logging(settings.log_level, process="registry")
    equipment = asyncio.run(_found(settings, args))
    if args.json:
        for one in equipment:
            fields = {name: value for name, value in asdict(one).items() if name not in {"number", "registered"}}
            print(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))
    else:
        terminal().print(_table(equipment))
    return 0


async def _found(settings: Settings, args: argparse.Namespace) -> Sequence[Equipment]:
    async with ready_database(settings, "tiwei registry") as database:
        return await Registry(database).listed(
            max(0, args.limit), division=args.division, unregistered_only=args.unregistered
        )


def _table(equipment: Sequence[Equipment]) -> Table:
    table = narrow_table(
        None,
        f"{len(equipment)} shown",
        *("number", "equipment", "division", "kind", "rescue code", "floors", "firm", "reports"),
    )
    for one in equipment:
        table.add_row(
            str(one.number),
            plain(one.equipment_id, "" if one.registered else "yellow"),
            plain(one.division),
            one.kind.value,
            plain(one.rescue_code or ""),
            "" if one.bottom_floor is None or one.top_floor is None else f"{one.bottom_floor} to {one.top_floor}",
            plain(one.firm_id or ""),
            one.reports.value if one.registered else "unregistered",
        )
    return table
