"""`tiwei up`: database, broker, centre and console on this machine, in one go.

Standard output has one line of JSON for each part that is ready, standard error the logs. The broker is called ready
when the centre has subscribed to it: what is published from then on is heard.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import structlog

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.parts import client_id, make_broker, make_database
from monitor.adapters.pool import Database
from monitor.adapters.retry import until_reached, without_password
from monitor.adapters.schema import migrate
from monitor.adapters.supervisor import Supervisor, reason
from monitor.adapters.supervisor_child import Child, command
from monitor.commands._systemd import notify
from monitor.log import start_logging
from monitor.settings import Settings, read_settings, refuse_insecure, refuse_open_console, unknown_names

_log = structlog.get_logger(__name__)


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("up", help="database, broker, centre and console on this machine, in one go")
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    settings = read_settings()
    start_logging(settings.log_level, process="up")
    refuse_insecure(settings)
    refuse_open_console(settings)
    for name in unknown_names():
        _log.warning("no such setting", name=name)
    asyncio.run(supervise(Centre(settings)))
    return 0


class Centre:
    """The parts of one centre and how they hang together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supervisor = Supervisor()
        self._folder = DataFolder(settings.data_dir)
        self._told: set[str] = set()
        #: Set once the database has its schema, and once the centre hears the broker.
        self.stored, self.hearing = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Start everything in order and look after it; raises TiweiError (in a group, too) when that is impossible."""
        self._folder.lock()
        _log.info("starting", data_dir=str(self._folder.path))
        await self._start_database()
        if self.settings.mqtt_dsn() is None:
            await self.supervisor.serve(make_broker(self.settings, self._folder))
        else:
            self.supervisor.urls["mqtt"] = str(self.settings.mqtt_dsn())
        self.supervisor.keep(
            Child("monitor", lambda: command("monitor"), env=self.environment, on_ready=self._on_ready)
        )
        await self.prepare()
        self.supervisor.keep(Child("api", lambda: command("api"), env=self.environment, on_ready=self._on_console))
        await self.supervisor.watch(lambda: notify("WATCHDOG=1"))

    async def prepare(self) -> None:
        """What else has to be there; database and broker run, the centre is about to."""

    async def close(self) -> None:
        """End everything and give the folder free."""
        notify("STOPPING=1")
        await self.supervisor.close()
        self._folder.unlock()

    def environment(self) -> dict[str, str]:
        """Environment of a process of ours: the settings as they are, with the parts that run now."""
        urls = self.supervisor.urls
        ours = {
            "TIWEI_DATA_DIR": str(self.settings.data_dir),
            "TIWEI_DATABASE_URL": urls["database"],
            "TIWEI_MQTT_URL": urls["mqtt"],
            "TIWEI_MQTT_CLIENT_ID": client_id(self.settings, self._folder),
        }
        if "http" in urls:  # started again, it is found where it was
            ours["TIWEI_HTTP_PORT"] = str(urlsplit(urls["http"]).port)
        if self.settings.mqtt_dsn() is None and self.settings.mqtt_tls_cert_file is not None:
            ours["TIWEI_MQTT_PINNED_CERT_FILE"] = str(self.settings.mqtt_tls_cert_file.absolute())
        return {**os.environ, **ours}

    async def _start_database(self) -> None:
        url = self.settings.database_dsn()
        if url is None:
            url = await self.supervisor.serve(make_database(self.settings, self._folder))
        self.supervisor.urls["database"] = url
        database = Database(url, application="tiwei up")
        await until_reached("database", without_password(url), lambda: migrate(database))
        self.tell("database")
        self.stored.set()

    def _on_ready(self, _said: Mapping[str, Any]) -> None:
        """The centre has subscribed."""
        self.tell("mqtt")
        self.hearing.set()
        notify("READY=1")

    def _on_console(self, said: Mapping[str, Any]) -> None:
        """The console answers."""
        self.supervisor.urls["http"] = str(said["url"])
        self.tell("http")

    def tell(self, part: str) -> None:
        """One line on standard output, once a part."""
        if part not in self._told:
            self._told.add(part)
            line = {"ready": part, "url": without_password(self.supervisor.urls[part])}
            with suppress(BrokenPipeError):
                print(json.dumps(line), flush=True)


async def supervise(centre: Centre, beside: Callable[[], Awaitable[None]] | None = None) -> None:
    """Run a centre until SIGTERM or SIGINT, with `beside` at its side; whatever happens, everything is ended.

    Raises:
        TiweiError: it cannot run like this.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    working = [asyncio.ensure_future(centre.run())]
    if beside is not None:
        working.append(asyncio.ensure_future(beside()))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([*working, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*working, stopping):
            task.cancel()
        results = await asyncio.gather(*working, return_exceptions=True)
        await centre.close()
    for one in results:
        if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError):
            raise reason(one) from (one if isinstance(one, BaseExceptionGroup) else None)
