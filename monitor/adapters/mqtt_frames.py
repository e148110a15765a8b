"""MQTT 3.1.1 frames in bulk: telemetry is taken out of the byte stream before paho sees it.

paho reads each packet with three system calls and hands it over through locks and callbacks: 30 us a message. Here
one `recv` brings some hundred frames, split in one loop (about 1 us each); everything that is not a PUBLISH of QoS 0
or 1 goes on to paho, which keeps the connection, its handshake and its keep-alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from monitor.messages.decode import Inbound

#: Bytes asked of the socket at once.
RECV = 131_072
#: A frame longer than this is no message of ours and no broker that we set up lets it through (`max_payload`).
FRAME_LIMIT = 32 * 1024 * 1024
#: So long after our PUBACK a repeat may still be on its way here, ms. What is left out wrongly (an old message under an
#: id that was used and acknowledged just before) is not acknowledged either, and comes again.
CROSSING_MS = 3_000

_PUBLISH = 0x30
_QOS_1 = 0x02
_QOS_2 = 0x04
_DUP = 0x08
_PUBACK = 0x4002


class BrokenStreamError(ConnectionError):
    """The bytes are not MQTT; the connection is given up."""


class Socket(Protocol):
    """What paho asks of a socket (TCP, TLS or a wrapper)."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: Any, /) -> int: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...
    def setblocking(self, flag: bool, /) -> None: ...


class PacketIds:
    """What became of each packet id of one connection; instants in ms.

    NATS repeats on the same connection what takes longer than its `ack_wait`, and its repeat may cross our PUBACK on
    the way. A repeat that counted as a message of its own would have its packet id acknowledged once more, when the
    broker may have given that id to another message: so it is left out while its message is held and a little longer.
    """

    def __init__(self) -> None:
        self._held = np.zeros(65_536, np.int32)
        self._acknowledged_ms = np.full(65_536, np.iinfo(np.int64).min // 2)

    def hold(self, mids: list[int]) -> None:
        """Their messages are here and not acknowledged."""
        np.add.at(self._held, mids, 1)

    def release(self, mids: list[int], now_ms: int) -> list[int]:
        """Their messages need not be held any more; returns the ids that can be acknowledged.

        An id that the broker gave to a second message before it heard of the first waits for the second.
        """
        shared = bool((self._held[mids] > 1).any())
        np.subtract.at(self._held, mids, 1)
        if shared:
            mids = [mid for mid in dict.fromkeys(mids) if not self._held[mid]]
        self._acknowledged_ms[mids] = now_ms
        return mids

    def is_repeat(self, mid: int, now_ms: int) -> bool:
        """Whether a PUBLISH with the DUP flag repeats what this connection brought already."""
        return bool(self._held[mid]) or now_ms - int(self._acknowledged_ms[mid]) <= CROSSING_MS


class Splitter:
    """Cuts a byte stream into frames; holds what is incomplete until the rest comes. Repeats are left out."""

    def __init__(self, ids: PacketIds) -> None:
        self._ids = ids
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 2

    def split(self, chunk: bytes, received_ms: int, messages: list[Inbound], mids: list[int]) -> bytes:
        """Append every complete PUBLISH to `messages` and its packet id to `mids` (0 for QoS 0).

        Returns the other frames, whole, as one byte string. Raises BrokenStreamError.
        """
        self._parts.append(chunk)
        self._have += len(chunk)
        if self._have < self._need:
            return b""
        data = b"".join(self._parts) if len(self._parts) > 1 else chunk
        others, rest, self._need = self._cut(data, received_ms, messages, mids)
        self._parts = [data[rest:]] if rest < len(data) else []
        self._have = len(data) - rest
        return others

    def _cut(self, data: bytes, received_ms: int, messages: list[Inbound], mids: list[int]) -> tuple[bytes, int, int]:
        """Returns the frames that are no telemetry, where the incomplete rest begins, and how long it must become."""
        others: list[bytes] = []
        here, end = 0, len(data)
        while True:
            if end - here < 2:
                return b"".join(others), here, 2
            length, body = data[here + 1], here + 2
            if length & 0x80:
                if end - here > 2 and data[here + 2] < 0x80:  # two bytes, as nearly always
                    length, body = length & 0x7F | data[here + 2] << 7, here + 3
                else:
                    length, body = _long_length(data, here)
                if length < 0:
                    return b"".join(others), here, end - here + 1
            stop = body + length
            if stop > end:
                return b"".join(others), here, stop - here
            first = data[here]
            if first & 0xF0 == _PUBLISH and not first & _QOS_2:
                after = body + 2 + (data[body] << 8 | data[body + 1]) if length > 1 else stop + 1
                payload = after + (first & _QOS_1)
                if payload > stop:
                    raise BrokenStreamError("a PUBLISH shorter than its own header")
                mid = data[after] << 8 | data[after + 1] if first & _QOS_1 else 0
                if first & _DUP and self._ids.is_repeat(mid, received_ms):
                    here = stop
                    continue
                mids.append(mid)
                topic = data[body + 2 : after].decode(errors="replace")
                messages.append(Inbound(topic, data[payload:stop], received_ms, first & 1 == 1))
            else:
                others.append(data[here:stop])
            here = stop


def _long_length(data: bytes, here: int) -> tuple[int, int]:
    """The remaining length of 2 to 4 bytes and where the body begins; (-1, 0) when not all of it is here."""
    length = 0
    for place in range(4):
        at = here + 1 + place
        if at >= len(data):
            return -1, 0
        length |= (data[at] & 0x7F) << (7 * place)
        if not data[at] & 0x80:
            if length > FRAME_LIMIT:
                raise BrokenStreamError(f"a frame of {length} bytes")
            return length, at + 1
    raise BrokenStreamError("a remaining length of more than 4 bytes")


def pubacks(mids: list[int]) -> bytes:
    """One PUBACK packet for each packet id, joined to be sent at once."""
    packets = np.empty((len(mids), 2), ">u2")
    packets[:, 0] = _PUBACK
    packets[:, 1] = mids
    return packets.tobytes()


class Tap:
    """The socket that paho sees: `recv` yields all frames but telemetry, which goes to `deliver` on the way.

    `deliver(messages, mids, size)` is called once a chunk read, size being its bytes. While `paused` nothing is read.
    """

    def __init__(
        self,
        sock: Socket,
        clock: Callable[[], int],
        deliver: Callable[[list[Inbound], list[int], int], None],
        ids: PacketIds,
    ) -> None:
        self._sock = sock
        self._clock = clock
        self._deliver = deliver
        self._splitter = Splitter(ids)
        self._control = bytearray()
        self.paused = False

    def recv(self, size: int, /) -> bytes:
        """Bytes of control frames; b"" at the end of the stream; BlockingIOError when there are none now."""
        if not self._control and self._pull():
            return b""
        if not self._control:
            raise BlockingIOError
        taken = bytes(self._control[:size])
        del self._control[:size]
        return taken

    def _pull(self) -> bool:
        """Read one chunk and sort it; True at the end of the stream."""
        if self.paused:
            return False
        chunk = self._sock.recv(RECV)
        if not chunk:
            return True
        messages: list[Inbound] = []
        mids: list[int] = []
        self._control += self._splitter.split(chunk, self._clock(), messages, mids)
        if messages:
            self._deliver(messages, mids, len(chunk))
        return False

    def pending(self) -> int:
        """Bytes that are waiting here, where no poll of the socket would find them."""
        below = getattr(self._sock, "pending", None)
        return len(self._control) + (0 if below is None or self.paused else int(below()))

    def send(self, data: Any, /) -> int:
        return self._sock.send(data)

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool, /) -> None:
        self._sock.setblocking(flag)
