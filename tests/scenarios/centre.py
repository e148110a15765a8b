"""A whole centre for tests that kill: embedded database, embedded broker and `tiwei monitor`, each a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions
from monitor.adapters.embedded.postgres import PostgresServer
from tests.conftest import DEVICE_PASSWORD, FAST
from tests.waiting import eventually

#: As the default, and longer than the 3 s after which a sample that comes late is history.
ACK_WAIT_S = 5.0


class Centre:
    """Its three processes; each can be killed and started again."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._folder = folder
        data = DataFolder(folder / "data")
        self.database = PostgresServer(data, extra=FAST)
        self.broker = NatsServer(data, BrokerOptions(port=0, device_password=DEVICE_PASSWORD, ack_wait_s=ACK_WAIT_S))
        self.monitor: subprocess.Popen[bytes] | None = None
        self._settings = {"TIWEI_MQTT_ACK_WAIT_S": str(ACK_WAIT_S), **settings}
        self.database_url = ""
        self.broker_url = ""

    async def start(self) -> None:
        self.database_url = await self.database.start()
        self.broker_url = await self.broker.start()
        self.start_monitor()
        await self.ready()

    @property
    def device_url(self) -> str:
        return f"mqtt://device:{DEVICE_PASSWORD}@{self.broker_url.rpartition('@')[2]}"

    def start_monitor(self) -> None:
        """Start `tiwei monitor`; its log goes on where the one before ended."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TIWEI_")}
        places = {
            "TIWEI_DATA_DIR": str(self._folder / "data"),
            "TIWEI_DATABASE_URL": self.database_url,
            "TIWEI_MQTT_URL": self.broker_url,
        }
        self._ready = (self._folder / "ready").open("wb")
        with (self._folder / "log").open("ab") as log:
            self.monitor = subprocess.Popen(
                [sys.executable, "-m", "monitor", "monitor"],
                env={**ours, **places, **self._settings},
                stdout=self._ready,
                stderr=log,
            )
        self._ready.close()

    async def ready(self, seconds: float = 40) -> None:
        """Wait until the monitor hears the broker."""

        def said() -> bool:
            assert self.monitor is not None
            assert self.monitor.poll() is None, self.log()[-4000:]
            return b"ready" in (self._folder / "ready").read_bytes()

        await eventually(said, seconds)

    def log(self) -> str:
        """What the monitor said so far."""
        return (self._folder / "log").read_text(errors="replace")

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def child(self, part: str) -> subprocess.Popen[bytes]:
        """The process of `monitor`, `broker` or `database`."""
        found = self.monitor if part == "monitor" else getattr(self, part)._child
        assert found is not None
        return found

    def kill(self, part: str) -> None:
        child = self.child(part)
        child.send_signal(signal.SIGKILL)
        child.wait(10)

    async def restart(self, part: str) -> None:
        """Start a part that was killed, at its old address."""
        if part == "monitor":
            self.start_monitor()
        elif part == "broker":
            assert await self.broker.start() == self.broker_url
        else:
            assert await self.database.start() == self.database_url

    async def stop(self) -> None:
        if self.monitor is not None and self.monitor.poll() is None:
            self.monitor.terminate()
            self.monitor.wait(15)
        await self.broker.stop(5)
        await self.database.stop(5)

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        """Ask the database; on a connection of its own, so that kills need no care."""
        connection = await asyncpg.connect(self.database_url, timeout=10)
        try:
            return [tuple(row) for row in await connection.fetch(query, *args)]
        finally:
            await connection.close(timeout=5)


@asynccontextmanager
async def centre(folder: Path, **settings: str) -> AsyncIterator[Centre]:
    """A centre at work in `folder`."""
    made = Centre(folder, settings)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
