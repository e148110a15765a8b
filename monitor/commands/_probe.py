"""How long a deciding message takes to a listener: the other end of `tiwei bench ingest`.

It runs as a process of its own (`python -m monitor.commands._probe`) beside the load: it publishes car alarms and doors
that open on the way as a device does, listens at `WS live` as a console does, and reads both instants off one clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from monitor.commands._load import DIVISION, connect, remaining_length

#: Names of the lifts: one half rings, the other half opens its doors.
PREFIX = "P"
LIFTS = 200
#: So long the lifts are heard before anything is measured, s: their first samples wait for earlier ones.
WARM_UP_S = 6.0
#: So long after the last message its change may come, s.
PATIENCE_S = 10.0
#: A door that was opened on the way is closed again after this, s.
_OPEN_S = 1.0
_ALARM, _DOOR = "car_alarm_button", "door_open_while_moving"
_MOVING = {
    "service_mode": 1,
    "car_status": 1,
    "car_direction": 1,
    "door_zone": 0,
    "car_position": 4,
    "passenger": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where, for how long and how often."""

    host: str
    port: int
    user: str
    password: str
    url: str
    token: str
    seconds: float
    per_s: float = 40.0


def lift_name(place: int) -> str:
    """Its registration in the bench's centre."""
    return f"{PREFIX}{100_000 + place}"


@dataclass(slots=True)
class Heard:
    """Latencies by kind, s."""

    late: dict[str, list[float]] = field(default_factory=lambda: {_ALARM: [], _DOOR: []})
    sent: dict[str, int] = field(default_factory=lambda: {_ALARM: 0, _DOOR: 0})
    waiting: dict[tuple[str, str], float] = field(default_factory=dict)
    octets: int = 0

    def expect(self, kind: str, lift: str) -> None:
        """It is published now."""
        self.waiting[kind, lift] = time.perf_counter()
        self.sent[kind] += 1

    def take(self, text: str | bytes) -> None:
        """A message of the server."""
        now = time.perf_counter()
        self.octets += len(text)
        if len(text) > 100_000 or '"topic":"fault"' not in str(text).replace('": "', '":"'):
            return
        message = json.loads(text)
        body = message.get("body", {})
        if message.get("topic") != "fault" or body.get("state") != "raised":
            return
        sent = self.waiting.pop((body["fault"]["kind"], body["fault"]["equipment_id"]), None)
        if sent is not None:
            self.late[body["fault"]["kind"]].append(now - sent)

    def figures(self) -> dict[str, Any]:
        """Percentiles by nearest rank, ms."""
        return {kind: _percentiles(late) | {"sent": self.sent[kind]} for kind, late in self.late.items()}


def _percentiles(late: list[float]) -> dict[str, Any]:
    ranked = sorted(late)
    found: dict[str, Any] = {"seen": len(ranked)}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        place = max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1)
        found[f"{name}_ms"] = round(1000 * ranked[place], 1) if ranked else None
    return found


class Device:
    """A plain MQTT publisher for all lifts of the probe; acknowledgements are read and forgotten."""

    def __init__(self, plan: Plan) -> None:
        self._sock: socket.socket = connect(plan.host, plan.port, plan.user, plan.password, f"probe-{time.time_ns()}")
        self._seqs = [0] * LIFTS
        self._mid = 0
        asyncio.get_running_loop().add_reader(self._sock, lambda: self._sock.recv(65_536))

    def sample(self, place: int, **state: int) -> None:
        """One status message of that lift, now."""
        self._seqs[place] += 1
        self._publish(place, "status", {"seq": self._seqs[place], **_MOVING, **state})

    def ring(self, place: int) -> None:
        """The car alarm button of that lift, now."""
        self._publish(place, "event", {"code": 90, "state": "raised"})

    def _publish(self, place: int, channel: str, body: dict[str, int | str]) -> None:
        topic = f"se/v1/{DIVISION}/lift/{lift_name(place)}/{channel}".encode()
        payload = json.dumps({"ts": time.time_ns() // 1_000_000, **body}).encode()
        self._mid = self._mid % 65_535 + 1
        rest = struct.pack(">H", len(topic)) + topic + struct.pack(">H", self._mid) + payload
        self._sock.send(bytes([0x32]) + remaining_length(len(rest)) + rest)


async def run(plan: Plan) -> dict[str, Any]:
    """Publish, listen and tell."""
    from websockets.asyncio.client import connect as listen

    heard, device = Heard(), Device(plan)
    headers = {"Authorization": f"Bearer {plan.token}"}
    async with listen(plan.url, additional_headers=headers, max_size=None, compression=None) as live:
        hearing = asyncio.create_task(_hear(live, heard))
        await _warm_up(device)
        await _measure(plan, device, heard)
        end = time.monotonic() + PATIENCE_S
        while heard.waiting and time.monotonic() < end and not hearing.done():
            await asyncio.sleep(0.05)
        if hearing.done():
            hearing.result()
        hearing.cancel()
    return heard.figures() | {"octets": heard.octets}


async def _hear(live: Any, heard: Heard) -> None:
    async for message in live:
        heard.take(message)
    raise ConnectionError("the server ended the WebSocket")


async def _warm_up(device: Device) -> None:
    end = time.monotonic() + WARM_UP_S
    while time.monotonic() < end:
        for place in range(LIFTS):
            device.sample(place, door_closed=1)
        await asyncio.sleep(1.0)


async def _measure(plan: Plan, device: Device, heard: Heard) -> None:
    """Evenly, at instants fixed in advance: a pause of ours does not make us send less."""
    began = time.monotonic()
    open_since: list[tuple[float, int]] = []
    for step in range(int(plan.seconds * plan.per_s)):
        await asyncio.sleep(began + step / plan.per_s - time.monotonic())
        while open_since and open_since[0][0] < time.monotonic() - _OPEN_S:
            device.sample(open_since.pop(0)[1], door_closed=1)
        place = step % LIFTS
        if place % 2:
            heard.expect(_ALARM, lift_name(place))
            device.ring(place)
        else:
            heard.expect(_DOOR, lift_name(place))
            device.sample(place, door_closed=0)
            open_since.append((time.monotonic(), place))


def main() -> int:
    """The process: a Plan as JSON on standard input, figures as JSON on standard output."""
    argparse.ArgumentParser(description="probe of `tiwei bench ingest`; its plan comes by standard input").parse_args()
    print(json.dumps(asyncio.run(run(Plan(**json.load(sys.stdin))))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
