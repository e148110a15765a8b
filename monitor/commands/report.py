"""`tiwei report`: the supervision report of a period."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor.adapters.figures import PostgresFigures
from monitor.commands._database import ready_database
from monitor.domain.errors import RefusedError, SettingsError
from monitor.log import start_logging
from monitor.services.report import period, report
from monitor.settings import Settings, read_settings

FORMATS = ("json", "xlsx", "pdf", "html")


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "report",
        help="the supervision report of a period",
        description="Figures of [from, to). A date as --to means the end of that day; dates are the centre's.",
    )
    parser.add_argument("--from", dest="begin", required=True, metavar="D", help="date, or RFC 3339 instant")
    parser.add_argument("--to", dest="end", required=True, metavar="D", help="date (to its end), or RFC 3339 instant")
    parser.add_argument("--division", metavar="C", help="administrative division, 6 digits; without it all")
    parser.add_argument("--format", choices=FORMATS, default="json", help="this version writes json")
    parser.add_argument("--timezone", metavar="ZONE", help="IANA zone of the dates, instead of the centre's")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    if args.format != "json":
        raise RefusedError(f"reports in {args.format} are not made by this version: ask for --format json")
    settings = read_settings(**({"timezone": args.timezone} if args.timezone else {}))
    start_logging(settings.log_level, process="report")
    period(args.begin, args.end, args.division, settings.zone)  # tells a wrong argument before anything is started
    print(json.dumps(asyncio.run(_made(settings, args)), ensure_ascii=False, indent=1))
    return 0


async def _made(settings: Settings, args: argparse.Namespace) -> dict[str, Any]:
    async with ready_database(settings, "tiwei report") as database:
        figures = PostgresFigures(database)
        zone = _zone(settings, await figures.timezone())
        return await report(figures, period(args.begin, args.end, args.division, zone))


def _zone(settings: Settings, stored: str | None) -> ZoneInfo:
    """What was asked for, else what the stored data came with, else the default."""
    if stored is None or "timezone" in settings.model_fields_set:
        return settings.zone
    try:
        return ZoneInfo(stored)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsError(f"the stored time zone {stored!r} is not known on this machine") from error
