"""`tiwei device`: broker accounts of devices, gateways and call systems."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from monitor.adapters.accounts import FILE, Accounts, Role, bcrypt_hash, mosquitto_files
from monitor.adapters.embedded.folder import DataFolder, write_private
from monitor.adapters.embedded.nats_conf import nats_users
from monitor.commands.account_lines import add_accounts, list_accounts, read_names, remove_accounts
from monitor.domain.errors import RefusedError, SettingsError
from monitor.settings import read_settings

_ROLES = (Role.DEVICE, Role.GATEWAY, Role.CALLS)


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("device", help="broker accounts of devices, gateways and call systems")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    adding = actions.add_parser("add", help="make an account and print its password")
    adding.add_argument("names", nargs="+", metavar="ID", help="the equipment's id; a gateway's or call system's name")
    what = adding.add_mutually_exclusive_group()
    what.add_argument("--gateway", action="store_true", help="publishes under @ID and for its list of equipment")
    what.add_argument("--calls", action="store_true", help="a call system: publishes calls")
    adding.add_argument("--equipment", default="", metavar="ID,ID", help="the gateway's equipment")
    adding.add_argument("--file", type=Path, help="file with the gateway's equipment")
    adding.add_argument("--replace", action="store_true", help="a new password (and list) for an account that exists")
    adding.set_defaults(run=_add)

    actions.add_parser("list", help="accounts, one a line").set_defaults(run=_list)

    removing = actions.add_parser("remove", help="take accounts away; who is connected is thrown out")
    removing.add_argument("names", nargs="+", metavar="ID")
    removing.set_defaults(run=_remove)

    exporting = actions.add_parser("export", help="write the accounts for a broker of your own")
    exporting.add_argument("--format", choices=["mosquitto", "nats"], default="mosquitto")
    exporting.add_argument("--out", type=Path, required=True, help="folder for `passwords` and `acl`, or `users.conf`")
    exporting.add_argument(
        "--centre-password-file", type=Path, help="password of the login `centre`, on its first line"
    )
    exporting.set_defaults(run=_export)


def _add(args: argparse.Namespace) -> int:
    equipment = [one for one in args.equipment.split(",") if one]
    if args.file is not None:
        equipment += read_names(args.file)
    if equipment and not args.gateway:
        raise SettingsError("--equipment and --file are the list of a --gateway")
    role = Role.GATEWAY if args.gateway else Role.CALLS if args.calls else Role.DEVICE
    add_accounts(read_settings(), args.names, role, equipment=equipment, replace=args.replace)
    return 0


def _list(_args: argparse.Namespace) -> int:
    list_accounts(read_settings(), _ROLES)
    return 0


def _remove(args: argparse.Namespace) -> int:
    remove_accounts(read_settings(), args.names, _ROLES)
    return 0


def _export(args: argparse.Namespace) -> int:
    accounts = Accounts(DataFolder(read_settings().data_dir).path / FILE).read().values()
    centre = _first_line(args.centre_password_file) if args.centre_password_file else None
    if args.format == "nats":
        files = {"users.conf": nats_users(accounts, bcrypt_hash(centre) if centre else None)}
    else:
        passwords, rules = mosquitto_files(accounts, centre)
        files = {"passwords": passwords, "acl": rules}
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_private(args.out / name, text)
    except OSError as error:
        raise RefusedError(f"{args.out}: {error.strerror}") from error
    print("written: " + ", ".join(str(args.out / name) for name in files))
    return 0


def _first_line(file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error
    if not lines or not lines[0].strip():
        raise SettingsError(f"{file} has no password on its first line")
    return lines[0].strip()
