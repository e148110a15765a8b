"""One process of ours under supervision: started, heard, started again when it dies, ended."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from monitor.adapters.embedded.process import dies_with_us, kill_group
from monitor.adapters.retry import pauses

#: A child that lived so long was well: the next pause is the shortest again.
_WELL_S = 60.0
#: Exit status of a command whose settings are wrong: starting it again does not help.
WRONG_SETTINGS = 2
_LINE_LIMIT = 1 << 20
_log = structlog.get_logger(__name__)


def command(*words: str) -> list[str]:
    """How to start another command of this very program: the way it was started itself."""
    program = Path(sys.argv[0])
    start = [sys.executable, str(program)] if program.name == "tiwei" else [sys.executable, "-m", "monitor"]
    return [*start, *words]


class Child:
    """A child in a process group of its own. Its standard output is read for lines of JSON, its errors are ours too.

    The kernel kills it when we die; `end` gives it time to end well.
    """

    def __init__(
        self,
        name: str,
        argv: Callable[[], Sequence[str]],
        *,
        env: Callable[[], Mapping[str, str]],
        after: asyncio.Event | None = None,
        on_ready: Callable[[Mapping[str, Any]], None] = lambda _ready: None,
    ) -> None:
        """`argv` and `env` are asked at every start, the first of which waits for `after`.

        `on_ready` gets each object with the key `ready` that the child prints.
        """
        self.name = name
        self._argv = argv
        self._env = env
        self._after = after
        self._on_ready = on_ready
        self._process: Process | None = None
        self._ending = False
        self.starts = 0

    async def run(self) -> int:
        """Keep it running until `end`, or until its settings are wrong; returns its last exit status."""
        if self._after is not None:
            await self._after.wait()
        pause, tries = pauses(), 0
        while True:
            began = time.monotonic()
            status = await self._live()
            if self._ending or status == WRONG_SETTINGS:
                return status
            tries = 1 if time.monotonic() - began > _WELL_S else tries + 1
            again_s = pause(tries)
            _log.error("a process of ours ended", name=self.name, status=status, again_in_s=round(again_s, 1))
            await asyncio.sleep(again_s)
            if self._ending:
                return status

    def restart(self) -> None:
        """End it by force now; `run` starts it again with a fresh environment."""
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process.pid)

    async def end(self, seconds: float) -> None:
        """SIGTERM, and after `seconds` SIGKILL to its whole group."""
        self._ending = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            _log.warning("a process of ours does not end and is killed", name=self.name, after_s=seconds)
        kill_group(process.pid)
        await process.wait()

    async def _live(self) -> int:
        """One life of the child; returns its exit status."""
        self.starts += 1
        process = self._process = await asyncio.create_subprocess_exec(
            *self._argv(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=dict(self._env()),
            start_new_session=True,
            preexec_fn=dies_with_us(signal.SIGKILL),
            limit=_LINE_LIMIT,
        )
        listening = asyncio.create_task(self._listen(process), name=f"listen to {self.name}")
        try:
            return await process.wait()
        finally:
            kill_group(process.pid)  # whatever it started itself
            listening.cancel()

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than a line of ours can be
                continue
            if not line:
                return
            self._heard(line)

    def _heard(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if isinstance(said, dict) and "ready" in said:
            self._on_ready(said)
        else:
            _log.debug("a process of ours said", name=self.name, line=line.decode(errors="replace").rstrip())
