"""A town that lives by the wall clock and speaks MQTT: as single devices, or through gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from simulators.fleet import Town
from simulators.mqtt import Broker, Publisher, Will, tell_troubles
from simulators.network import Record
from simulators.world import World

#: How often the town is looked at, s.
TICK_S = 0.1
#: Objects in one gateway message.
GATEWAY_BATCH = 100
#: Devices that connect in one second.
CONNECTS_PER_S = 200
#: How long the end waits for what is still on its way, s.
FAREWELL_S = 5.0


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was published."""

    records: int = 0
    sent: int = 0
    acked: int = 0
    dropped: int = 0
    reconnects: int = 0


class Devices:
    """Each equipment on a connection of its own, its link state as its retained will.

    An outage of the scenario that is long enough for the will is a real one: the connection is cut, and the broker
    tells. Calls go over one more connection, that of the call system.
    """

    def __init__(self, town: Town, broker: Broker, *, now_ms: int) -> None:
        self._calls = Publisher(broker, "sim-calls")
        self.publishers = [self._calls]
        self._of_unit: list[Publisher] = []
        last_words = f'{{"ts":{now_ms},"online":false}}'.encode()
        specs = [("lift", spec.equipment_id, spec.division) for spec in town.lifts]
        specs += [(spec.kind, spec.equipment_id, spec.division) for spec in town.plants]
        for kind, equipment_id, division in specs:
            will = Will(f"se/v1/{division}/{kind}/{equipment_id}/link", last_words)
            publisher = Publisher(broker, f"sim-{equipment_id}", will=will)
            self._of_unit.append(publisher)
            self.publishers.append(publisher)

    def send(self, records: list[Record]) -> None:
        for record in records:
            if record.topic.startswith("calls/"):
                self._calls.publish(record.topic, record.payload)
                continue
            publisher = self._of_unit[record.unit]
            link = record.topic.endswith("/link")
            if link and record.payload.endswith("false}"):
                publisher.cut()
                continue
            if link:
                publisher.restore()
            publisher.publish(record.topic, record.payload, retain=link)


class Gateways:
    """`count` connections; each carries its share of the equipment.

    With `batched`, samples and events go as arrays on `@gateway` topics; else, and always for `link`, on the topics of
    the equipment.
    """

    def __init__(self, broker: Broker, *, count: int, batched: bool) -> None:
        self.names = [f"sim-{n + 1:02d}" for n in range(count)]
        self.publishers = [Publisher(broker, name, in_flight=1_000) for name in self.names]
        self._batched = batched

    def send(self, records: list[Record]) -> None:
        batches: dict[tuple[int, str], list[str]] = {}
        for record in records:
            gateway = record.unit % len(self.publishers)
            head, _, channel = record.topic.rpartition("/")
            if not self._batched or channel not in ("status", "event"):
                self.publishers[gateway].publish(record.topic, record.payload, retain=channel == "link")
                continue
            head, _, equipment_id = head.rpartition("/")
            objects = batches.setdefault((gateway, f"{head}/@{self.names[gateway]}/{channel}"), [])
            objects.append(f'{{"equipment_id":"{equipment_id}",{record.payload[1:]}')
        for (gateway, topic), objects in batches.items():
            for first in range(0, len(objects), GATEWAY_BATCH):
                self.publishers[gateway].publish(topic, f"[{','.join(objects[first : first + GATEWAY_BATCH])}]")


async def connect_all(
    publishers: list[Publisher], group: asyncio.TaskGroup, stop: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Start every publisher, not all at one moment; returns when all are connected, or `stop` is set."""
    tasks = []
    for n, publisher in enumerate(publishers):
        tasks.append(group.create_task(publisher.run(), name=publisher.client_id))
        if n % 20 == 19:
            await asyncio.sleep(20 / CONNECTS_PER_S)
    stopped = asyncio.create_task(stop.wait())
    for publisher in publishers:
        up = asyncio.create_task(publisher.up.wait())
        await asyncio.wait((up, stopped), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
    stopped.cancel()
    return tasks


async def live(
    senders: Devices | Gateways,
    make_world: Callable[[int], World],
    *,
    clock: Callable[[], int],
    duration_s: float | None,
    speed: float,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
    on_trouble: Callable[[str], None] = lambda _text: None,
) -> Counts:
    """Publish a town at the pace of `clock` (ms) times `speed`, until `stop` or `duration_s` of the town's time.

    The town begins when everybody is connected. Raises RefusedConnectionError (in a group) when the broker refuses.
    """
    counts = Counts()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(tell_troubles(senders.publishers, on_trouble))
        tasks = [watch, *await connect_all(senders.publishers, group, stop)]
        begun = clock()
        world = make_world(begun)
        if not stop.is_set():
            on_ready()
        while not stop.is_set():
            lived_ms = int((clock() - begun) * speed)
            if duration_s is not None and lived_ms >= duration_s * 1000:
                break
            records = world.due(begun + lived_ms)
            counts.records += len(records)
            senders.send(records)
            await _until(stop, TICK_S)
        await _farewell(senders.publishers)
        for task in tasks:
            task.cancel()
    for publisher in senders.publishers:
        counts.sent += publisher.sent
        counts.acked += publisher.acked
        counts.dropped += publisher.dropped
        counts.reconnects += publisher.reconnects
    return counts


async def _until(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _farewell(publishers: list[Publisher]) -> None:
    try:
        async with asyncio.timeout(FAREWELL_S):
            for publisher in publishers:
                await publisher.settled()
    except TimeoutError:
        return
