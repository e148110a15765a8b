"""The quarantine table: whole, counted, bounded, and given back on request."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from monitor.adapters.pool import Database
from monitor.adapters.quarantine import Quarantine, QuarantineBounds
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit, Quarantined
from tests.adapters.test_store import NOW

BOUNDS = QuarantineBounds(messages=100, octets=20_000)


@pytest_asyncio.fixture
async def store(each_database: Database) -> AsyncIterator[PostgresStore]:
    found = PostgresStore(each_database, bounds=BOUNDS)
    await found.acquire()
    await found.load(NOW)
    yield found
    await found.close()


def odd(payload: bytes = b"{", reason: str = "json", size: int | None = None) -> Quarantined:
    return Quarantined(
        received_ms=NOW,
        topic="se/v1/320500/lift/\0\udcff/status",
        reason=reason,
        detail="unexpected end",
        payload=payload,
        size=len(payload) if size is None else size,
    )


async def test_it_comes_back_whole(store: PostgresStore, each_database: Database) -> None:
    payload = bytes(range(256)) * 4
    await store.commit(Commit(position=1, journal=b"", quarantined=(odd(), odd(payload, "utf8"))))
    quarantine = Quarantine(each_database)
    newest, older = await quarantine.newest(10)
    assert (newest.reason, newest.size, newest.kept, len(newest.payload)) == ("utf8", 1024, 1024, 200)
    assert (older.topic, older.payload, older.received_ms) == ("se/v1/320500/lift/\ufffd?/status", b"{", NOW)
    (whole,) = await quarantine.fetch([newest.quarantine_id, 999])
    assert whole.payload == payload
    assert [one.reason for one in await quarantine.newest(10, "json")] == ["json"]


async def test_the_newest_stay_and_the_count_never_loses(store: PostgresStore, each_database: Database) -> None:
    for position in range(1, 41):
        await store.commit(Commit(position=position, journal=b"", quarantined=tuple(odd() for _ in range(20))))
    quarantine = Quarantine(each_database)
    left = await quarantine.newest(1_000)
    assert len(left) <= BOUNDS.messages * 1.1
    assert max(one.quarantine_id for one in left) == 800
    assert await quarantine.counts() == {"json": 800}
    await store.commit(Commit(position=41, journal=b"", quarantined=tuple(odd(b"x" * 3_000, "big") for _ in range(10))))
    assert sum(one.kept for one in await quarantine.newest(1_000)) <= BOUNDS.octets
    assert await quarantine.counts() == {"json": 800, "big": 10}


async def test_asked_for_once_given_once(store: PostgresStore, each_database: Database) -> None:
    await store.commit(Commit(position=1, journal=b"", quarantined=(odd(), odd(), odd(b"cut", size=2_000_000))))
    quarantine = Quarantine(each_database)
    third, second, first = (one.quarantine_id for one in await quarantine.newest(10))
    assert await quarantine.request([first, second, third, 999], NOW) == [first, second]
    assert [one.quarantine_id for one in await quarantine.requested(1)] == [first]
    await quarantine.mark_resubmitted([first])
    assert [one.quarantine_id for one in await quarantine.requested(10)] == [second]
    assert await quarantine.discard([second, 999]) == [second]
    assert await quarantine.requested(10) == []
    assert await quarantine.request([first], NOW) == [first]
    assert [one.quarantine_id for one in await quarantine.requested(10)] == [first]
