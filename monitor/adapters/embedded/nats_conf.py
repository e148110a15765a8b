"""The configuration of the embedded broker as text."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.adapters.accounts import (
    CENTRE,
    CENTRE_ELSEWHERE,
    EVERYBODY,
    RIGHTS_OF_CENTRE,
    RIGHTS_OF_EVERYBODY,
    Account,
    Rights,
)

#: Unacknowledged messages of one subscription. NATS refuses a SUBSCRIBE once a session's subscriptions together may
#: have more than 65,535 of them, and the centre has at most four in a session.
MAX_ACK_PENDING = 16_383
#: Above it NATS closes the connection; protocol §1 wants everything over 1 MiB set aside, not cut off.
MAX_PAYLOAD = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files of the broker's side; with `client_ca` every client has to show a certificate."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """What may be chosen about the embedded broker. `port` None: last time's, else the usual one, else a free one."""

    host: str = "127.0.0.1"
    port: int | None = 0
    tls: Tls | None = None
    device_password: str | None = None
    ack_wait_s: float = 5.0
    store_gib: float = 20.0


def render(
    options: BrokerOptions,
    *,
    home: Path,
    port: int,
    accounts: Collection[Account],
    centre_hash: str | None,
    device_hash: str | None,
) -> str:
    """NATS reads JSON. `home` is the broker's folder, the hashes are bcrypt; without a hash there is no such login."""
    fixed = ((CENTRE, centre_hash, RIGHTS_OF_CENTRE), (EVERYBODY, device_hash, RIGHTS_OF_EVERYBODY))
    users = [_user(name, password_hash, rights) for name, password_hash, rights in fixed if password_hash]
    users += [_user(one.name, one.bcrypt, one.rights) for one in accounts]
    conf = {
        "server_name": "tiwei",
        # The NATS protocol itself is not used: a free port on loopback, and no login may use it.
        "host": "127.0.0.1",
        "port": -1,
        "max_payload": MAX_PAYLOAD,
        "max_connections": 250_000,
        # A centre that stops reading while its database is away is no slow consumer to be thrown out.
        "max_pending": 512 * 2**20,
        "write_deadline": "60s",
        "pid_file": str(home / "pid"),
        "log_file": str(home / "log"),
        "logfile_size_limit": 16 * 2**20,
        "logfile_max_num": 3,
        "logtime_utc": True,
        "jetstream": {
            "store_dir": str(home),
            "sync_interval": "1s",
            "max_memory_store": 256 * 2**20,
            "max_file_store": int(options.store_gib * 2**30),
        },
        "mqtt": _mqtt(options, port),
        "accounts": {"TIWEI": {"jetstream": "enabled", "users": users}},
    }
    return json.dumps(conf, indent=1, ensure_ascii=False) + "\n"


def nats_users(accounts: Collection[Account], centre_hash: str | None) -> str:
    """The same accounts for a NATS that Tiwei does not run: a file to `include` in an account of its configuration."""
    users = [_user(CENTRE_ELSEWHERE, centre_hash, RIGHTS_OF_CENTRE)] if centre_hash else []
    users += [_user(one.name, one.bcrypt, one.rights) for one in accounts]
    return f"users: {json.dumps(users, indent=1)}\n"


def _mqtt(options: BrokerOptions, port: int) -> dict[str, Any]:
    mqtt: dict[str, Any] = {
        "host": options.host,
        "port": port,
        "ack_wait": f"{options.ack_wait_s:g}s",
        "max_ack_pending": MAX_ACK_PENDING,
    }
    if options.tls is not None:
        mqtt["tls"] = {"cert_file": str(options.tls.cert), "key_file": str(options.tls.key), "timeout": 10}
        if options.tls.client_ca is not None:
            mqtt["tls"] |= {"ca_file": str(options.tls.client_ca), "verify": True}
    return mqtt


def _user(name: str, password_hash: str, rights: Rights) -> dict[str, Any]:
    return {
        "user": name,
        "password": password_hash,
        "allowed_connection_types": ["MQTT"],
        "permissions": {"publish": _subjects(rights.publish), "subscribe": _subjects(rights.subscribe)},
    }


def _subjects(filters: Collection[str]) -> dict[str, list[str]]:
    """MQTT topic filters as NATS subjects. An empty list would allow everything: deny everything instead."""
    if not filters:
        return {"deny": [">"]}
    return {"allow": [one.replace("/", ".").replace("+", "*").replace("#", ">") for one in filters]}
