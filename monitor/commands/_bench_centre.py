"""A whole centre in a temporary folder for the benches: database and broker as `tiwei up` sets them up."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.commands._load import DIVISION
from monitor.domain.equipment import Equipment, EquipmentKind

DEVICE_PASSWORD = "bench-only-no-secret"  # noqa: S105 a broker on loopback, of a temporary folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Where its parts are; process ids by name. `token` opens everything of the API."""

    database_url: str
    broker_url: str = ""
    api_url: str = ""
    token: str = field(default="", repr=False)
    pids: dict[str, int] = field(default_factory=dict)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each so far; the database with its children, those that ended too."""
        used = {name: _cpu_s(pid) for name, pid in self.pids.items()}
        used["database"] += sum(_cpu_s(one) for one in _children(self.pids["database"]))
        return used


def lift(equipment_id: str) -> Equipment:
    """A lift for the registry."""
    return Equipment(
        number=0,
        equipment_id=equipment_id,
        division=DIVISION,
        kind=EquipmentKind.LIFT,
        bottom_floor=1,
        top_floor=9,
        rated_speed_mps=1.75,
    )


@asynccontextmanager
async def centre_in(folder: Path, equipment: Sequence[Equipment], *, monitor: bool, api: bool) -> AsyncIterator[Centre]:
    """A centre that knows `equipment`, with a monitor (and its broker) and an API where wanted."""
    from monitor.adapters.embedded.folder import DataFolder
    from monitor.adapters.embedded.nats import NatsServer
    from monitor.adapters.embedded.nats_conf import BrokerOptions
    from monitor.adapters.embedded.postgres import PostgresServer

    data = DataFolder(folder / "data")
    database = PostgresServer(data, extra={"track_commit_timestamp": "on"})
    broker = NatsServer(data, BrokerOptions(port=0, device_password=DEVICE_PASSWORD))
    ours: list[subprocess.Popen[bytes]] = []
    pids: dict[str, int] = {}
    broker_url = api_url = ""
    try:
        database_url = await database.start()
        pids["database"] = _pid(database)
        await _register(database_url, equipment)
        if monitor:
            broker_url = await broker.start()
            pids["broker"] = _pid(broker)
            await _started("monitor", folder, {"DATABASE_URL": database_url, "MQTT_URL": broker_url}, ours)
            pids["centre"] = ours[-1].pid
        if api:
            said = await _started("api", folder, {"DATABASE_URL": database_url, "HTTP_PORT": "0"}, ours)
            pids["api"], api_url = ours[-1].pid, str(said["url"]).rstrip("/")
        yield Centre(
            database_url=database_url,
            broker_url=broker_url,
            api_url=api_url,
            token=await _token(database_url) if api else "",
            pids=pids,
        )
    finally:
        for child in ours:
            child.terminate()
        for child in ours:
            child.wait(15)
        if broker_url:
            await broker.stop(5)
        await database.stop(5)


def _pid(server: Any) -> int:
    return int(server._child.pid)  # noqa: SLF001 the bench alone wants to know


async def _register(database_url: str, equipment: Sequence[Equipment]) -> None:
    from monitor.adapters.pool import Database
    from monitor.adapters.registry import Registry
    from monitor.adapters.schema import migrate

    database = Database(database_url)
    try:
        await migrate(database)
        await Registry(database).import_equipment(equipment)
    finally:
        await database.close()


async def _token(database_url: str) -> str:
    from monitor.adapters.access_audit import Deed
    from monitor.adapters.access_secrets import digest, new_secret
    from monitor.adapters.access_tokens import Tokens
    from monitor.adapters.pool import Database
    from monitor.domain.access import Role, Scope

    database, secret = Database(database_url), new_secret()
    deed = Deed(at_ms=time.time_ns() // 1_000_000, origin="bench", action="token_create", subject="bench")
    try:
        await Tokens(database).create(digest(secret), "bench", Role.ADMINISTRATOR, Scope(), expires_ms=None, deed=deed)
    finally:
        await database.close()
    return secret


async def _started(
    command: str, folder: Path, settings: dict[str, str], ours: list[subprocess.Popen[bytes]]
) -> dict[str, Any]:
    """Start one of our processes and wait until it says that it is ready; what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIWEI_")}
    given = {f"TIWEI_{name}": value for name, value in (settings | {"DATA_DIR": str(folder / "data")}).items()}
    out, log = folder / f"{command}.ready", folder / f"{command}.log"
    with log.open("wb") as errors, out.open("wb") as ready:
        child = subprocess.Popen(  # noqa: ASYNC220 it starts in a moment and runs beside us
            [sys.executable, "-m", "monitor", command], env={**kept, **given}, stdout=ready, stderr=errors
        )
    ours.append(child)
    async with asyncio.timeout(60):
        while b"\n" not in out.read_bytes():
            if child.poll() is not None:
                raise RuntimeError(log.read_text())
            await asyncio.sleep(0.05)
    said: dict[str, Any] = json.loads(out.read_text().splitlines()[0])
    return said


_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def _cpu_s(pid: int) -> float:
    """CPU of a process and of its children that ended, s; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(one) for one in fields[11:15]) * _TICK_S


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
