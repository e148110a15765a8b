"""The upkeep of the history beside a monitor at work."""

from __future__ import annotations

import asyncio
import time

import structlog

from monitor.adapters.maintain import PostgresUpkeep
from monitor.adapters.pool import Database
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.services.maintain import Keeping, maintain
from monitor.settings import Settings

#: Often enough for rollups to be fresh; a turn with nothing to do costs a few queries.
_EVERY_S = 60.0
_log = structlog.get_logger(__name__)


async def keep_up(database: Database, settings: Settings) -> None:
    """Maintain until cancelled. A turn that fails is told and tried again: history in bad shape stops no monitor."""
    upkeep = PostgresUpkeep(database)
    keeping = Keeping(
        history_days=settings.history_days,
        rollup_days=settings.rollup_days,
        compress_after_days=settings.compress_after_days,
        quarantine_days=settings.quarantine_days,
        quarantine_messages=settings.quarantine_rows,
    )
    while True:
        try:
            done = await maintain(upkeep, keeping, time.time_ns() // 1_000_000)
        except UnavailableError as error:
            _log.warning("upkeep of the history: the database is not reached", why=str(error), again_s=_EVERY_S)
        except RefusedError as error:
            _log.error("upkeep of the history was refused", why=str(error), again_s=_EVERY_S)
        else:
            if done is not None and (done.rolled_hours or done.dropped_parts or done.waiting):
                _log.info("upkeep", hours=done.rolled_hours, dropped=done.dropped_parts, waiting=done.waiting)
        await asyncio.sleep(_EVERY_S)
