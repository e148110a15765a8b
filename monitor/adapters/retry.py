"""Trying again what lies outside us, and saying so plainly: what, where, why, for how long, when next."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import structlog

from monitor.domain.errors import UnavailableError

T = TypeVar("T")
_log = structlog.get_logger(__name__)


def pauses(first_s: float = 0.5, most_s: float = 30.0) -> Callable[[int], float]:
    """Pause in s before attempt number n (1, 2, ...): doubling up to `most_s`, jittered so that many do not march."""

    def pause(tries: int) -> float:
        return min(most_s, first_s * 2.0 ** min(tries - 1, 20)) * random.uniform(0.6, 1.0)  # noqa: S311 no secret

    return pause


async def until_reached(what: str, where: str, attempt: Callable[[], Awaitable[T]], *, most_s: float = 30.0) -> T:
    """What `attempt` gives once it does not raise UnavailableError any more; every failure is one warning."""
    pause = pauses(most_s=most_s)
    began, tries = time.monotonic(), 0
    while True:
        try:
            result = await attempt()
        except UnavailableError as error:
            tries += 1
            again_s = pause(tries)
            _log.warning(
                f"the {what} cannot be reached",
                where=where,
                why=str(error),
                for_s=round(time.monotonic() - began, 1),
                again_in_s=round(again_s, 1),
            )
            await asyncio.sleep(again_s)
        else:
            if tries:
                _log.info(f"the {what} is reached again", where=where, after_s=round(time.monotonic() - began, 1))
            return result


def without_password(url: str) -> str:
    """A URL that may be shown: no password, and no login of ours."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username and not parts.username.startswith("%40") else ""
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{user}{host}{port}", query="").geturl()
