"""A whole centre on one machine: its servers and processes started, watched, started again, ended within seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from monitor.adapters.embedded import EmbeddedServer
from monitor.adapters.retry import pauses
from monitor.adapters.supervisor_child import WRONG_SETTINGS, Child
from monitor.domain.errors import SettingsError, TiweiError, UnavailableError

#: The whole end takes less than the 10 s of protocol §8: first the processes, all at once, then the servers.
CHILDREN_END_S = 5.0
SERVERS_END_S = 3.5
_LOOK_S = 0.5
_ALIVE_S = 5.0
_FIRST_ATTEMPTS = 5
_log = structlog.get_logger(__name__)


class Supervisor:
    """Runs servers and children until it is cancelled; `close` ends them all, in whatever state they are."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self._servers: list[EmbeddedServer] = []
        self._children: dict[Child, asyncio.Task[int]] = {}

    async def serve(self, server: EmbeddedServer) -> str:
        """Start a server and watch it from now on; returns its URL.

        Raises:
            RefusedError: it can never start like this.
            UnavailableError: it did not start in several attempts.
        """
        self._servers.append(server)
        pause = pauses()
        for tries in range(1, _FIRST_ATTEMPTS + 1):
            try:
                self.urls[server.name] = await server.start()
                break
            except UnavailableError as error:
                if tries == _FIRST_ATTEMPTS:
                    raise
                _log.warning("a server of ours did not start", name=server.name, why=str(error))
                await asyncio.sleep(pause(tries))
        return self.urls[server.name]

    def keep(self, child: Child) -> None:
        """Start a child and keep it running."""
        self._children[child] = asyncio.create_task(child.run(), name=child.name)

    async def watch(self, alive: Callable[[], None]) -> None:
        """Look after everything until cancelled; `alive` is called every few seconds for as long as we can.

        Raises:
            SettingsError: a child says that its settings are wrong.
            RefusedError: a server cannot be started again.
        """
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(self._look_after(server), name=f"look after {server.name}")
            for child, task in self._children.items():
                group.create_task(_outlive(child, task), name=f"outlive {child.name}")
            while True:
                alive()
                await asyncio.sleep(_ALIVE_S)

    async def close(self) -> None:
        """End everything: children first, so that they can still reach the servers."""
        began = time.monotonic()
        await asyncio.gather(*(child.end(CHILDREN_END_S) for child in self._children))
        for task in self._children.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.gather(*(server.stop(SERVERS_END_S) for server in self._servers))
        _log.info("everything ended", seconds=round(time.monotonic() - began, 2))

    async def _look_after(self, server: EmbeddedServer) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            if server.alive():
                await server.tend()
            else:
                await self._start_again(server)

    async def _start_again(self, server: EmbeddedServer) -> None:
        _log.error("a server of ours died", name=server.name)
        pause, tries = pauses(), 0
        while True:
            try:
                url = await server.start()
                break
            except UnavailableError as error:
                tries += 1
                again_s = pause(tries)
                _log.error("it does not start", name=server.name, why=str(error), again_in_s=round(again_s, 1))
                await asyncio.sleep(again_s)
        _log.info("a server of ours runs again", name=server.name)
        if url != self.urls[server.name]:
            self.urls[server.name] = url
            for child in self._children:
                child.restart()


async def _outlive(child: Child, task: asyncio.Task[int]) -> None:
    if await asyncio.shield(task) == WRONG_SETTINGS:
        raise SettingsError(f"`{child.name}` refuses its settings, see above")


def reason(error: BaseException) -> TiweiError:
    """The error of ours in what a task group raised; raises what is none."""
    if isinstance(error, TiweiError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            return reason(one)
    raise error
