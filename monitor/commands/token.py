"""`tiwei token`: bearer tokens of programs that ask the API."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from monitor.adapters.access_audit import COMMAND_LINE, Deed
from monitor.adapters.access_secrets import digest, new_secret
from monitor.adapters.access_tokens import TokenLine, Tokens
from monitor.commands._database import moment, narrow_table, plain, ready_database, terminal
from monitor.commands.user import add_right, now_ms, right_of
from monitor.log import start_logging
from monitor.settings import read_settings

_DAY_MS = 86_400_000


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("token", help="bearer tokens of programs that ask the API")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    creating = actions.add_parser("create", help="make a token and print it")
    add_right(creating)
    creating.add_argument("--days", type=_days, metavar="N", help="good for N days; without it until it is revoked")
    creating.add_argument("--label", default="", metavar="T", help="what it is for")
    creating.set_defaults(run=_create)

    actions.add_parser("list", help="tokens (not the secrets: nobody has those)").set_defaults(run=_list)

    revoking = actions.add_parser("revoke", help="let a token be good for nothing any more")
    revoking.add_argument("token_id", type=_number, metavar="ID")
    revoking.set_defaults(run=_revoke)


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3_660:
        raise argparse.ArgumentTypeError("1 to 3660 days")
    return days


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number < 2**31:
        raise argparse.ArgumentTypeError("a token's number, as `list` shows it")
    return number


def _create(args: argparse.Namespace) -> int:
    role, scope = right_of(args)
    secret = new_secret()
    now = now_ms()
    detail = {"role": role.value, "division": scope.division, "firm_id": scope.firm_id, "days": args.days}
    deed = Deed(at_ms=now, origin=COMMAND_LINE, action="token_create", detail=detail)
    expires_ms = None if args.days is None else now + args.days * _DAY_MS
    token_id = _run(
        lambda tokens: tokens.create(digest(secret), args.label, role, scope, expires_ms=expires_ms, deed=deed)
    )
    print(secret, flush=True)
    print(f"token {token_id}; it is shown this once", file=sys.stderr)
    return 0


def _revoke(args: argparse.Namespace) -> int:
    deed = Deed(at_ms=now_ms(), origin=COMMAND_LINE, action="token_revoke", subject=str(args.token_id))
    _run(lambda tokens: tokens.revoke(args.token_id, deed))
    return 0


def _list(_args: argparse.Namespace) -> int:
    found: list[TokenLine] = _run(lambda tokens: tokens.listed())
    zone = read_settings().zone
    table = narrow_table(
        None, f"{len(found)} tokens", "id", "label", "role", "division", "firm", "created", "expires", "revoked"
    )
    for one in found:
        table.add_row(
            str(one.token_id),
            plain(one.label),
            one.role.value,
            one.scope.division or "all",
            one.scope.firm_id or "all",
            moment(one.created_ms, zone),
            "" if one.expires_ms is None else moment(one.expires_ms, zone),
            "" if one.revoked_ms is None else moment(one.revoked_ms, zone),
        )
    terminal().print(table)
    return 0


def _run(work: Callable[[Tokens], Awaitable[Any]]) -> Any:
    settings = read_settings()
    start_logging(settings.log_level, process="token")

    async def run() -> Any:
        async with ready_database(settings, "tiwei token") as database:
            return await work(Tokens(database))

    return asyncio.run(run())
