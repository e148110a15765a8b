"""The town over real MQTT: everything published is received once, as devices, through gateways, and as bare load."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiomqtt
import pytest

from simulators.live import Counts, Devices, Gateways, live
from simulators.mqtt import Broker, Publisher, RefusedConnectionError, Will
from simulators.scenario import Scenario
from simulators.world import World
from tests.conftest import RunningBroker
from tests.simulators.town import plan, scenario
from tests.waiting import eventually

Message = tuple[str, Any, bool]


@asynccontextmanager
async def listening(broker: RunningBroker, sender: str = "+") -> AsyncIterator[list[Message]]:
    """What a centre receives from that sender, as (topic, payload, retained)."""
    parts = urlsplit(broker.url)
    heard: list[Message] = []
    async with aiomqtt.Client(
        parts.hostname or "",
        parts.port or 1883,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        identifier=uuid4().hex,
    ) as client:
        await client.subscribe([(f"se/v1/+/+/{sender}/{channel}", 1) for channel in ("status", "event", "link")])

        async def listen() -> None:
            async for message in client.messages:
                payload = json.loads(bytes(message.payload))
                heard.append((str(message.topic), payload, message.retain))

        task = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def small_town() -> Scenario:
    return scenario(lifts=6, duration_s=40.0, plans=(plan(2, "trapped_and_pressed", after_s=1.0),))


async def played(senders: Devices | Gateways, of: Scenario) -> Counts:
    """Forty seconds of the town in two of ours."""
    return await live(
        senders,
        lambda start_ms: World(of, start_ms=start_ms),
        clock=now_ms,
        duration_s=of.duration_s,
        speed=20.0,
        stop=asyncio.Event(),
        on_ready=lambda: None,
    )


def live_ones(heard: list[Message]) -> list[Message]:
    """Without what the broker kept from earlier tests."""
    return [message for message in heard if not message[2]]


def own(heard: list[Message], lifts: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Samples by equipment, whether from its own topic or out of a gateway's array."""
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for topic, payload, _ in heard:
        *_, sender, channel = topic.split("/")
        if channel == "status":
            for item in payload if isinstance(payload, list) else [payload]:
                samples[item.get("equipment_id", sender)].append(item)
    return {key: found for key, found in samples.items() if key in lifts}


def objects(heard: list[Message]) -> int:
    """Messages, an array counted as what is in it."""
    return sum(len(payload) if isinstance(payload, list) else 1 for _, payload, _ in live_ones(heard))


def assert_complete(samples: dict[str, list[dict[str, Any]]], lifts: set[str]) -> None:
    assert set(samples) == lifts
    for found in samples.values():
        assert [sample["seq"] for sample in found] == list(range(1, len(found) + 1))
        assert len(found) >= 3


async def test_devices_publish_everything_on_topics_of_their_own(broker: RunningBroker) -> None:
    of = small_town()
    town = World(of, start_ms=0).town
    lifts = {spec.equipment_id for spec in town.lifts}
    async with listening(broker) as heard:
        counts = await played(Devices(town, Broker.at(broker.device_url), now_ms=now_ms()), of)
        await eventually(lambda: objects(heard) >= counts.records)
    assert counts.records == counts.sent == counts.acked == objects(heard)
    assert counts.dropped == counts.reconnects == 0
    assert_complete(own(heard, lifts), lifts)
    online = {topic.split("/")[-2] for topic, payload, _ in heard if topic.endswith("/link") and payload["online"]}
    assert lifts <= online
    assert all(not isinstance(payload, list) for _, payload, _ in heard)


async def test_gateways_publish_everything_as_arrays(broker: RunningBroker) -> None:
    of = small_town()
    town = World(of, start_ms=0).town
    lifts = {spec.equipment_id for spec in town.lifts}
    async with listening(broker) as heard:
        counts = await played(Gateways(Broker.at(broker.device_url), count=2, batched=True), of)
        await eventually(lambda: objects(heard) >= counts.records)
    assert counts.sent == counts.acked < counts.records
    assert_complete(own(heard, lifts), lifts)
    gateways = {topic.split("/")[-2] for topic, payload, _ in heard if isinstance(payload, list)}
    assert gateways == {"@sim-01", "@sim-02"}
    assert all(len(payload) <= 1_000 for _, payload, _ in heard if isinstance(payload, list))


async def test_a_cut_connection_leaves_its_will_and_loses_nothing(broker: RunningBroker) -> None:
    lift = uuid4().hex
    head = f"se/v1/330199/lift/{lift}"
    publisher = Publisher(
        Broker.at(broker.device_url), uuid4().hex, will=Will(f"{head}/link", b'{"ts":1,"online":false}')
    )
    async with listening(broker, lift) as heard:
        task = asyncio.create_task(publisher.run())
        await publisher.up.wait()
        publisher.publish(f"{head}/link", '{"ts":1,"online":true}', retain=True)
        await publisher.settled()
        publisher.cut()
        await eventually(lambda: (f"{head}/link", {"ts": 1, "online": False}, False) in heard)
        for n in range(50):
            publisher.publish(f"{head}/status", f'{{"seq":{n}}}')
        publisher.restore()
        await publisher.settled()
        await eventually(lambda: len(heard) >= 52)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [payload["seq"] for topic, payload, _ in heard if topic.endswith("/status")] == list(range(50))
    assert publisher.acked == 51
    assert publisher.reconnects == 1
    async with listening(broker, lift) as later:
        await eventually(lambda: later)
    assert later == [(f"{head}/link", {"ts": 1, "online": False}, True)]


async def test_a_refused_login_is_said(broker: RunningBroker) -> None:
    publisher = Publisher(Broker.at(broker.device_url, user="device", password="wrong"), uuid4().hex)
    with pytest.raises(RefusedConnectionError):
        await publisher.run()


async def test_the_command_sends_load_and_every_message_is_acknowledged(broker: RunningBroker, tmp_path: Path) -> None:
    parts = urlsplit(broker.device_url)
    command = ["simulate", "--load", "--lifts", "500", "--period", "0.5", "--duration", "2", "--connections", "2"]
    command += ["--mqtt", f"mqtt://{parts.hostname}:{parts.port}", "--user", "device", "--password-env", "OURS"]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "monitor", *command, "--registry", str(tmp_path / "registry.json")),
        env={**os.environ, "OURS": unquote(parts.password or "")},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 0
    result = json.loads(out.splitlines()[-1])
    assert result["acked"] == result["sent"] >= 1_500
    assert len(json.loads((tmp_path / "registry.json").read_text())["registry"]) == 500
