"""`tiwei quarantine`: messages that could not be read, for a person at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table

from monitor.adapters.quarantine import Quarantine, SetAside
from monitor.commands._database import moment, narrow_table, plain, ready_database, terminal
from monitor.domain.errors import RefusedError
from monitor.log import start_logging
from monitor.settings import Settings, read_settings

#: Of a payload, so much is shown in a list.
_SHOWN = 60


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("quarantine", help="messages that could not be read: list, show, submit again")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="the newest, and how many there ever were by reason")
    listing.add_argument("--reason", metavar="R", help="only those set aside for this reason")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="the newest N (default %(default)s)")
    listing.set_defaults(run=_command(_list))

    showing = actions.add_parser("show", help="one message whole")
    showing.add_argument("id", type=int, metavar="ID")
    showing.add_argument("--raw", action="store_true", help="the payload's bytes as they came, and nothing else")
    showing.set_defaults(run=_command(_show))

    again = actions.add_parser("resubmit", help="have the monitor judge messages again, as received now")
    again.add_argument("ids", nargs="+", type=int, metavar="ID")
    again.set_defaults(run=_command(_resubmit))

    away = actions.add_parser("discard", help="throw messages away for good")
    away.add_argument("ids", nargs="+", type=int, metavar="ID")
    away.set_defaults(run=_command(_discard))


_Action = Callable[[Quarantine, argparse.Namespace, Settings], Awaitable[None]]


def _command(action: _Action) -> Callable[[argparse.Namespace], int]:
    async def connected(settings: Settings, args: argparse.Namespace) -> None:
        async with ready_database(settings, "tiwei quarantine") as database:
            await action(Quarantine(database), args, settings)

    def run(args: argparse.Namespace) -> int:
        settings = read_settings()
        start_logging(settings.log_level, process="quarantine")
        asyncio.run(connected(settings, args))
        return 0

    return run


async def _list(quarantine: Quarantine, args: argparse.Namespace, settings: Settings) -> None:
    console = terminal()
    console.print(_table(await quarantine.newest(max(0, args.limit), args.reason), settings.zone))
    counts = narrow_table("ever set aside", "by reason", "reason", "messages")
    for reason, messages in (await quarantine.counts()).items():
        counts.add_row(plain(reason), f"{messages:,}")
    console.print(counts)


def _table(messages: Sequence[SetAside], zone: ZoneInfo) -> Table:
    table = narrow_table(
        "quarantine",
        f"{len(messages)} shown, newest first",
        *("id", "received", "reason", "topic", "detail", "bytes", "payload", "state"),
    )
    for one in messages:
        table.add_row(
            str(one.quarantine_id),
            moment(one.received_ms, zone),
            plain(one.reason),
            plain(one.topic),
            plain(one.detail),
            f"{one.size:,}",
            plain(one.payload[:_SHOWN].decode("utf-8", "replace")),
            _state(one),
        )
    return table


def _state(one: SetAside) -> str:
    if one.resubmitted_at is not None:
        return "judged again"
    if one.requested_at is not None:
        return "asked for"
    return "cut" if one.kept < one.size else ""


async def _show(quarantine: Quarantine, args: argparse.Namespace, settings: Settings) -> None:
    found = await quarantine.fetch([args.id])
    if not found:
        raise RefusedError(f"no message {args.id} in quarantine")
    (one,) = found
    if args.raw:
        sys.stdout.buffer.write(one.payload)
        return
    console = terminal()
    for name, text in (
        ("id", str(one.quarantine_id)),
        ("received", moment(one.received_ms, settings.zone)),
        ("topic", one.topic),
        ("reason", one.reason),
        ("detail", one.detail),
        ("size", f"{one.size:,} bytes" + (f", {one.kept:,} kept" if one.kept < one.size else "")),
        ("state", _state(one) or "set aside"),
    ):
        console.print(plain(f"{name:<9} {text}"), soft_wrap=True)
    console.print(plain(one.payload.decode("utf-8", "replace")), soft_wrap=True)


async def _resubmit(quarantine: Quarantine, args: argparse.Namespace, _settings: Settings) -> None:
    taken = await quarantine.request(args.ids, time.time_ns() // 1_000_000)
    _told("asked for; a monitor at work judges them within seconds", "gone or cut", args.ids, taken)


async def _discard(quarantine: Quarantine, args: argparse.Namespace, _settings: Settings) -> None:
    _told("thrown away", "not there", args.ids, await quarantine.discard(args.ids))


def _told(done: str, why_not: str, asked: Sequence[int], taken: Sequence[int]) -> None:
    """Say what was done; raises RefusedError where something was not."""
    if taken:
        print(f"{', '.join(map(str, taken))}: {done}")
    left = sorted(set(asked) - set(taken))
    if left:
        raise RefusedError(f"{', '.join(map(str, left))}: {why_not}")
