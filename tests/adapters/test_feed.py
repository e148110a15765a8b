"""The change feed: one order, no gap, whoever writes and whenever they commit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import pytest
import pytest_asyncio

from monitor.adapters import feed
from monitor.adapters.feed import KEPT_MS, PASSING_KEPT_MS, Change, Feed, Line, Topic, publish
from monitor.adapters.maintain import PostgresUpkeep
from monitor.adapters.pgtext import instant
from monitor.adapters.pool import Database
from monitor.adapters.registry import NAMED_AT_MOST, Registry
from monitor.adapters.schema import migrate
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import CursorTooOldError
from monitor.services.maintain import Keeping, maintain
from tests.adapters.test_store import NOW
from tests.waiting import eventually_told

DEADLINE_S = 30


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database(database_url, connections=12)
    await migrate(found)
    yield found
    await found.close()


def line(text: str, topic: Topic = Topic.FAULT) -> Line:
    return Line(topic=topic, body={"text": text}, division="320500", firm_id="F1", number=7)


async def tell(database: Database, *lines: Line) -> int | None:
    async with database.session() as session, session.transaction():
        return await publish(session, lines)


async def followed(database: Database, position: int, count: int, poll_s: float = 60) -> list[Change]:
    """The next `count` changes; the notice must wake, since looking would come too late."""
    found: list[Change] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(Feed(database).follow(position, poll_s=poll_s)) as changes:
        async for change in changes:
            found.append(change)
            if len(found) == count:
                break
    return found


async def test_a_line_comes_back_as_it_went_in(database: Database) -> None:
    assert await Feed(database).position() == 0
    assert await tell(database) is None
    odd = Line(topic=Topic.INCIDENT, body={"困": "人\0\ud800", "nan": float("nan")}, division=None)
    assert await tell(database, line("one"), odd) == 2
    assert await tell(database, Line(topic=Topic.STATES, body='{"states": []}')) == 3
    one, two, three = await Feed(database).after(0)
    assert (one.position, one.topic, one.division, one.firm_id, one.number) == (1, Topic.FAULT, "320500", "F1", 7)
    assert one.body == {"text": "one"}
    assert (two.body, two.division, two.number) == ({"困": "人\ufffd?", "nan": None}, None, None)
    assert three.text == '{"states": []}'
    assert [change.position for change in await Feed(database).after(1, 1)] == [2]
    assert await Feed(database).after(3) == []


async def _write(database: Database, writer: int, rounds: int) -> list[str]:
    """One process that publishes at odd moments and now and then takes everything back; what it committed."""
    odds = random.Random(writer)
    kept: list[str] = []
    session = await database.alone()
    try:
        for n in range(rounds):
            names = [f"{writer}-{n}-{i}" for i in range(odds.randint(1, 4))]
            transaction = session.transaction()
            await transaction.start()
            await session.execute("SELECT pg_sleep($1)", odds.random() * 0.004)  # work before the last statement
            await publish(session, [line(name) for name in names])
            if odds.random() < 0.2:
                await session.execute("SELECT pg_sleep($1)", odds.random() * 0.003)
            if odds.random() < 0.2:
                await transaction.rollback()
            else:
                await transaction.commit()
                kept += names
    finally:
        await session.close()
    return kept


async def _followed_to_the_end(database: Database) -> list[Change]:
    told: list[Change] = []
    async with aclosing(Feed(database).follow(0, poll_s=60)) as changes:
        async for change in changes:
            if change.body["text"] == "end":
                break
            told.append(change)
    return told


async def _asked_to_the_end(database: Database) -> list[Change]:
    asked: list[Change] = []
    while not asked or asked[-1].body["text"] != "end":
        asked += await Feed(database).after(asked[-1].position if asked else 0, 7)
    return asked[:-1]


async def test_writers_at_once_make_one_order_without_a_gap_and_a_reader_misses_nothing(database: Database) -> None:
    follower = asyncio.create_task(_followed_to_the_end(database))
    reader = asyncio.create_task(_asked_to_the_end(database))
    kept = await asyncio.gather(*(_write(database, writer, 40) for writer in range(6)))
    await tell(database, line("end"))
    seen = await asyncio.wait_for(reader, DEADLINE_S)
    assert await asyncio.wait_for(follower, DEADLINE_S) == seen
    assert [change.position for change in seen] == list(range(1, sum(map(len, kept)) + 1))
    assert [change.at_ms for change in seen] == sorted(change.at_ms for change in seen)
    for writer, names in enumerate(kept):
        mine = [change.body["text"] for change in seen if change.body["text"].startswith(f"{writer}-")]
        assert mine == names


async def test_who_began_first_and_ends_last_stays_in_order(database: Database) -> None:
    slow, fast = await database.alone(), await database.alone()
    first = slow.transaction()
    await first.start()
    await publish(slow, [line("slow")])
    waiting = asyncio.create_task(tell(database, line("fast")))
    await eventually_told(lambda: _waits(fast))
    assert await Feed(database).after(0) == []  # nothing can overtake what is not committed yet
    await first.commit()
    assert await asyncio.wait_for(waiting, DEADLINE_S) == 2
    assert [change.body["text"] for change in await Feed(database).after(0)] == ["slow", "fast"]
    await slow.close()
    await fast.close()


async def _waits(session: asyncpg.Connection[asyncpg.Record]) -> bool:
    return bool(await session.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_a_writer_that_stands_still_before_its_commit_is_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PATIENCE_MS", 100)
    stuck = await database.alone()
    await stuck.execute("BEGIN")
    await publish(stuck, [line("never")])
    assert await asyncio.wait_for(tell(database, line("goes on")), DEADLINE_S) == 1
    assert [change.body["text"] for change in await Feed(database).after(0)] == ["goes on"]
    stuck.terminate()


async def test_following_goes_on_after_the_connection_was_lost(database: Database) -> None:
    await tell(database, line("one"))
    following = asyncio.create_task(followed(database, 0, 2, poll_s=0.2))
    other = await database.alone()

    async def cut() -> int:
        return int(
            await other.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'tiwei feed' AND datname = current_database()"
            )
        )

    assert await eventually_told(cut) == 1
    await tell(database, line("two"))
    assert [change.body["text"] for change in await following] == ["one", "two"]
    await other.close()


async def _age(database: Database, position: int, ms: int) -> None:
    async with database.session() as session:
        await session.execute(
            "UPDATE tiwei.change SET committed_at = $2 WHERE position <= $1", position, instant(NOW - ms)
        )


async def test_what_is_too_old_goes_and_its_readers_are_told(database: Database) -> None:
    await tell(database, *(line(str(n)) for n in range(5)))
    await _age(database, 5, 60_000)
    await _age(database, 3, KEPT_MS + 1)
    assert await maintain(PostgresUpkeep(database), Keeping(), NOW) is not None
    assert [change.position for change in await Feed(database).after(3)] == [4, 5]
    with pytest.raises(CursorTooOldError):
        await Feed(database).after(2)
    with pytest.raises(CursorTooOldError):
        await followed(database, 0, 1)
    with pytest.raises(CursorTooOldError):  # a cursor of another database
        await Feed(database).after(6)
    assert await tell(database, line("next")) == 6


async def test_passing_lines_go_sooner_and_leave_the_lasting_ones(database: Database) -> None:
    await tell(database, line("a"), line("s", Topic.STATES), line("b"), line("t", Topic.STATES))
    await _age(database, 4, 1_000)
    await _age(database, 3, PASSING_KEPT_MS + 1)
    await maintain(PostgresUpkeep(database), Keeping(), NOW)
    with pytest.raises(CursorTooOldError):
        await Feed(database).after(1)
    assert [change.body["text"] for change in await Feed(database).after(2)] == ["b", "t"]
    assert [change.body["text"] for change in await Feed(database, lasting=True).after(0)] == ["a", "b"]


async def test_an_import_is_told(database: Database) -> None:
    registry = Registry(database)

    def lift(n: int) -> Equipment:
        return Equipment(number=0, equipment_id=f"L-{n}", division="320500", kind=EquipmentKind.LIFT)

    await registry.import_equipment([])
    await registry.import_equipment([lift(1), lift(2)])
    await registry.import_equipment(map(lift, range(NAMED_AT_MOST + 1)))
    told = await Feed(database).after(0)
    assert [(change.topic, change.body) for change in told] == [
        (Topic.REGISTRY, {"equipment_ids": ["L-1", "L-2"]}),
        (Topic.REGISTRY, {"equipment_ids": []}),
    ]
