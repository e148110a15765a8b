"""Waiting for something to happen: by looking, with a deadline, never by sleeping a guessed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
_PAUSE_S = 0.01


def until(look: Callable[[], T], seconds: float = 10.0) -> T:
    """Look until it is true and return it; the test fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing within {seconds} s: {look}")
        time.sleep(_PAUSE_S)
    return seen


async def eventually(look: Callable[[], T], seconds: float = 10.0) -> T:
    """As `until`, while the event loop goes on."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing within {seconds} s: {look}")
        await asyncio.sleep(_PAUSE_S)
    return seen


async def eventually_told(ask: Callable[[], Awaitable[T]], seconds: float = 10.0) -> T:
    """As `eventually`, of a question that has to be awaited (a query)."""
    deadline = time.monotonic() + seconds
    while not (seen := await ask()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing within {seconds} s: {ask}")
        await asyncio.sleep(_PAUSE_S)
    return seen


def works(pid: int) -> bool:
    """Whether that process is at work; one that ended and that nobody asked about is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
