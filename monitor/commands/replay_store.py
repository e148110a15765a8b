"""`tiwei replay --store`: streams into the configured database (protocol §8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import BinaryIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from monitor.adapters.embedded.parts import opened_database
from monitor.adapters.figures import PostgresFigures
from monitor.adapters.maintain import PostgresUpkeep
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.store import PostgresStore
from monitor.log import start_logging
from monitor.services import replay, replay_store
from monitor.settings import Settings, read_settings


def run(streams: Iterable[replay.Stream], out: BinaryIO, timezone: str | None) -> None:
    """Write the streams and bring the rollups up to date.

    Raises:
        RefusedError: a monitor is at work on that database.
    """
    settings = read_settings(**({"timezone": timezone} if timezone else {}))
    start_logging(settings.log_level, process="replay")
    asyncio.run(_run(settings, streams, out, timezone))


async def _run(settings: Settings, streams: Iterable[replay.Stream], out: BinaryIO, timezone: str | None) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with opened_database(settings) as url:
        database = Database(url, application="tiwei replay")
        store = PostgresStore(database, zone=settings.zone)
        try:
            await store.acquire(wait=False)
            if timezone is not None:
                await PostgresFigures(database).set_timezone(timezone)  # reports of this data have its days
            with Progress(*columns, console=Console(stderr=True)) as bar:
                task = bar.add_task("replay")
                written = await replay_store.store(
                    streams,
                    store,
                    Registry(database),
                    round(time.time() * 1000),
                    tell=lambda lines: out.writelines(map(replay.encode, replay.with_incidents(lines))),
                    progress=lambda messages: bar.update(task, description=f"{messages:,} messages"),
                )
                bar.update(task, description=f"{written.messages:,} messages; hourly figures")
                await replay_store.roll_up(PostgresUpkeep(database))
        finally:
            await store.close()
            await database.close()
