"""The store in a thread of its own.

A commit is a conversation of several turns with the database, and judging the next batch keeps an event loop busy for
longer than most of them take: on one loop the database would wait for its next word until the batch is judged. In a
thread of its own the conversation goes on meanwhile, on the other core. Nothing is shared but what is handed over, and
nobody changes that any more.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import uvloop

from monitor.domain.commit import Checkpoint, Commit, Restored
from monitor.domain.equipment import Equipment
from monitor.messages.decode import Inbound
from monitor.services.ingest_ports import Store

#: Of two threads that both have work, one gives way to the other after so long, s (Python's own default is 5 ms).
_SWITCH_S = 0.001
#: The longest that the end of the thread is waited for, s.
_END_S = 5.0

T = TypeVar("T")


class OwnedStore(Store, Protocol):
    """A store as the monitor has it: taken hold of at the start, let go of at the end."""

    async def acquire(self) -> None: ...
    async def close(self) -> None: ...


class ApartStore:
    """A store whose every call runs in a thread of its own, in its own event loop; errors come back as they are.

    Connections of `store` must be used through this alone.
    """

    def __init__(self, store: OwnedStore) -> None:
        self._store = store
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store", daemon=True)
        self._thread.start()
        sys.setswitchinterval(_SWITCH_S)

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def acquire(self) -> None:
        await self._there(self._store.acquire())

    async def load(self, now_ms: int) -> Restored:
        return await self._there(self._store.load(now_ms))

    async def commit(self, commit: Commit) -> None:
        await self._there(self._store.commit(commit))

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._there(self._store.save_checkpoint(checkpoint))

    async def changed_equipment(self) -> Sequence[Equipment]:
        return await self._there(self._store.changed_equipment())

    async def requested(self, limit: int) -> Sequence[tuple[int, Inbound]]:
        return await self._there(self._store.requested(limit))

    async def mark_resubmitted(self, ids: Sequence[int]) -> None:
        await self._there(self._store.mark_resubmitted(ids))

    async def close(self) -> None:
        """Let the store go and end the thread."""
        try:
            await self._there(self._store.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            await asyncio.to_thread(self._thread.join, _END_S)
            if not self._thread.is_alive():
                self._loop.close()
