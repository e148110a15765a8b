"""`tiwei user`: accounts of the console."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from monitor.adapters.access import Access
from monitor.adapters.access_audit import COMMAND_LINE, Deed
from monitor.adapters.access_secrets import new_password
from monitor.commands._database import moment, narrow_table, plain, ready_database, terminal
from monitor.domain.access import Role, Scope
from monitor.domain.errors import RefusedError
from monitor.log import start_logging
from monitor.settings import read_settings


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("user", help="accounts of the console")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    adding = actions.add_parser("add", help="make an account and print its password")
    adding.add_argument("name", metavar="NAME")
    add_right(adding)
    adding.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    adding.set_defaults(run=_add)

    actions.add_parser("list", help="accounts").set_defaults(run=_list)

    password = actions.add_parser("password", help="a new password; unlocks the account and ends its sessions")
    password.add_argument("name", metavar="NAME")
    password.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    password.set_defaults(run=_password)

    disabling = actions.add_parser("disable", help="let nobody sign in with it any more; ends its sessions")
    disabling.add_argument("name", metavar="NAME")
    disabling.set_defaults(run=_disable)


def add_right(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what somebody may do and see."""
    parser.add_argument("--role", required=True, choices=[role.value for role in Role])
    parser.add_argument("--division", metavar="C", help="sees only that division, with all within it (6 digits)")
    parser.add_argument("--firm", metavar="F", help="sees only what that maintenance firm keeps")


def right_of(args: argparse.Namespace) -> tuple[Role, Scope]:
    """What `add_right` read."""
    return Role(args.role), Scope(division=args.division, firm_id=args.firm)


def now_ms() -> int:
    """Now, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def _add(args: argparse.Namespace) -> int:
    role, scope = right_of(args)
    password = _chosen(args)
    detail = {"role": role.value, "division": scope.division, "firm_id": scope.firm_id}

    async def work(access: Access) -> None:
        await access.add(args.name, role, scope, password, _deed("user_add", args.name, **detail))

    _run(work)
    _tell(args, password)
    return 0


def _password(args: argparse.Namespace) -> int:
    password = _chosen(args)
    _run(lambda access: access.set_password(args.name, password, _deed("user_password", args.name)))
    _tell(args, password)
    return 0


def _disable(args: argparse.Namespace) -> int:
    _run(lambda access: access.disable(args.name, _deed("user_disable", args.name)))
    return 0


def _list(_args: argparse.Namespace) -> int:
    found = _run(lambda access: access.listed())
    zone = read_settings().zone
    table = narrow_table(None, f"{len(found)} accounts", "name", "role", "division", "firm", "state")
    for one in found:
        state = "locked" if one.locked_until_ms is not None and one.locked_until_ms > now_ms() else ""
        if one.disabled_ms is not None:
            state = f"disabled {moment(one.disabled_ms, zone)}"
        table.add_row(plain(one.name), one.role.value, one.scope.division or "all", one.scope.firm_id or "all", state)
    terminal().print(table)
    return 0


def _chosen(args: argparse.Namespace) -> str:
    """The password: read from standard input where that was asked for, else made."""
    if not args.password_stdin:
        return new_password()
    read = sys.stdin.readline().rstrip("\r\n")
    if not read:
        raise RefusedError("standard input has no password on its first line")
    return read


def _tell(args: argparse.Namespace, password: str) -> None:
    if not args.password_stdin:
        print(password, flush=True)
        print(f"login: {args.name}; the password is shown this once", file=sys.stderr)


def _deed(action: str, subject: str, **detail: Any) -> Deed:
    return Deed(at_ms=now_ms(), origin=COMMAND_LINE, action=action, subject=subject, detail=detail)


def _run(work: Callable[[Access], Awaitable[Any]]) -> Any:
    settings = read_settings()
    start_logging(settings.log_level, process="user")

    async def run() -> Any:
        async with ready_database(settings, "tiwei user") as database:
            return await work(Access(database))

    return asyncio.run(run())
