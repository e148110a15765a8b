"""Recorded metro data as real MQTT messages through broker, centre and database: the figures its author published.

The centre's clock is the stream's: each message is published at its own instant and stored before the next.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import msgspec
import pytest

from monitor.adapters.figures import PostgresFigures
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.schema import migrate
from monitor.commands._monitor import run_monitor
from monitor.messages.registry import Entry
from monitor.settings import read_settings
from tests.conftest import DEVICE_PASSWORD, RunningBroker

DATA = Path(__file__).parents[3] / "shared" / "data"
#: Every so many units: all of them, one message at a time, would take longer than the rest of the tests.
EVERY = 24
STORED = "SELECT (SELECT count(*) FROM tiwei.event) + (SELECT count(*) FROM tiwei.reading)"


class Recorded:
    """The records of some units, and the clock that goes with them."""

    def __init__(self) -> None:
        lines = gzip.decompress((DATA / "wmata-half.jsonl.gz").read_bytes()).splitlines()
        registry = json.loads(lines[0])["registry"][::EVERY]
        self.units = [one["equipment_id"] for one in registry]
        chosen = set(self.units)
        self.registry = [msgspec.convert(one, Entry).equipment(n) for n, one in enumerate(registry, start=1)]
        records: list[dict[str, Any]] = [json.loads(line) for line in lines[1:]]
        self.records = [one for one in records if one["topic"].split("/")[4] in chosen]
        self.now_ms = self.records[0]["at"] - 1000

    def clock(self) -> int:
        return int(self.now_ms)


async def published_one_by_one(recorded: Recorded, broker: RunningBroker, database_url: str) -> None:
    port = int(broker.device_url.rpartition(":")[2])
    connection = await asyncpg.connect(database_url, ssl=False)
    async with aiomqtt.Client("127.0.0.1", port, username="device", password=DEVICE_PASSWORD) as client:
        for stored, one in enumerate(recorded.records, start=1):
            recorded.now_ms = one["at"]
            await client.publish(one["topic"], json.dumps(one["payload"]), qos=1)
            while await connection.fetchval(STORED) < stored:
                await asyncio.sleep(0.001)
    await connection.close()


@pytest.mark.soak
@pytest.mark.public_data
@pytest.mark.skipif(not DATA.exists(), reason=f"NOT COVERED HERE: no recorded public data in {DATA}")
async def test_the_published_figures_come_out_of_real_messages(
    tmp_path: Path, own_broker: RunningBroker, database_url: str
) -> None:
    recorded = Recorded()
    settings = read_settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        mqtt_url=own_broker.url,
        mqtt_client_id="wmata-test-client",
        batch_ms=1,
        history_days=36_500,
        rollup_days=36_500,
    )
    database = Database(database_url, application="test")
    await migrate(database)
    await Registry(database).import_equipment(recorded.registry)
    ready = asyncio.Event()
    centre = asyncio.create_task(run_monitor(settings, recorded.clock, ready.set))
    await asyncio.wait_for(ready.wait(), 30)
    await published_one_by_one(recorded, own_broker, database_url)
    centre.cancel()
    await asyncio.gather(centre, return_exceptions=True)

    expected = json.loads((DATA / "wmata-half.expect.json").read_text())
    figures = PostgresFigures(database)
    found = await figures.equipment_figures(1_300_000_000_000, 1_500_000_000_000, None)
    whole = {one.equipment_id: one.normal_ms / one.known_ms for one in found if one.known_ms}
    wanted = {unit: expected["availability_wall_clock"].get(unit) for unit in recorded.units}
    assert whole == pytest.approx({unit: share for unit, share in wanted.items() if share is not None}, abs=1e-4)
    windows = [one for one in expected["published_fault_counts"] if one["equipment_id"] in recorded.units]
    assert len(windows) >= 6
    for window in windows:
        inside = await figures.equipment_figures(window["from"], window["to"], None)
        raised = {one.equipment_id: one.faults_raised for one in inside}
        assert raised.get(window["equipment_id"], 0) == window["faults_raised"], window
    await database.close()
