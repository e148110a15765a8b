"""Child processes that do not outlive us: started apart from the terminal, ended by a ladder of signals.

On Linux a child gets a signal from the kernel when the thread that started it dies (PR_SET_PDEATHSIG), so even a
`kill -9` of the supervisor leaves no orphan at work. Elsewhere an orphan is found at the next start.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from monitor.adapters.embedded.binaries import Runner

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.02


def dies_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: let the kernel send `number` to the child when the thread that starts it dies."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork: after it, only the call is safe
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange


def spawn(
    argv: Sequence[str],
    *,
    runner: Runner,
    log: IO[bytes] | int,
    death: signal.Signals,
    handles: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, as `runner`, its output to `log`; `death` reaches it when we die."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"} | dict(env or {}),
        start_new_session=True,
        pass_fds=tuple(handles),
        preexec_fn=dies_with_us(death),  # noqa: PLW1509 started from the main thread, before there are others
        **runner.as_popen(),
    )


async def finished(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The child's exit status, None when it still runs after `seconds`."""
    deadline = time.monotonic() + seconds
    while (status := child.poll()) is None and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_S)
    return status


async def end(child: subprocess.Popen[bytes], ladder: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal and wait its seconds until the child is gone; SIGKILL to its whole group at last."""
    for number, seconds in ladder:
        if child.poll() is not None:
            return
        child.send_signal(number)
        if await finished(child, seconds) is not None:
            return
    kill_group(child.pid)
    await finished(child, 5.0)


async def end_orphan(pid: int, is_ours: Callable[[int], bool], ladder: Sequence[tuple[signal.Signals, float]]) -> None:
    """End a server that an earlier run left behind; `is_ours` guards against a pid that now is another process."""
    for number, seconds in [*ladder, (signal.SIGKILL, 5.0)]:
        if not is_ours(pid):
            return
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while is_ours(pid) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)


def kill_group(pid: int) -> None:
    """SIGKILL to a process group; nothing when it is gone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def tail(path: Path, offset: int, most: int = 4_000) -> str:
    """The last of what was written to a log since `offset`; from its start when it is shorter by now (rotated)."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(offset if offset <= size else 0, size - most))
            return file.read(most).decode(errors="replace")
    except OSError:
        return ""
