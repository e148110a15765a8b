"""How the centre is, looked at every second: the monitor at work or not, the database there or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from api.answers import iso
from monitor.adapters.pool import Database
from monitor.adapters.pulse import Pulse, Sign
from monitor.domain.errors import RefusedError, UnavailableError

LOOK_S = 1.0
_LOOK_TIMEOUT_S = 3.0
#: A sign of life older than this is none, ms.
ALIVE_MS = 15_000
_log = structlog.get_logger(__name__)


class CentreState:
    """The last look. Before the first, and without a database, nothing is up."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._pulse = Pulse(database)
        self._clock = clock
        self.database_up = False
        self.monitor_up = False
        self._since_ms: int | None = None
        self._alive_ms: int | None = None
        self._alive_changed: float | None = None

    def body(self) -> dict[str, Any]:
        """As everybody gets it. `monitor_since`: since when the monitor has been as it is now."""
        return {
            "monitor": "up" if self.monitor_up else "down",
            "monitor_since": iso(self._since_ms),
            "alive_at": iso(self._alive_ms),
            "database": "up" if self.database_up else "down",
        }

    async def watch(self, changed: Callable[[], None]) -> None:
        """Look for ever; `changed` is called when something came or went."""
        try:
            while True:
                began = time.monotonic()
                before = (self.database_up, self.monitor_up)
                await self._look()
                if before != (self.database_up, self.monitor_up):
                    changed()
                await asyncio.sleep(max(0.05, LOOK_S - (time.monotonic() - began)))
        finally:
            self._pulse.close()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                sign = await self._pulse.look()
        except (UnavailableError, RefusedError, TimeoutError) as error:
            if self.database_up:
                _log.warning("the database does not answer", why=str(error))
            self.database_up = False
            self._take(up=False, since_ms=None)
            return
        if not self.database_up:
            _log.info("the database answers")
        self.database_up = True
        up = sign.held and self._lives(sign)
        self._take(up=up, since_ms=sign.held_since_ms if up else None)

    def _lives(self, sign: Sign) -> bool:
        """Whether its last sign of life is young, by its own time, or has just changed, should the clocks differ."""
        now = time.monotonic()
        if sign.alive_ms != self._alive_ms:
            self._alive_changed = now if self._alive_ms is not None else self._alive_changed
            self._alive_ms = sign.alive_ms
        if sign.alive_ms is not None and abs(self._clock() - sign.alive_ms) < ALIVE_MS:
            return True
        return self._alive_changed is not None and (now - self._alive_changed) * 1000 < ALIVE_MS

    def _take(self, *, up: bool, since_ms: int | None) -> None:
        if up != self.monitor_up or self._since_ms is None:
            self._since_ms = self._clock()
        if up and since_ms is not None:
            self._since_ms = since_ms
        self.monitor_up = up
