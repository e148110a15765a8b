"""What tests of the MQTT sessions share: sources at work, devices that send, what has come."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import unquote, urlsplit

import aiomqtt

from monitor.adapters.mqtt import Bounds, Delivery, MqttSource
from monitor.adapters.mqtt_connection import Broker
from tests.waiting import eventually

REDELIVERY_S = 1.0
SOON = Bounds(back_off_s=0.2, redelivery_s=0.0)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def broker_at(url: str, session_id: str | None = None) -> Broker:
    parts = urlsplit(url)
    return Broker(
        host=parts.hostname or "",
        port=parts.port or 0,
        session_id=session_id or secrets.token_hex(16),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        timeout_s=5.0,
    )


@asynccontextmanager
async def running(source: MqttSource) -> AsyncIterator[MqttSource]:
    """The source connected, with whatever retained links others left acknowledged and out of the way."""
    task = asyncio.create_task(source.run())
    try:
        await eventually(lambda: source.hearing and source._urgent.subscribed, 20)
        yield source
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def device(url: str) -> AsyncIterator[aiomqtt.Client]:
    parts = urlsplit(url)
    user = unquote(parts.username) if parts.username else None
    async with aiomqtt.Client(
        parts.hostname or "",
        parts.port or 0,
        username=user,
        password=unquote(parts.password or "") or None,
        identifier=f"device-{uuid.uuid4().hex}",
    ) as client:
        client.pending_calls_threshold = 100_000
        yield client


def lift() -> str:
    return f"T{uuid.uuid4().hex[:20]}"


def status(equipment_id: str) -> str:
    return f"se/v1/310104/lift/{equipment_id}/status"


async def collect(source: MqttSource, marker: str, count: int, seconds: float = 20) -> list[Delivery]:
    """Deliveries until `count` messages whose topic holds `marker` are there; of the others nothing is kept."""
    got: list[Delivery] = []
    deadline = time.monotonic() + seconds
    while sum(len(texts([one], marker)) for one in got) < count:
        assert time.monotonic() < deadline, f"{texts(got, marker)} within {seconds} s"
        await source.wait(1, 0.1)
        got.append(source.take(10_000, 10**9))
    return got


def texts(deliveries: Sequence[Delivery], marker: str) -> list[str]:
    return [m.payload.decode() for one in deliveries for m in one.messages if marker in m.topic]


async def send(url: str, topic: str, payloads: Sequence[str], *, retain: bool = False) -> None:
    async with device(url) as client:
        for one in payloads:
            await client.publish(topic, one, qos=1, retain=retain)
