"""The store in its own thread: the same answers, the same errors, and an end."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from monitor.adapters.pool import Database
from monitor.adapters.quarantine import QuarantineBounds
from monitor.commands._apart import ApartStore
from monitor.commands._monitor import MonitorStore
from monitor.domain.commit import Commit
from monitor.domain.errors import RefusedError


@pytest.fixture(autouse=True)
def _own_pace() -> Iterator[None]:
    """How threads give way to each other is the process's: as it was, afterwards."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def store_at(url: str) -> ApartStore:
    return ApartStore(MonitorStore(Database(url), bounds=QuarantineBounds(), zone=ZoneInfo("Asia/Shanghai")))


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "store"]


async def test_calls_run_in_the_thread_and_errors_come_back_as_they_are(database_url: str) -> None:
    store = store_at(database_url)
    await store.acquire()
    restored = await store.load(0)
    assert (restored.equipment, restored.journal) == ((), ())
    first = Commit(position=1, journal=b"V", judged_ms=1_767_254_400_000)
    await store.commit(first)
    await store.commit(first)  # twice makes once
    with pytest.raises(RefusedError, match="does not follow"):
        await store.commit(Commit(position=3, journal=b"V"))
    assert await store.requested(10) == []
    assert len(threads()) == 1
    await store.close()
    assert threads() == []


async def test_who_does_not_wait_any_longer_leaves_nothing_running(database_url: str) -> None:
    """Another store holds the lock: `acquire` would wait for ever."""
    holder, waiter = store_at(database_url), store_at(database_url)
    await holder.acquire()
    waiting = asyncio.create_task(waiter.acquire())
    done, _ = await asyncio.wait((waiting,), timeout=0.3)
    assert not done
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await waiter.close()
    await holder.close()
    assert threads() == []
