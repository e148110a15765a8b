"""A small world of lifts, independent of the detectors: what a terminal sends (protocol §2) and how it arrives.

A `Lift` is told what happens (`run_to`, `open_door`, `wait` ...) and fills its `mail`, one `Message` for each sample,
at the cadence of §2, each received `latency` ms after it was sent. Functions in `network.py` delay, lose, double and
reorder mail. Instants are ms since `T0` of true time, unless a name says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.messages.decode import Inbound

#: 2025-12-01 00:00 UTC.
T0 = 1_764_547_200_000
DIVISION = "610926"
FLOOR_M = 3.0
#: Metres a second: a floor each two seconds.
SPEED = 1.5
RATED = 1.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: sent and received at, ms since T0."""

    sent: int
    at: int
    topic: str
    payload: Any
    retained: bool = False

    def delayed_until(self, at: int) -> Message:
        """The same, received at another instant."""
        return replace(self, at=at)

    def __repr__(self) -> str:
        """Short: many of them are shown when a search finds something."""
        return f"{self.sent}->{self.at} {self.topic.rpartition('/')[2]} {json.dumps(self.payload)}"

    @property
    def code(self) -> int | None:
        """The code of an event, None for other messages."""
        return self.payload.get("code") if isinstance(self.payload, dict) else None

    def inbound(self) -> Inbound:
        """As the decoder takes it."""
        return Inbound(self.topic, json.dumps(self.payload).encode(), T0 + self.at, self.retained)

    def record(self) -> str:
        """As a line of a replay file."""
        return json.dumps({"at": T0 + self.at, "topic": self.topic, "payload": self.payload})


def registry_entry(equipment_id: str, kind: str = "lift", **more: Any) -> dict[str, Any]:
    """A registry entry: a lift of floors 1 to 10."""
    entry: dict[str, Any] = {"equipment_id": equipment_id, "division": DIVISION, "kind": kind, "rescue_code": "123456"}
    if kind == "lift":
        entry |= {"bottom_floor": 1, "top_floor": 10, "floor_height_m": FLOOR_M, "rated_speed_mps": RATED}
    return entry | more


@dataclass(slots=True, kw_only=True)
class Lift:
    """One lift and its terminal. `clock`: device's clock minus true time, ms. `without`: fields it never sends."""

    equipment_id: str = "L-1"
    clock: int = 0
    counts: bool = True
    without: tuple[str, ...] = ()
    latency: int = 100
    now: int = 0
    floor: int = 1
    kind: str = "lift"
    reports: str = "samples"
    seq: int = 0
    silent: bool = False
    mail: list[Message] = field(default_factory=list, repr=False)
    state: dict[str, Any] = field(default_factory=dict)
    _last: int = 0

    def __post_init__(self) -> None:
        """It stands at its floor, door closed, nobody aboard, and has reported so for 10 s."""
        height = (self.floor - 1) * FLOOR_M
        self.state = {
            "service_mode": 1,
            "car_status": 0,
            "car_direction": 0,
            "door_zone": 1,
            "car_position": self.floor,
            "door_closed": 1,
            "passenger": 0,
            "speed_mps": 0.0,
            "position_m": height,
            "power": 1,
            **self.state,
        }
        self.sample()
        self.wait(10)

    # -- what it sends

    @property
    def s(self) -> float:
        """Seconds since T0."""
        return self.now / 1000

    def topic(self, channel: str) -> str:
        """Its topic of that channel."""
        return f"se/v1/{DIVISION}/{self.kind}/{self.equipment_id}/{channel}"

    def send(self, channel: str, payload: dict[str, Any], *, retained: bool = False) -> None:
        """Put a message into the mail; `ts` is the device's clock."""
        payload = {"ts": T0 + self.now + self.clock, **payload}
        self.mail.append(
            Message(
                sent=self.now, at=self.now + self.latency, topic=self.topic(channel), payload=payload, retained=retained
            )
        )

    def sample(self) -> None:
        """Send the state as it is; while `silent` the sample is never made."""
        if not self.counts and self._last == self.now:
            self.now += 1  # without numbers two samples of one instant would be one fact twice
        self._last = self.now
        if self.silent:
            return
        self.seq += 1
        payload = {"seq": self.seq, **self.state} if self.counts else dict(self.state)
        self.send("status", {k: v for k, v in payload.items() if k not in self.without})

    def event(self, code: int, state: str = "raised", **more: Any) -> None:
        """Send a coded event."""
        self.send("event", {"code": code, "state": state, **more})

    def link(self, *, online: bool, retained: bool = False) -> None:
        """The session with the broker begins or ends."""
        self.send("link", {"online": online}, retained=retained)

    # -- what happens

    def change(self, **fields: Any) -> None:
        """Something changes; a sample tells. A value of None: the field is not sent any more."""
        for name, value in fields.items():
            if value is None:
                self.state.pop(name, None)
            else:
                self.state[name] = value
        self.sample()

    def wait(self, seconds: float) -> None:
        """Time passes: a sample each second while it moves or a door is open, else each 10 s."""
        until = self.now + round(seconds * 1000)
        while True:
            busy = self.state.get("car_status") == 1 or self.state.get("door_closed") == 0
            due = self._last + (1000 if busy else 10_000)
            if self.reports == "changes" or due > until:
                break
            self.now = due
            self._tick()
            self.sample()
        self.now = until

    def _tick(self) -> None:
        return

    def skip(self, seconds: float) -> None:
        """Time passes and nothing is sent, though the terminal is well: its next sample follows on in `seq`."""
        self.now += round(seconds * 1000)
        self._last = self.now

    def unheard(self, seconds: float) -> None:
        """Time passes, the terminal makes no samples (and counts none)."""
        self.silent = True
        self.wait(seconds)
        self.silent = False

    def open_door(self) -> None:
        """The door opens."""
        self.change(door_closed=0)

    def close_door(self) -> None:
        """The door closes."""
        self.change(door_closed=1)

    def board(self, *, dwell: float = 3) -> None:
        """The door opens, somebody walks in, the door closes."""
        self.open_door()
        self.wait(1)
        self.change(passenger=1)
        self.wait(dwell)
        self.close_door()

    def alight(self, *, dwell: float = 3) -> None:
        """The door opens, everybody leaves, the door closes."""
        self.open_door()
        self.wait(1)
        self.change(passenger=0)
        self.wait(dwell)
        self.close_door()

    def depart(self, direction: int = 1) -> None:
        """The car starts to move, still in the zone; half a second later it is outside."""
        self.change(car_status=1, car_direction=direction)
        self.now += 500
        self._move(0.3 if direction == 1 else -0.3)
        self.change(speed_mps=SPEED, door_zone=0)

    def _move(self, metres: float) -> None:
        height = round(self.state.get("position_m", (self.floor - 1) * FLOOR_M) + metres, 3)
        self.floor = int((height + FLOOR_M / 2) // FLOOR_M) + 1
        self.state |= {"position_m": height, "car_position": self.floor}

    def run_to(self, floor: int) -> None:
        """Run to `floor` and stop there, door closed; a sample at each zone's edge and each second."""
        assert floor != self.floor
        up = floor > self.floor
        self.depart(1 if up else 2)
        target = (floor - 1) * FLOOR_M
        while (left := abs(target - self.state["position_m"])) > 1e-6:
            step = min(0.9, left)
            self.now += round(step / SPEED * 1000)
            self._move(step if up else -step)
            level = abs(self.state["position_m"] / FLOOR_M - round(self.state["position_m"] / FLOOR_M)) < 0.05
            self.change(door_zone=int(level))
        self.now += 500
        self.change(car_status=0, car_direction=0, speed_mps=0.0)

    def stop_between(self, floor: int) -> None:
        """Run towards `floor` and stop half a floor before it, out of any zone."""
        up = floor > self.floor
        self.run_to(floor - 1 if up else floor + 1) if abs(floor - self.floor) > 1 else None
        self.depart(1 if up else 2)
        self.now += 800
        self._move(1.2 if up else -1.2)
        self.change()
        self.now += 500
        self.change(car_status=0, car_direction=0, speed_mps=0.0)

    def level_and_open(self) -> None:
        """A rescuer brings the car off its place between floors to the next floor down and opens."""
        height = (self.state["position_m"] // FLOOR_M) * FLOOR_M
        self.change(car_status=1, car_direction=2, speed_mps=0.1)
        self.wait(3)
        self._move(height - self.state["position_m"])
        self.change(door_zone=1)
        self.change(car_status=0, car_direction=0, speed_mps=0.0)
        self.wait(1)
        self.open_door()

    def set_clock(self, by_s: float) -> None:
        """The device's clock is set by so much."""
        self.clock += round(by_s * 1000)

    def reboot(self, seconds: float) -> None:
        """The terminal starts again after so much time without samples; its numbers start again."""
        self.unheard(seconds)
        self.seq = 0
        self.sample()


def merged(*mails: Iterable[Message]) -> list[Message]:
    """Mail of several senders in order of receipt."""
    return sorted((m for mail in mails for m in mail), key=lambda m: m.at)
