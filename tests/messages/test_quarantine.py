"""What cannot be read is set aside whole, and stops nothing else (protocol §1)."""

from __future__ import annotations

import json

import pytest

from monitor.messages.decode import Decoder, set_aside
from monitor.messages.exact import MAX_BYTES, refusal
from monitor.messages.reasons import Reason
from tests.messages import wire

GOOD = json.dumps(wire.SAMPLE).encode()
DEEP = 1_000_000


def nested(field: bytes, inner: bytes) -> bytes:
    return b'{"ts":1,"' + field + b'":' + inner + b"}"


BAD: list[tuple[str, bytes, str]] = [
    ("empty", b"", "empty"),
    ("blank", b" \n", "json"),
    ("truncated", GOOD[:-1], "json"),
    ("cut in half", GOOD[: len(GOOD) // 2], "json"),
    ("trailing bytes", GOOD + b"x", "json"),
    ("two objects", GOOD + GOOD, "json"),
    ("two lines", GOOD + b"\n" + GOOD, "json"),
    ("trailing comma", GOOD[:-1] + b",}", "json"),
    ("single quotes", b"{'ts':1}", "json"),
    ("comment", b'{"ts":1}//', "json"),
    ("leading zero", b'{"ts":01}', "json"),
    ("plus sign", b'{"ts":+1}', "json"),
    ("hexadecimal", b'{"ts":0x1}', "json"),
    ("NaN", b'{"ts":1,"speed_mps":NaN}', "json"),
    ("infinity", b'{"ts":1,"speed_mps":Infinity}', "json"),
    ("minus infinity", b'{"ts":1,"position_m":-Infinity}', "json"),
    ("NaN in an unknown field", b'{"ts":1,"x":NaN}', "json"),
    ("number too large", b'{"ts":1,"speed_mps":1e999}', "range"),
    ("number too large and negative", b'{"ts":1,"position_m":-1e999}', "range"),
    ("number too large in an unknown field", b'{"ts":1,"x":1e999}', "range"),
    ("text for a number", b'{"ts":"1"}', "type"),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD, "encoding"),
    ("latin-1", '{"ts":1,"x":"é"}'.encode("latin-1"), "encoding"),
    ("utf-16", GOOD.decode().encode("utf-16"), "encoding"),
    ("gb18030", '{"ts":1,"x":"电梯"}'.encode("gb18030"), "encoding"),
    ("encoded surrogate", b'{"ts":1,"x":"\xed\xa0\x80"}', "encoding"),
    ("wrong byte in a key", b'{"ts":1,"\xff":1}', "encoding"),
    ("overlong form", b'{"ts":1,"x":"\xc0\xaf"}', "encoding"),
    ("lone surrogate", b'{"ts":1,"x":"\\ud800"}', "json"),
    ("lone low surrogate", b'{"ts":1,"x":"\\udc00"}', "json"),
    ("lone surrogate before text", b'{"ts":1,"x":"\\ud800abcdef"}', "json"),
    ("lone surrogate in a key", b'{"ts":1,"\\ud800":1}', "json"),
    ("NUL escaped", b'{"ts":1,"x":"a\\u0000b"}', "text"),
    ("NUL escaped in a key", b'{"ts":1,"\\u0000":1}', "text"),
    ("NUL escaped deep down", b'{"ts":1,"x":[{"y":["\\u0000"]}]}', "text"),
    ("NUL raw", b'{"ts":1,"x":"a\x00b"}', "json"),
    ("newline raw in a text", b'{"ts":1,"x":"a\nb"}', "json"),
    ("key twice", b'{"ts":1,"ts":1}', "duplicate_key"),
    ("key twice, last wins elsewhere", b'{"ts":1,"seq":1,"seq":2}', "duplicate_key"),
    ("key twice, one null", b'{"ts":1,"seq":null,"seq":2}', "duplicate_key"),
    ("key twice, other null", b'{"ts":1,"seq":2,"seq":null}', "duplicate_key"),
    ("key twice, both null", b'{"ts":1,"load_kg":null,"load_kg":null}', "duplicate_key"),
    ("key twice by an escape", b'{"ts":1,"t\\u0073":2}', "duplicate_key"),
    ("unknown key twice", b'{"ts":1,"x":1,"x":1}', "duplicate_key"),
    ("key twice inside an unknown field", b'{"ts":1,"x":{"a":1,"a":2}}', "duplicate_key"),
    ("key twice beside a colon in a text", b'{"ts":1,"x":"a\\u003ab","y":1,"y":2}', "duplicate_key"),
    ("key twice in the second of an array", b'[{"ts":1},{"ts":1,"ts":2}]', "duplicate_key"),
    ("nested arrays", nested(b"x", b"[" * DEEP), "depth"),
    ("nested arrays, closed", nested(b"x", b"[" * 500_000 + b"]" * 500_000), "depth"),
    ("nested objects", nested(b"x", b'{"a":' * 150_000 + b"1" + b"}" * 150_000), "depth"),
    ("nested a hundred deep", nested(b"x", b"[" * 100 + b"]" * 100), "depth"),
    ("array nested from the start", b"[" * 900_000, "depth"),
    ("2 MiB", GOOD[:-1] + b" " * (2 << 20) + b"}", "too_large"),
    ("one byte over", GOOD + b" " * (MAX_BYTES - len(GOOD) + 1), "too_large"),
    ("binary", bytes(range(256)), "encoding"),
    ("msgpack", b"\x81\xa2ts\x01", "encoding"),
]


@pytest.mark.parametrize(("payload", "reason"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_payload_is_set_aside_whole_and_its_neighbours_are_read(payload: bytes, reason: str) -> None:
    good = wire.inbound(wire.STATUS, GOOD)
    bad = wire.inbound(wire.STATUS, payload, at=wire.NOW + 1)
    decoded = wire.decode(good, bad, good)
    assert decoded.sample_order.tolist() == [0, 2]
    (aside,) = decoded.quarantined
    assert aside.reason == reason
    assert (aside.topic, aside.received_ms, aside.size) == (wire.STATUS, wire.NOW + 1, len(payload))
    assert aside.payload == payload[:MAX_BYTES]
    assert len(aside.detail) <= 300


@pytest.mark.parametrize(("payload", "reason"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
@pytest.mark.parametrize("topic", [wire.EVENT, wire.LINK, wire.CALLS, wire.ACTIONS, wire.GATEWAY])
def test_bad_payload_is_bad_on_every_channel(topic: str, payload: bytes, reason: str) -> None:
    decoded = wire.decode(wire.inbound(topic, payload))
    (aside,) = decoded.quarantined
    # What parses well may lack what this channel needs.
    assert aside.reason == reason or reason in {"range", "type"}
    assert wire.said(decoded) == 0


def test_exactly_one_mebibyte_is_read() -> None:
    assert len(wire.decode(wire.inbound(wire.STATUS, GOOD + b" " * (MAX_BYTES - len(GOOD)))).samples) == 1


def test_nesting_that_is_no_attack_is_read() -> None:
    payload = nested(b"x", b"[" * 20 + b"]" * 20)
    assert len(wire.decode(wire.inbound(wire.STATUS, payload)).samples) == 1


def test_wrong_topic_keeps_the_payload() -> None:
    decoded = wire.decode(wire.inbound("se/v1/1/lift/L/status", GOOD))
    (aside,) = decoded.quarantined
    assert (aside.reason, aside.detail, aside.payload) == ("topic", "wrong division", GOOD)


def test_topic_that_no_database_could_store_is_made_storable() -> None:
    decoded = wire.decode(wire.inbound("se\0/\ud800/" + "x" * 70_000, GOOD))
    (aside,) = decoded.quarantined
    assert aside.reason == "topic"
    assert "\0" not in aside.topic
    assert len(aside.topic) <= 1_024
    aside.topic.encode()


def test_detail_never_repeats_what_was_sent() -> None:
    for topic, payload in (
        (wire.CALLS, {"ts": 1, "event": "13812345678", "source": "phone"}),
        (wire.CALLS, {"ts": 1, "event": "offered", "source": "13812345678"}),
        (wire.CALLS, {"ts": 1, "event": "offered", "source": "phone", "trapped": "13812345678"}),
        (wire.CALLS, {"ts": 1, "event": "offered", "source": "phone", "equipment_id": "138 12345678"}),
        (wire.CALLS, {"ts": 1, "event": "offered", "source": "phone", "call_id": "13812345678"}),
        (wire.ACTIONS, {"ts": 1, "action": "13812345678"}),
        (wire.EVENT, {"ts": 1, "code": 1, "state": "13812345678"}),
    ):
        (aside,) = wire.decode(wire.inbound(topic, payload)).quarantined
        assert "138" not in aside.detail, aside


def test_defect_of_ours_is_set_aside_too() -> None:
    aside = set_aside(wire.inbound(wire.STATUS, GOOD), refusal(ZeroDivisionError("13812345678")))
    assert (aside.reason, aside.detail) == ("internal", "ZeroDivisionError")


def test_reasons_are_storable_words() -> None:
    assert all(one.value.isascii() and one.value.islower() and len(one.value) <= 32 for one in Reason)


def test_a_hundred_bad_among_a_hundred_good() -> None:
    decoder = Decoder(wire.register())
    batch = [wire.inbound(wire.STATUS, GOOD if place % 2 else BAD[place % len(BAD)][1]) for place in range(200)]
    for _ in range(2):
        decoded = decoder.decode(batch)
        assert decoded.sample_order.tolist() == list(range(1, 200, 2))
        assert len(decoded.quarantined) == 100
