"""Logins of the broker: who may publish and read what. Denied unless allowed (protocol §1, "sent by").

A device publishes under its own equipment, a gateway under its name and for its list, a firm under its name, a call
system calls; the centre reads them all. One private file holds the accounts; the embedded broker takes it over as soon
as it changes, other brokers by `mosquitto_files`.

What no broker sees is inside a gateway's batch: `GatewayLists` tells the centre whom a gateway may speak for.

Passwords are made here, 144 random bits, and only their hashes are kept. The hashes are fast ones on purpose: against
that many bits a slow hash adds nothing, and 100,000 devices that come back after a power cut must not wait for it.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import bcrypt

from monitor.adapters.embedded.folder import write_private
from monitor.domain.errors import RefusedError

#: Login of the centre; no account can have it, `@` is not in their alphabet.
CENTRE = "@centre"
#: Login that TIWEI_MQTT_DEVICE_PASSWORD allows.
EVERYBODY = "device"
#: Login of the centre at brokers that Tiwei does not run; no account can have it.
CENTRE_ELSEWHERE = "centre"
FILE = "accounts.json"
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_BCRYPT_ROUNDS = 4
_PBKDF2_ROUNDS = 101  # what mosquitto_passwd itself writes
_BCRYPT_LIMIT = 72


class Role(StrEnum):
    """What an account is."""

    DEVICE = "device"
    GATEWAY = "gateway"
    CALLS = "calls"
    FIRM = "firm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """MQTT topic filters that a login may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One login; `equipment` is a gateway's list. Both hashes are of the same password."""

    name: str
    role: Role
    bcrypt: str
    pbkdf2: str
    equipment: tuple[str, ...] = ()

    @property
    def rights(self) -> Rights:
        """What this login may do, and nothing else."""
        if self.role is Role.FIRM:
            return Rights(publish=(f"firms/v1/{self.name}/actions",), subscribe=(f"firms/v1/{self.name}/notices",))
        if self.role is Role.CALLS:
            return Rights(publish=("calls/v1/+/+",), subscribe=())
        own = (self.name,) if self.role is Role.DEVICE else self.equipment
        publish = [f"se/v1/+/+/{one}/{channel}" for one in own for channel in ("status", "event", "link", "ride")]
        if self.role is Role.GATEWAY:
            publish += [f"se/v1/+/+/@{self.name}/{channel}" for channel in ("status", "event")]
        return Rights(publish=tuple(publish), subscribe=tuple(f"se/v1/+/+/{one}/command" for one in own))


#: What devices, gateways, call systems and firms may do, all together.
RIGHTS_OF_EVERYBODY = Rights(
    publish=(
        *(f"se/v1/+/+/+/{channel}" for channel in ("status", "event", "link", "ride")),
        "calls/v1/+/+",
        "firms/v1/+/actions",
    ),
    subscribe=("se/v1/+/+/+/command", "firms/v1/+/notices"),
)
#: What the centre may do: exactly the other side.
RIGHTS_OF_CENTRE = Rights(publish=RIGHTS_OF_EVERYBODY.subscribe, subscribe=RIGHTS_OF_EVERYBODY.publish)


class Accounts:
    """The accounts in one file; every change is written at once, under a lock, in one step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Account]:
        """All accounts by name, sorted.

        Raises:
            RefusedError: the file cannot be read, or a newer Tiwei wrote it.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RefusedError(f"{self.path}: {error.strerror}") from error
        try:
            content = json.loads(text)
            if content["format"] > _FORMAT:
                raise RefusedError(f"{self.path} was written by a newer Tiwei: update Tiwei")
            return {one["name"]: _account(one) for one in content["accounts"]}
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{self.path} is damaged ({error}); restore it from a copy") from error

    def add(self, name: str, role: Role, *, equipment: Collection[str] = (), replace: bool = False) -> str:
        """Make an account and return its password, which is kept nowhere.

        Raises:
            RefusedError: the name is taken (and not `replace`), reserved or malformed; the list does not fit the role.
        """
        if name in (EVERYBODY, CENTRE_ELSEWHERE) or _NAME.fullmatch(name) is None:
            raise RefusedError(f"{name!r} cannot be a login: 1 to 32 of A-Z a-z 0-9 - _, none of the centre's own")
        wrong = next((one for one in equipment if _NAME.fullmatch(one) is None), None)
        if wrong is not None:
            raise RefusedError(f"{wrong!r} is no equipment id: 1 to 32 of A-Z a-z 0-9 - _")
        if bool(equipment) != (role is Role.GATEWAY):
            raise RefusedError("a gateway has a list of equipment, and nobody else has one")
        password = secrets.token_urlsafe(18)
        account = Account(
            name=name,
            role=role,
            bcrypt=bcrypt_hash(password),
            pbkdf2=pbkdf2_hash(password),
            equipment=tuple(sorted(set(equipment))),
        )
        with self._changing() as accounts:
            if name in accounts and not replace:
                raise RefusedError(f"{name} has an account as {accounts[name].role}: remove it first, or --replace it")
            accounts[name] = account
        return password

    def remove(self, name: str, roles: Collection[Role]) -> None:
        """Take an account away; who is connected with it is thrown out.

        Raises:
            RefusedError: there is no such account in one of `roles`.
        """
        with self._changing() as accounts:
            if name not in accounts or accounts[name].role not in roles:
                raise RefusedError(f"{name} has no account as {' or '.join(roles)}")
            del accounts[name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Account]]:
        handle = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            accounts = self.read()
            yield accounts
            rows = [asdict(accounts[name]) for name in sorted(accounts)]
            write_private(self.path, json.dumps({"format": _FORMAT, "accounts": rows}, indent=1) + "\n")
        finally:
            os.close(handle)


class GatewayLists:
    """Whom each gateway may speak for; read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._accounts = Accounts(path)
        self._seen: tuple[int, int] | None = None
        self._lists: Mapping[str, frozenset[str]] = {}

    def current(self) -> Mapping[str, frozenset[str]]:
        """Equipment by gateway. Who is not in it has no list: the broker let it in by another login.

        Cheap when nothing changed (one stat). Raises RefusedError when the file cannot be read.
        """
        seen = stamp(self._accounts.path)
        if seen != self._seen:
            accounts = self._accounts.read().values()
            self._lists = {one.name: frozenset(one.equipment) for one in accounts if one.role is Role.GATEWAY}
            self._seen = seen
        return self._lists


def stamp(path: Path) -> tuple[int, int] | None:
    """What changes whenever a file is replaced; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def bcrypt_hash(password: str) -> str:
    """The hash that NATS takes.

    Raises:
        RefusedError: the password is longer than bcrypt reads.
    """
    if len(password.encode()) > _BCRYPT_LIMIT:
        raise RefusedError(f"a broker password may have {_BCRYPT_LIMIT} bytes at most")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS, prefix=b"2a")).decode()


def mosquitto_files(accounts: Collection[Account], centre_password: str | None) -> tuple[str, str]:
    """Password file and access list of a Mosquitto (2.0 or later) with the same accounts.

    The centre's login there is `centre`; without its password the access list names it all the same.
    """
    passwords = "".join(f"{one.name}:{one.pbkdf2}\n" for one in accounts)
    if centre_password is not None:
        passwords = f"{CENTRE_ELSEWHERE}:{pbkdf2_hash(centre_password)}\n{passwords}"
    rules = [_mosquitto_rules(CENTRE_ELSEWHERE, RIGHTS_OF_CENTRE)]
    rules += [_mosquitto_rules(one.name, one.rights) for one in accounts]
    return passwords, "\n".join(rules)


def _mosquitto_rules(user: str, rights: Rights) -> str:
    lines = [f"user {user}"]
    lines += [f"topic write {one}" for one in rights.publish]
    lines += [f"topic read {one}" for one in rights.subscribe]
    return "\n".join(lines) + "\n"


def _account(row: Mapping[str, Any]) -> Account:
    return Account(
        name=row["name"],
        role=Role(row["role"]),
        bcrypt=row["bcrypt"],
        pbkdf2=row["pbkdf2"],
        equipment=tuple(row["equipment"]),
    )


def pbkdf2_hash(password: str) -> str:
    """The hash that Mosquitto takes."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ROUNDS)
    return f"$7${_PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
