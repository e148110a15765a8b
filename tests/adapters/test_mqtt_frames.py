"""Cutting the byte stream: every message once, whole, however the bytes arrive."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.mqtt_frames import CROSSING_MS, FRAME_LIMIT, BrokenStreamError, PacketIds, Splitter, Tap, pubacks
from monitor.messages.decode import Inbound

PINGRESP = b"\xd0\x00"
SUBACK = b"\x90\x03\x00\x01\x01"


def length(size: int) -> bytes:
    out = b""
    while True:
        size, low = divmod(size, 128)
        out += bytes([low | (128 if size else 0)])
        if not size:
            return out


def publish(
    topic: str, payload: bytes, *, mid: int = 0, qos: int = 1, dup: bool = False, retain: bool = False
) -> bytes:
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + (struct.pack(">H", mid) if qos else b"") + payload
    return bytes([0x30 | dup << 3 | qos << 1 | retain]) + length(len(body)) + body


def split(splitter: Splitter, chunks: list[bytes]) -> tuple[bytes, list[Inbound], list[int]]:
    messages: list[Inbound] = []
    mids: list[int] = []
    others = b"".join(splitter.split(chunk, 7, messages, mids) for chunk in chunks)
    return others, messages, mids


frames = st.lists(
    st.one_of(
        st.builds(
            publish,
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
            st.one_of(st.binary(max_size=300), st.integers(100, 40_000).map(bytes)),
            mid=st.integers(1, 65_535),
            qos=st.sampled_from([0, 1]),
            retain=st.booleans(),
        ),
        st.sampled_from([PINGRESP, SUBACK, publish("two", b"x", mid=9, qos=2)]),
    ),
    max_size=12,
)


@given(frames, st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = split(Splitter(PacketIds()), [stream])
    assert split(Splitter(PacketIds()), [one for one in chunks if one]) == whole
    assert whole[0] == b"".join(one for one in sent if one[0] >> 4 != 3 or one[0] & 4)
    assert len(whole[1]) == sum(one[0] >> 4 == 3 and not one[0] & 4 for one in sent)


def test_a_message_keeps_topic_payload_receipt_and_retain_flag() -> None:
    stream = publish("a/b", b"{}", mid=513, retain=True) + publish("c", b"", qos=0)
    _, messages, mids = split(Splitter(PacketIds()), [stream])
    assert messages == [Inbound("a/b", b"{}", 7, True), Inbound("c", b"", 7, False)]
    assert mids == [513, 0]


def test_a_topic_that_is_no_utf8_is_a_message_all_the_same() -> None:
    body = struct.pack(">H", 2) + b"\xff\xfe" + b"\0\1" + b"x"
    _, messages, _ = split(Splitter(PacketIds()), [b"\x32" + length(len(body)) + body])
    assert messages[0].topic == "\ufffd\ufffd"


def test_a_repeat_is_left_out_while_its_message_is_held_and_while_it_may_cross_the_acknowledgement() -> None:
    ids = PacketIds()
    ids.hold([7, 8, 9])
    assert ids.release([8], 7) == [8]
    assert ids.release([9], 7 - CROSSING_MS - 1) == [9]
    repeats = [publish("t", b"%d" % mid, mid=mid, dup=True) for mid in (6, 7, 8, 9)]
    _, messages, mids = split(Splitter(ids), [*repeats, publish("t", b"new", mid=8)])
    assert [one.payload for one in messages] == [b"6", b"9", b"new"]
    assert mids == [6, 9, 8]


def test_an_id_that_two_messages_have_is_acknowledged_once_and_after_both() -> None:
    ids = PacketIds()
    ids.hold([7])
    ids.hold([7, 8])
    assert ids.release([7, 8], 0) == [8]
    assert ids.release([7], 0) == [7]
    ids.hold([7, 7])
    assert ids.release([7, 7], 0) == [7]


@pytest.mark.parametrize(
    "stream",
    [
        b"\x32\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32" + length(FRAME_LIMIT + 1),
        b"\x32\x03\x00\x09a",  # a topic longer than the packet
        b"\x32\x00",
        b"\x32\x01\x00",
        b"\x32\x04\x00\x02ab",  # no room for the packet id
    ],
)
def test_what_is_no_mqtt_breaks_the_stream(stream: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        split(Splitter(PacketIds()), [stream])


def test_acknowledgements_are_one_packet_each() -> None:
    assert pubacks([1, 65_535]) == b"\x40\x02\x00\x01\x40\x02\xff\xff"


def test_the_tap_gives_paho_everything_but_telemetry() -> None:
    near, far = socket.socketpair()
    got: list[tuple[list[Inbound], list[int], int]] = []
    tap = Tap(near, lambda: 42, lambda *one: got.append(one), PacketIds())
    near.setblocking(False)
    with pytest.raises(BlockingIOError):
        tap.recv(1)
    sent = publish("t", b"1", mid=5) + SUBACK + publish("t", b"2", mid=6) + PINGRESP
    far.sendall(sent)
    assert tap.recv(1) == SUBACK[:1]
    assert tap.pending() == len(SUBACK) - 1 + len(PINGRESP)
    assert tap.recv(100) == SUBACK[1:] + PINGRESP
    assert got == [([Inbound("t", b"1", 42), Inbound("t", b"2", 42)], [5, 6], len(sent))]
    tap.paused = True
    far.sendall(PINGRESP)
    with pytest.raises(BlockingIOError):
        tap.recv(1)
    tap.paused = False
    assert tap.recv(2) == PINGRESP
    far.close()
    assert tap.recv(1) == b""
    tap.close()
