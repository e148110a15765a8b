"""Throughput: packets made by the thousand are right to the byte, look like no fault, and survive a broken broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from monitor.detectors.engine import Engine
from monitor.domain.register import Register
from monitor.messages import registry as registers
from monitor.messages.decode import Decoder, Inbound
from simulators.fleet import DIVISION
from simulators.load import Share, equipment_id, registry, run_load
from simulators.mqtt import Broker, Publisher, RefusedConnectionError, varint
from simulators.scenario import FILE_START_MS, Load
from simulators.sender import Bytes, Sender
from tests.conftest import RunningBroker
from tests.waiting import eventually


def read_packets(rows: Bytes) -> list[tuple[int, str, int, bytes]]:
    """First byte, topic, packet id and payload of each packet, read as MQTT 3.1.1 §3.3 says."""
    found = []
    raw = rows.tobytes()
    at = 0
    while at < len(raw):
        first, at = raw[at], at + 1
        length = shift = 0
        while True:
            digit, at = raw[at], at + 1
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                break
        body, at = raw[at : at + length], at + length
        width = int.from_bytes(body[:2], "big")
        topic = body[2 : 2 + width].decode()
        found.append((first, topic, int.from_bytes(body[2 + width : 4 + width], "big"), body[4 + width :]))
    return found


def sent(load: Load, periods: int) -> list[list[Inbound]]:
    """What the centre would receive, a batch a period."""
    shares = [Share(load, n) for n in range(load.connections)]
    batches = []
    for period in range(periods):
        now = FILE_START_MS + period * 10_000
        batches.append(
            [
                Inbound(topic, payload, now + 30)
                for share in shares
                for _, topic, _, payload in read_packets(share.make(slice(0, share.lifts), now)[0])
            ]
        )
    return batches


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 2_097_151])
def test_the_remaining_length_is_coded_as_the_standard_says(length: int) -> None:
    decoded = sum((digit & 0x7F) << 7 * n for n, digit in enumerate(varint(length)))
    assert decoded == length
    assert all(digit >= 0x80 for digit in varint(length)[:-1])
    assert varint(length)[-1] < 0x80


def test_each_lift_sends_a_sample_of_its_own_each_period() -> None:
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for batch in sent(Load(lifts=30, connections=4), 25):
        for message in batch:
            samples[message.topic].append(json.loads(message.payload))
    assert set(samples) == {f"se/v1/{DIVISION}/lift/{equipment_id(n)}/status" for n in range(30)}
    for found in samples.values():
        assert all((b["ts"] - a["ts"], b["seq"] - a["seq"]) == (10_000, 1) for a, b in pairwise(found))
        assert {s["passenger"] for s in found} == {s["car_status"] for s in found} == {0, 1}


def test_gateway_arrays_hold_every_lift_once() -> None:
    (batch,) = sent(Load(lifts=600, connections=2, batch=100), 1)
    objects = [item for message in batch for item in json.loads(message.payload)]
    assert len(batch) == 6
    assert {message.topic for message in batch} == {f"se/v1/{DIVISION}/lift/@load-0{n}/status" for n in (0, 1)}
    assert sorted(item["equipment_id"] for item in objects) == [equipment_id(n) for n in range(600)]


@pytest.mark.parametrize("batch", [1, 20])
def test_the_load_is_read_whole_and_raises_nothing(batch: int) -> None:
    load = Load(lifts=200, connections=2, batch=batch)
    lifts = registers.read(json.dumps(registry(load.lifts)).encode(), "json")
    decoder, engine = Decoder(Register(lifts)), Engine(lifts)
    for messages in sent(load, 40):
        decoded = decoder.decode(messages)
        assert decoded.quarantined == []
        assert len(decoded.samples) == load.lifts
        assert list(engine.process(decoded, messages[-1].received_ms).faults) == []


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_the_pace_is_kept(broker: RunningBroker) -> None:
    load = Load(lifts=1_000, period_s=0.5, connections=2)
    result = await run_load(load, Broker.at(broker.device_url), duration_s=1.5, clock=now_ms, stop=asyncio.Event())
    assert result.sent == result.acked == pytest.approx(3_000, rel=0.15)
    assert result.resent == 0


@pytest.mark.mosquitto
async def test_mosquitto_takes_it_too(mosquitto: RunningBroker) -> None:
    load = Load(lifts=20_000, period_s=0, connections=2)
    result = await run_load(load, Broker.at(mosquitto.url), duration_s=0.5, clock=now_ms, stop=asyncio.Event())
    assert result.sent == result.acked > 2_000


async def test_load_that_finds_no_broker_says_so_and_ends_when_asked() -> None:
    stop, told = asyncio.Event(), asyncio.Event()

    def on_trouble(text: str) -> None:
        assert "2 of 2 connections wait" in text
        told.set()
        stop.set()

    load = Load(lifts=10, connections=2)
    result = await asyncio.wait_for(
        run_load(load, Broker.at("mqtt://127.0.0.1:9"), duration_s=60, clock=now_ms, stop=stop, on_trouble=on_trouble),
        20,
    )
    assert told.is_set()
    assert result.sent == result.acked == 0


async def test_load_with_a_wrong_login_is_refused(broker: RunningBroker) -> None:
    wrong = Broker.at(broker.device_url, user="device", password="wrong")
    with pytest.raises(RefusedConnectionError):
        await run_load(Load(lifts=10), wrong, duration_s=5, clock=now_ms, stop=asyncio.Event())


async def kill_and_start(broker: RunningBroker) -> None:
    """SIGKILL, and up again on the same port."""
    assert broker.server is not None
    child = broker.server._child
    assert child is not None
    child.kill()
    child.wait()
    await broker.server.start()


async def test_load_goes_on_when_the_broker_was_killed(own_broker: RunningBroker) -> None:
    share = Share(Load(lifts=400, connections=1), 0)
    sender = Sender(Broker.at(own_broker.device_url), uuid4().hex, in_flight=400)
    for _ in range(5):
        rows, column = share.make(slice(0, 400), now_ms())
        await sender.room(400)
        sender.send(rows, column)
    await kill_and_start(own_broker)
    for _ in range(5):
        rows, column = share.make(slice(0, 400), now_ms())
        await sender.room(400)
        sender.send(rows, column)
    await asyncio.wait_for(sender.drained(), 20)
    sender.close()
    assert sender.sent == sender.acked == 4_000
    assert sender.reconnects == 1


async def test_a_terminal_keeps_what_a_dead_broker_cannot_take(own_broker: RunningBroker) -> None:
    publisher = Publisher(Broker.at(own_broker.device_url), uuid4().hex, in_flight=10, limit=50)
    task = asyncio.create_task(publisher.run())
    await publisher.up.wait()
    topic = f"se/v1/{DIVISION}/lift/{uuid4().hex}/status"
    publisher.publish(topic, '{"seq":0}')
    await publisher.settled()
    assert own_broker.server is not None
    await own_broker.server.stop(5)
    await eventually(lambda: not publisher.up.is_set())
    for n in range(1, 61):
        publisher.publish(topic, f'{{"seq":{n}}}')
    assert publisher.outstanding == 50
    assert publisher.dropped == 10
    await own_broker.server.start()
    await asyncio.wait_for(publisher.settled(), 30)
    task.cancel()
    await asyncio.wait([task])
    assert publisher.acked == 51
    assert publisher.reconnects == 1
