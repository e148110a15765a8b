"""A load of MQTT messages for `tiwei bench ingest`: many lifts, QoS 1, counted acknowledgements, almost no CPU.

It runs as a process of its own (`python -m monitor.commands._load`): messages are filled into byte matrices and written
to sockets without a client library, because what is measured is the centre and not its load. `ts` of a sample is the
instant at which it was due to be sent, so that waiting in the load itself counts as delay too.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Lifts are L100000, L100001 ...: identifiers of one length.
FIRST_LIFT = 100_000
#: `seq` begins here, so that it keeps its seven digits.
FIRST_SEQ = 1_000_001
DIVISION = "310104"
#: Messages of one connection sent and not acknowledged, at most.
WINDOW = 4_000
#: Packets made at once.
_AHEAD = 512
_TICK_S = 0.004
_TELL_S = 0.5

#: A trip from floor 2 to 6 and a rest, one row a sample:
#: car_status, car_direction, door_zone, car_position, door_closed, passenger, speed_mps.
_CYCLE = (
    (0, 0, 1, 2, 0, 0, "0.00"),
    (0, 0, 1, 2, 0, 1, "0.00"),
    (0, 0, 1, 2, 1, 1, "0.00"),
    (1, 1, 0, 3, 1, 1, "1.20"),
    (1, 1, 0, 4, 1, 1, "1.60"),
    (1, 1, 0, 5, 1, 1, "1.60"),
    (1, 1, 0, 6, 1, 1, "0.60"),
    (0, 0, 1, 6, 1, 1, "0.00"),
    (0, 0, 1, 6, 0, 1, "0.00"),
    (0, 0, 1, 6, 0, 0, "0.00"),
    (0, 0, 1, 6, 1, 0, "0.00"),
    (0, 0, 1, 6, 1, 0, "0.00"),
    (1, 2, 0, 5, 1, 0, "1.60"),
    (1, 2, 0, 3, 1, 0, "1.20"),
    (0, 0, 1, 2, 1, 0, "0.00"),
    (0, 0, 1, 2, 1, 0, "0.00"),
)
_SAMPLE = (
    '{"equipment_id":"L%06d","ts":%013d,"seq":%07d,"service_mode":1,"car_status":%d,"car_direction":%d,"door_zone":%d,'
    '"car_position":%d,"door_closed":%d,"passenger":%d,"speed_mps":%s}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent: `samples` single ones, or in gateway messages of `per_message` each, over `lifts` lifts in turn."""

    host: str
    port: int
    user: str
    password: str
    lifts: int
    samples: int
    per_message: int = 1
    #: Samples a second; 0: as fast as they are taken.
    rate: float = 0.0
    connections: int = 4
    #: Samples already sent of these lifts by an earlier load: `seq` goes on.
    before: int = 0


class Writer:
    """Samples as MQTT PUBLISH packets of QoS 1, many at once."""

    def __init__(self, per_message: int) -> None:
        self._per_message = per_message
        states = [_SAMPLE % (0, 0, 0, *row) for row in _CYCLE]
        self._states = np.array([np.frombuffer(one.encode(), np.uint8) for one in states])
        text = states[0]
        self._id = text.index("L000000") + 1
        self._ts = text.index('"ts":') + 5
        self._seq = text.index('"seq":') + 6
        # A single sample names its equipment in the topic alone.
        self._begin = text.index('"ts"') if per_message == 1 else 0
        width = len(text) - self._begin + (1 if per_message == 1 else 0)
        self._size = width if per_message == 1 else width * per_message + per_message + 1
        name = "L000000" if per_message == 1 else "@gw-0000"
        topic = f"se/v1/{DIVISION}/lift/{name}/status".encode()
        self._topic_id = topic.index(name.encode()) + len(name) - (6 if per_message == 1 else 4)
        body = struct.pack(">H", len(topic)) + topic + b"\0\0"
        self._head = bytes([0x32]) + remaining_length(len(body) + self._size) + body
        self._topic_at = len(self._head) - len(topic) - 2

    def write(
        self, lifts: NDArray[np.int64], seqs: NDArray[np.int64], ts: NDArray[np.int64], gateway: int
    ) -> NDArray[np.uint8]:
        """One row of bytes a packet, with packet id 0; the arrays hold whole messages, a multiple of `per_message`."""
        rows = self._states[(lifts + seqs) % len(_CYCLE)]
        _digits(rows, self._id, 6, lifts + FIRST_LIFT)
        _digits(rows, self._ts, 13, ts)
        _digits(rows, self._seq, 7, seqs)
        count = len(lifts) // self._per_message
        packets = np.empty((count, len(self._head) + self._size), np.uint8)
        packets[:, : len(self._head)] = np.frombuffer(self._head, np.uint8)
        payload = packets[:, len(self._head) :]
        if self._per_message == 1:
            _digits(packets, self._topic_at + self._topic_id, 6, lifts + FIRST_LIFT)
            payload[:, 0] = ord("{")
            payload[:, 1:] = rows[:, self._begin :]
            return packets
        _digits(packets, self._topic_at + self._topic_id, 4, np.full(count, gateway))
        objects = payload[:, 1:].reshape(count, self._per_message, -1)
        objects[:, :, :-1] = rows.reshape(count, self._per_message, -1)
        objects[:, :, -1] = ord(",")
        payload[:, 0], payload[:, -1] = ord("["), ord("]")
        return packets

    @property
    def id_at(self) -> int:
        """Where in a packet its id stands, two bytes."""
        return len(self._head) - 2


def _digits(rows: NDArray[np.uint8], at: int, width: int, values: NDArray[np.int64]) -> None:
    for place in range(width):
        rows[:, at + width - 1 - place] = ord("0") + values // 10**place % 10


def remaining_length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value.encode())) + value.encode()


def connect(host: str, port: int, user: str, password: str, client_id: str) -> socket.socket:
    """A connection of a clean session that may publish. Raises ConnectionError, OSError."""
    sock = socket.create_connection((host, port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = _text("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", 0) + _text(client_id) + _text(user) + _text(password)
    sock.sendall(bytes([0x10]) + remaining_length(len(body)) + body)
    answer = sock.recv(4, socket.MSG_WAITALL)
    if answer[:1] != b"\x20" or answer[3:] != b"\0":
        raise ConnectionError(f"the broker refused the load: {answer.hex()}")
    sock.setblocking(False)
    return sock


class _Line:
    """One connection: its share of the lifts, what it sent, what was acknowledged."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan = plan
        self.number = number
        self.sock = connect(plan.host, plan.port, plan.user, plan.password, f"load-{time.time_ns()}-{number}")
        self.total = (plan.samples // plan.per_message + plan.connections - 1 - number) // plan.connections
        self.sent = 0
        self.acknowledged = 0
        self._first = number * plan.lifts // plan.connections
        self._lifts = (number + 1) * plan.lifts // plan.connections - self._first
        self._writer = Writer(plan.per_message)
        self._made = np.empty((0, 0), np.uint8)
        self._rest = b""
        self._odd = b""

    def pump(self, due: int, began_ms: float) -> None:
        """Send what is due by now (in messages), as far as window and socket let us."""
        while True:
            if self._rest:
                try:
                    self._rest = self._rest[self.sock.send(self._rest) :]
                except BlockingIOError:
                    return
                continue
            if self.sent == self.total:
                return
            if not len(self._made):
                self._made = self._packets(min(_AHEAD, self.total - self.sent), began_ms)
            count = min(due - self.sent, self.acknowledged + WINDOW - self.sent, len(self._made))
            if count <= 0:
                return
            self._rest, self._made = self._made[:count].tobytes(), self._made[count:]
            self.sent += count

    def _packets(self, count: int, began_ms: float) -> NDArray[np.uint8]:
        """The next packets. At a fixed rate each sample has its own due time, else that of their making."""
        each = self.plan.per_message
        place = np.arange(self.sent * each, (self.sent + count) * each)
        if self.plan.rate:
            ts = began_ms + 1000 * (place // each) * each * self.plan.connections / self.plan.rate
        else:
            ts = np.full(len(place), time.time() * 1000)
        turn = self.plan.before // self.plan.lifts
        packets = self._writer.write(
            self._first + place % self._lifts,
            FIRST_SEQ + turn + place // self._lifts,
            ts.astype(np.int64),
            self.number,
        )
        ids = (np.arange(self.sent, self.sent + count) % 65_535 + 1).astype(">u2")
        packets[:, self._writer.id_at : self._writer.id_at + 2] = ids.view(np.uint8).reshape(-1, 2)
        return packets

    def read(self) -> None:
        """Count acknowledgements: 4 bytes each, nothing else comes."""
        data = self._odd + self.sock.recv(262_144)
        if len(data) == len(self._odd):
            raise ConnectionError("the broker closed the connection of the load")
        self.acknowledged += len(data) // 4
        self._odd = data[len(data) // 4 * 4 :]


def run(plan: Plan) -> dict[str, float]:
    """Send everything and wait for the last acknowledgement; what it took. Says on the way how far it is."""
    lines = [_Line(plan, number) for number in range(plan.connections)]
    poll = selectors.DefaultSelector()
    for line in lines:
        poll.register(line.sock, selectors.EVENT_READ, line)
    wall, began, cpu = time.time(), time.monotonic(), time.process_time()
    per_s = plan.rate / plan.per_message / plan.connections
    told = began
    while any(line.acknowledged < line.total for line in lines):
        passed = time.monotonic() - began
        for line in lines:
            line.pump(min(line.total, int(passed * per_s)) if per_s else line.total, wall * 1000)
        for key, _ in poll.select(_TICK_S):
            key.data.read()
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            print(json.dumps({"acknowledged": sum(line.acknowledged for line in lines)}), flush=True)
    return {
        "began": wall,
        "acknowledged": sum(line.acknowledged for line in lines),
        "messages": sum(line.sent for line in lines),
        "cpu_s": time.process_time() - cpu,
    }


def main() -> int:
    """The process: a Plan as JSON on standard input, figures as lines of JSON on standard output."""
    argparse.ArgumentParser(description="load for `tiwei bench ingest`; its plan comes by standard input").parse_args()
    print(json.dumps(run(Plan(**json.load(sys.stdin)))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
