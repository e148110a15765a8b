"""The sessions on a real broker: what is acknowledged when, and what comes again in which order."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import MAX_ACK_PENDING, BrokerOptions
from monitor.adapters.mqtt import TELEMETRY, URGENT, Bounds, MqttSource
from monitor.adapters.mqtt_connection import Broker, Connection, tls_context
from monitor.domain.errors import RefusedError, SettingsError, UnavailableError
from tests.adapters.sessions import (
    REDELIVERY_S,
    SOON,
    broker_at,
    collect,
    lift,
    now_ms,
    running,
    send,
    status,
    texts,
)
from tests.conftest import DEVICE_PASSWORD, RunningBroker
from tests.waiting import eventually


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker that repeats soon."""
    options = BrokerOptions(port=0, device_password=DEVICE_PASSWORD, ack_wait_s=REDELIVERY_S)
    server = NatsServer(DataFolder(tmp_path_factory.mktemp("broker")), options)
    url = asyncio.run(server.start())
    place = url.rpartition("@")[2]
    yield RunningBroker(url=url, device_url=f"mqtt://device:{DEVICE_PASSWORD}@{place}", server=server)
    asyncio.run(server.stop(5))


async def test_what_is_sent_arrives_in_order_with_topic_and_time(broker: RunningBroker) -> None:
    source = MqttSource(broker_at(broker.url), now_ms, SOON)
    name = lift()
    async with running(source):
        before = now_ms()
        await send(broker.device_url, status(name), [str(n) for n in range(20)])
        got = await collect(source, name, 20)
    assert texts(got, name) == [str(n) for n in range(20)]
    first = next(m for one in got for m in one.messages if name in m.topic)
    assert first.topic == status(name)
    assert before <= first.received_ms <= now_ms()
    assert not first.retained


async def test_what_was_not_acknowledged_comes_again_and_only_that(broker: RunningBroker) -> None:
    me, name = broker_at(broker.url), lift()
    async with running(MqttSource(me, now_ms, SOON)) as source:
        await send(broker.device_url, status(name), ["kept"])
        for one in await collect(source, name, 1):
            source.acknowledge(one)
        assert source.held == 0
        await send(broker.device_url, status(name), ["lost 1", "lost 2"])
        await collect(source, name, 2)
        # The acknowledgement above is on its way before this connection ends.
        await send(broker.device_url, status(name), ["while away"])
        await collect(source, name, 1)
    async with running(MqttSource(me, now_ms, SOON)) as source:
        got = await collect(source, name, 3)
    assert sorted(texts(got, name)) == ["lost 1", "lost 2", "while away"]


async def test_after_the_wait_the_old_comes_before_the_new(broker: RunningBroker) -> None:
    me, name = broker_at(broker.url), lift()
    bounds = Bounds(redelivery_s=REDELIVERY_S + 0.5)
    async with running(MqttSource(me, now_ms, bounds)) as source:
        await send(broker.device_url, status(name), [f"{n:03d}" for n in range(100)])
        await collect(source, name, 100)
    source = MqttSource(me, now_ms, bounds)
    source.left_just_now()
    await send(broker.device_url, status(name), [f"{n:03d}" for n in range(100, 200)])
    async with running(source):
        got = await collect(source, name, 200)
    assert texts(got, name) == [f"{n:03d}" for n in range(200)]


async def test_acknowledgements_of_a_lost_connection_are_not_sent_on_the_next(broker: RunningBroker) -> None:
    """Packet ids belong to a connection: sent on another, they would make the broker forget other messages."""
    me, name = broker_at(broker.url), lift()
    source = MqttSource(me, now_ms, SOON)
    async with running(source):
        await send(broker.device_url, status(name), ["a", "b"])
        old = await collect(source, name, 2)
        source.suspend()
        await eventually(lambda: not source.hearing)
        source.resume()
        await eventually(lambda: source.hearing)
        await send(broker.device_url, status(name), ["c"])
        again = await collect(source, name, 3)
        assert sorted(texts(again, name)) == ["a", "b", "c"]
        held = source.held
        for one in old:
            source.acknowledge(one)
        assert source.held == held
    async with running(MqttSource(me, now_ms, SOON)) as third:
        assert sorted(texts(await collect(third, name, 3), name)) == ["a", "b", "c"]


async def test_waiting_ends_when_there_are_enough_messages_or_bytes(broker: RunningBroker) -> None:
    name = lift()
    async with running(MqttSource(broker_at(broker.url), now_ms, SOON)) as source:
        source.acknowledge(source.take(10_000, 10**9))
        waits = asyncio.create_task(source.wait(1_000, 20, 1_000))
        await send(broker.device_url, status(name), ["x" * 400])
        await eventually(lambda: source.count)
        assert not waits.done()
        await send(broker.device_url, status(name), ["x" * 400] * 2)
        assert await waits
        assert not await source.wait(1_000, 0.05, 10_000)
        source.acknowledge(source.take(10_000, 10**9))
        assert not await source.wait(1, 0.05, 1)


async def test_suspended_it_leaves_the_broker_which_keeps_everything(broker: RunningBroker) -> None:
    name = lift()
    async with running(MqttSource(broker_at(broker.url), now_ms, SOON)) as source:
        assert source.collect_outage() is not None  # deaf until just now
        assert source.collect_outage() is None
        await send(broker.device_url, status(name), ["not taken"])
        await eventually(lambda: source.count > 0)
        source.suspend()
        await eventually(lambda: not source.hearing)
        left = now_ms()
        assert source.count == source.held == 0
        await send(broker.device_url, status(name), ["meanwhile"])
        assert not await source.wait(1, 0.5)
        source.resume()
        got = await collect(source, name, 2)
        since = source.collect_outage()
        assert since is not None
        assert left - 2_000 < since <= left
    assert sorted(texts(got, name)) == ["meanwhile", "not taken"]


async def test_a_repeat_on_the_same_connection_is_not_taken_twice(broker: RunningBroker) -> None:
    """NATS repeats after `ack_wait` whatever a slow database keeps us from acknowledging."""
    name = lift()
    async with running(MqttSource(broker_at(broker.url), now_ms, SOON)) as source:
        await send(broker.device_url, status(name), ["slow"])
        got = await collect(source, name, 1)
        seen = source._telemetry.connection
        await source.wait(1_000_000, REDELIVERY_S + 2)
        assert source._telemetry.connection is seen
        assert texts([source.take(10_000, 10**9)], name) == []
        for one in got:
            source.acknowledge(one)
        await send(broker.device_url, status(name), ["next"])
        # NATS may repeat in the very moment in which it takes the acknowledgement, then under another packet id.
        assert set(await until_quiet(source, name)) - {"slow"} == {"next"}


async def until_quiet(source: MqttSource, marker: str, seconds: float = 30) -> list[str]:
    """Take and acknowledge until nothing came for longer than the broker waits; what it was."""
    got: list[str] = []
    deadline = time.monotonic() + seconds
    while await source.wait(1, REDELIVERY_S + 1):
        assert time.monotonic() < deadline, f"{got} within {seconds} s"
        one = source.take(10_000, 10**9)
        got += texts([one], marker)
        source.acknowledge(one)
    return got


async def test_acknowledged_in_the_moment_of_its_repeat_nothing_is_lost_and_it_ends(broker: RunningBroker) -> None:
    name = lift()
    async with running(MqttSource(broker_at(broker.url), now_ms, SOON)) as source:
        sent = [str(n) for n in range(200)]
        await send(broker.device_url, status(name), sent)
        got = await collect(source, name, 200)
        last_ms = max(m.received_ms for one in got for m in one.messages)
        await source.wait(1_000_000, REDELIVERY_S - (now_ms() - last_ms) / 1000)
        for one in got:
            source.acknowledge(one)
        await send(broker.device_url, status(name), ["next"])
        after = await until_quiet(source, name)
        assert texts(got, name) == sent
        assert {"next"} <= set(after) <= {"next", *sent}
        assert source.held == 0


async def test_acknowledging_on_a_socket_that_died_raises_nothing_and_everything_comes_again(
    broker: RunningBroker,
) -> None:
    name = lift()
    async with running(MqttSource(broker_at(broker.url), now_ms, SOON)) as source:
        await send(broker.device_url, status(name), ["a", "b"])
        old = await collect(source, name, 2)
        connection = source._telemetry.connection
        assert connection is not None
        assert connection._tap is not None
        # The file is closed below the tap, as a reset by the peer would leave it, and nobody was told yet.
        connection._tap._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        for one in old:
            source.acknowledge(one)
        await eventually(lambda: source._telemetry.connection not in (None, connection) and source.hearing)
        assert sorted(texts(await collect(source, name, 2), name)) == ["a", "b"]


async def test_full_it_stops_reading_and_goes_on_when_there_is_room(broker: RunningBroker) -> None:
    name = lift()
    everything = {str(n) for n in range(260)}
    bounds = Bounds(messages=50, redelivery_s=0.0)
    async with running(MqttSource(broker_at(broker.url), now_ms, bounds)) as source:
        await send(broker.device_url, status(name), [str(n) for n in range(60)])
        await eventually(lambda: source.held >= 50)
        paused = source._telemetry.connection
        assert paused is not None
        assert paused._tap is not None
        assert paused._tap.paused
        await send(broker.device_url, status(name), [str(n) for n in range(60, 260)])
        assert not await source.wait(250, 0.5)
        seen: set[str] = set()
        while seen < everything:  # what waited too long may come more than once
            assert await source.wait(1, 5)
            one = source.take(1_000, 10**9)
            seen.update(texts([one], name))
            source.acknowledge(one)
        assert seen == everything
        assert not paused._tap.paused


async def test_an_alarm_does_not_wait_behind_telemetry(broker: RunningBroker) -> None:
    name = lift()
    bounds = Bounds(messages=100, redelivery_s=0.0)
    async with running(MqttSource(broker_at(broker.url), now_ms, bounds)) as source:
        await send(broker.device_url, status(name), ["x"] * 500)
        await eventually(lambda: source.held >= 100)
        await send(broker.device_url, f"se/v1/310104/lift/{name}/event", ["alarm"])
        await send(broker.device_url, f"calls/v1/310104/{name}", ["call"])
        await eventually(lambda: source._urgent.count >= 2)
        got = source.take(1_000, 10**6)
    assert {"alarm", "call"} < set(texts([got], name))


async def test_retained_links_are_marked_and_come_once_a_process(broker: RunningBroker) -> None:
    me, name = broker_at(broker.url), lift()
    await send(broker.device_url, f"se/v1/310104/lift/{name}/link", ["state"], retain=True)
    async with running(MqttSource(me, now_ms, SOON)) as source:
        got = await collect(source, name, 1)
        assert [m.retained for one in got for m in one.messages if name in m.topic] == [True]
        for one in got:
            source.acknowledge(one)
        source.suspend()
        await eventually(lambda: not source.hearing and source._urgent.connection is None)
        source.resume()
        await eventually(lambda: source.hearing and source._urgent.connection is not None)
        await send(broker.device_url, f"se/v1/310104/lift/{name}/event", ["after"])
        assert texts(await collect(source, name, 1), name) == ["after"]
    await send(broker.device_url, f"se/v1/310104/lift/{name}/link", [""], retain=True)


async def test_a_refused_subscription_is_said(broker: RunningBroker) -> None:
    """The login `device` may not read what devices send."""
    with pytest.raises(RefusedError, match=r"refused the subscription .*/(event|status) \(0x80\)"):
        await MqttSource(broker_at(broker.device_url), now_ms, SOON).run()


async def test_a_wrong_password_is_tried_again_not_fatal(broker: RunningBroker) -> None:
    parts = urlsplit(broker.url)
    wrong = Broker(
        host=parts.hostname or "", port=parts.port or 0, session_id="x", username="@centre", password="wrong"
    )
    source = MqttSource(wrong, now_ms, Bounds(back_off_s=0.1))
    task = asyncio.create_task(source.run())
    await eventually(lambda: source._telemetry.attempts > 2)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_broker_that_is_killed_is_met_again_with_everything(own_broker: RunningBroker) -> None:
    assert own_broker.server is not None
    me, name = broker_at(own_broker.url), lift()
    source = MqttSource(me, now_ms, Bounds(back_off_s=0.3, redelivery_s=REDELIVERY_S))
    async with running(source):
        await send(own_broker.device_url, status(name), ["1", "2", "3"])
        for one in await collect(source, name, 3):
            source.acknowledge(one)
        await send(own_broker.device_url, status(name), ["4", "5"])
        await collect(source, name, 2)
        child = own_broker.server._child
        assert child is not None
        child.kill()
        child.wait()
        await eventually(lambda: not source.hearing)
        assert source.held == 0
        await own_broker.server.start()
        await send(own_broker.device_url, status(name), ["6"])
        got = await collect(source, name, 3, 30)
    assert [one for one in texts(got, name) if one > "3"] == ["4", "5", "6"]


async def test_nothing_listens_there() -> None:
    connection = Connection(
        Broker(host="127.0.0.1", port=9, session_id="x", timeout_s=1), "telemetry", now_ms, lambda _: None
    )
    with pytest.raises(UnavailableError):
        await connection.open()
    await connection.close()


@pytest.mark.mosquitto
async def test_mosquitto_serves_as_well(mosquitto: RunningBroker) -> None:
    me, name = broker_at(mosquitto.url), lift()
    async with running(MqttSource(me, now_ms, SOON)) as source:
        await send(mosquitto.device_url, status(name), ["1", "2"])
        first, *_ = [one for one in await collect(source, name, 2) if one.messages]
        source.acknowledge(first)
        await send(mosquitto.device_url, f"se/v1/310104/lift/{name}/event", ["alarm"])
        await collect(source, name, 1)
    await send(mosquitto.device_url, status(name), ["3"])
    async with running(MqttSource(me, now_ms, SOON)) as source:
        got = await collect(source, name, 2)
    assert {"alarm", "3"} <= set(texts(got, name)) <= {"2", "alarm", "3"}


def test_the_filters_of_a_session_fit_into_its_packet_ids() -> None:
    for filters in (TELEMETRY, URGENT):
        assert len(filters) * MAX_ACK_PENDING <= 65_535
        assert not any("#" in one or "$share" in one for one in filters)


def test_wrong_certificate_files_are_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        tls_context(Path("/nowhere/ca.pem"), None, None)
