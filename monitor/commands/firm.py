"""`tiwei firm`: broker accounts of maintenance firms."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.adapters.accounts import Role
from monitor.commands.account_lines import add_accounts, list_accounts, remove_accounts
from monitor.settings import read_settings


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("firm", help="broker accounts of maintenance firms")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    adding = actions.add_parser("add", help="make an account and print its password")
    adding.add_argument("names", nargs="+", metavar="ID", help="the firm's id, as in its topics")
    adding.add_argument("--replace", action="store_true", help="a new password for an account that exists")
    adding.set_defaults(run=_add)

    actions.add_parser("list", help="accounts, one a line").set_defaults(run=_list)

    removing = actions.add_parser("remove", help="take accounts away; who is connected is thrown out")
    removing.add_argument("names", nargs="+", metavar="ID")
    removing.set_defaults(run=_remove)


def _add(args: argparse.Namespace) -> int:
    add_accounts(read_settings(), args.names, Role.FIRM, replace=args.replace)
    return 0


def _list(_args: argparse.Namespace) -> int:
    list_accounts(read_settings(), (Role.FIRM,))
    return 0


def _remove(args: argparse.Namespace) -> int:
    remove_accounts(read_settings(), args.names, (Role.FIRM,))
    return 0
