"""The registry table."""

from __future__ import annotations

from dataclasses import replace

from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.schema import migrate
from monitor.adapters.store import PostgresStore
from monitor.domain.commit import Commit
from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from tests.adapters.test_store import NOW

BOILER = Equipment(
    number=0,
    equipment_id="B-1",
    division="320500",
    kind=EquipmentKind.BOILER,
    rescue_code="012345",
    bottom_floor=-2,
    top_floor=31,
    floor_height_m=2.9,
    rated_speed_mps=1.75,
    firm_id="F-1",
    reports=Reports.CHANGES,
    profile="wmata",
    limits=({"quantity": "pressure", "unit": "MPa", "high": 1.1, "on_delay_s": 3.0},),
    overrides={"offline_s": 300.0},
    place={"address": "苏州 1 号", "lat": 31.3},
)


async def test_import_and_back(each_database: Database) -> None:
    await migrate(each_database)
    registry = Registry(each_database)
    assert await registry.import_equipment([BOILER, replace(BOILER, equipment_id="B-2")]) == 2
    first, second = await registry.equipment()
    assert first == replace(BOILER, number=first.number)
    assert second.number == first.number + 1


async def test_import_again_replaces_and_keeps_the_number(each_database: Database) -> None:
    await migrate(each_database)
    registry = Registry(each_database)
    await registry.import_equipment([BOILER])
    (before,) = await registry.equipment()
    revision = await registry.revision()
    assert await registry.changed_since(revision) == (revision, ())
    await registry.import_equipment([replace(BOILER, firm_id="F-2")])
    later, changed = await registry.changed_since(revision)
    assert later > revision
    assert changed == (replace(BOILER, number=before.number, firm_id="F-2"),)


async def test_what_is_met_on_the_wire_is_unregistered_until_it_is_imported(each_database: Database) -> None:
    store, registry = PostgresStore(each_database), Registry(each_database)
    await store.acquire()
    await store.load(NOW)
    met = Equipment(number=1, equipment_id="B-1", division="320500", kind=EquipmentKind.LIFT, registered=False)
    await store.commit(Commit(position=1, journal=b"", judged_ms=NOW, new_equipment=(met,)))
    assert await registry.listed(10, unregistered_only=True) == (met,)
    assert await registry.listed(10, division="999999") == ()
    assert await registry.changed_since(0) == (0, ())
    await registry.import_equipment([BOILER])
    assert await registry.listed(10, unregistered_only=True) == ()
    assert await registry.equipment() == (replace(BOILER, number=1),)
    await store.close()
