"""Migrations: all or none, once, and never on what is not ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from monitor.adapters.figures import PostgresFigures
from monitor.adapters.maintain import PostgresUpkeep
from monitor.adapters.pool import Database
from monitor.adapters.schema import Migration, migrate, migrations
from monitor.adapters.server import Edition
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.services.maintain import Keeping, maintain
from tests.adapters.test_store import NOW, readings


async def execute(database: Database, statement: str) -> None:
    async with database.session() as session:
        await session.execute(statement)


async def tables(database: Database) -> set[str]:
    async with database.session() as session:
        rows = await session.fetch("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('tiwei')")
    return {row["relname"] for row in rows}


def test_numbers_have_no_gap() -> None:
    assert [one.version for one in migrations()] == list(range(1, len(migrations()) + 1))


async def test_migrating_again_and_at_once_from_many_sides(each_database: Database, each_server: str) -> None:
    servers = await asyncio.gather(*(migrate(each_database) for _ in range(5)))
    assert len(set(servers)) == 1
    async with each_database.session() as session:
        assert await session.fetchval("SELECT count(*) FROM tiwei.migration") == len(migrations())
        hypertables = 0
        if servers[0].hypertables:
            hypertables = await session.fetchval("SELECT count(*) FROM timescaledb_information.hypertables")
    assert hypertables == (0 if servers[0].edition is Edition.PLAIN else 5)


async def test_the_edition_is_what_the_server_is(each_database: Database, request: pytest.FixtureRequest) -> None:
    server = await migrate(each_database)
    plain = "plain" in request.node.name
    assert (server.edition is Edition.PLAIN) == plain
    assert (server.timescale_version is None) == plain


async def test_a_newer_database_is_refused_and_left_untouched(each_database: Database) -> None:
    await migrate(each_database)
    before = await tables(each_database)
    await execute(each_database, "INSERT INTO tiwei.migration VALUES (999, '0999_later.sql', 'x')")
    with pytest.raises(RefusedError, match="newer version"):
        await migrate(each_database)
    assert await tables(each_database) == before


async def test_a_migration_that_was_changed_is_refused(each_database: Database) -> None:
    await migrate(each_database)
    changed = [replace(one, text=one.text + "-- later thought\n") for one in migrations()]
    with pytest.raises(RefusedError, match="other contents"):
        await migrate(each_database, known=changed)


async def test_a_schema_of_somebody_else_is_left_alone(each_database: Database) -> None:
    await execute(each_database, "CREATE SCHEMA tiwei")
    await execute(each_database, "CREATE TABLE tiwei.theirs (x integer)")
    with pytest.raises(RefusedError, match="not made by this program"):
        await migrate(each_database)
    assert await tables(each_database) == {"theirs"}


async def test_a_migration_that_fails_leaves_nothing_behind(each_database: Database) -> None:
    broken = Migration(
        version=len(migrations()) + 1, name="9999_broken.sql", text="CREATE TABLE tiwei.x (); SELECT 1/0;"
    )
    with pytest.raises(RefusedError, match="division"):
        await migrate(each_database, known=[*migrations(), broken])
    assert await tables(each_database) == set()


async def test_a_later_migration_is_added_to_an_older_database(each_database: Database) -> None:
    await migrate(each_database)
    later = Migration(
        version=len(migrations()) + 1, name="9999_later.sql", text="CREATE TABLE tiwei.later (x integer);"
    )
    await migrate(each_database, known=[*migrations(), later])
    assert "later" in await tables(each_database)
    with pytest.raises(RefusedError, match="newer"):
        await migrate(each_database)


@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        (lambda url: url.rpartition("/")[0] + "/no_such_database", RefusedError),
        (lambda url: f"postgresql://nobody_we_know:wrong@{url.rpartition('@')[2]}", RefusedError),
        (lambda _: "postgresql://x:y@127.0.0.1:1/none", UnavailableError),
    ],
)
async def test_what_cannot_be_reached_and_what_refuses_are_told_apart(
    database_url: str, change: object, meaning: type[Exception]
) -> None:
    assert callable(change)
    with pytest.raises(meaning):
        await migrate(Database(change(database_url)))


@pytest.mark.system_postgres
async def test_a_system_postgres_is_whole_even_where_timescale_is_there_and_not_preloaded(
    system_database_url: str,
) -> None:
    database = Database(system_database_url)
    store = PostgresStore(database)
    await store.acquire()
    await store.load(NOW)
    rows = readings(400)
    rows["service_mode"] = 1
    lift = Equipment(number=1, equipment_id="L-1", division="320500", kind=EquipmentKind.LIFT, registered=False)
    await store.commit(Commit(position=1, journal=b"", new_equipment=(lift,), readings=rows))
    done = await maintain(PostgresUpkeep(database), Keeping(), NOW + 2 * 3_600_000)
    assert done is not None
    assert done.rolled_hours == 1
    (found,) = await PostgresFigures(database).equipment_figures(NOW, NOW + 7_200_000, None)
    assert found.availability == 1.0
    assert (await migrate(database)).edition is Edition.PLAIN
    await store.close()
    await database.close()
