"""Streams as `tiwei replay` reads and judges them (protocol §8), in this process; as a command: tests/scenarios."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from monitor.domain.errors import UnreadableError
from monitor.services.replay import Stream, encode, run, with_incidents
from tests.detectors.judged import changes, registry_of
from tests.detectors.world import T0, Lift, merged


def two_lifts() -> list[Lift]:
    """One with somebody trapped and freed, one whose door is held open; both with events."""
    one, two = Lift(equipment_id="L-1"), Lift(equipment_id="L-2", clock=40_000)
    one.board()
    one.stop_between(4)
    one.wait(60)
    one.level_and_open()
    one.wait(3)
    two.event(1)
    two.event(0, vendor_code="E17", text="门机过载")
    two.open_door()
    two.wait(140)
    two.close_door()
    return [one, two]


def written(path: Path, lifts: list[Lift], *, registry: bool = True) -> Path:
    """The lifts' mail as a replay file."""
    lines = [json.dumps({"registry": registry_of(lifts)})] if registry else []
    lines += [m.record() for m in merged(*(x.mail for x in lifts))]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def bytes_of(path: Path, size: int = 4096) -> bytes:
    """What the command writes of a stream."""
    return b"".join(encode(line) for line in with_incidents(run(Stream(path), size)))


def test_batches_of_any_size_give_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "case.jsonl", two_lifts())
    whole = bytes_of(path)
    assert whole
    for size in (1, 2, 7, 100):
        assert bytes_of(path, size) == whole


def test_a_file_says_what_its_messages_say(tmp_path: Path) -> None:
    lifts = two_lifts()
    expected = changes(merged(*(x.mail for x in lifts)), registry_of(lifts))
    for name in ("case.jsonl", "case.jsonl.gz"):
        assert list(run(Stream(written(tmp_path / name, lifts)))) == expected


def test_without_a_registry_the_lifts_are_judged_all_the_same(tmp_path: Path) -> None:
    told = run(Stream(written(tmp_path / "case.jsonl", two_lifts(), registry=False)))
    assert {"entrapment", "door_close_fault", "safety_circuit_open"} <= {line.kind.value for line in told}


def test_the_clock_goes_on_for_300_s(tmp_path: Path) -> None:
    lift = Lift()
    lift.open_door()
    told = list(run(Stream(written(tmp_path / "case.jsonl", [lift]))))
    assert [(x.kind.value, x.at_ms) for x in told] == [("offline", T0 + lift.now + 100 + 120_000)]


@pytest.mark.parametrize("content", [b"", b"\n", b'{"registry": []}\n', b'{"registry": []}'])
def test_a_stream_of_nothing_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    assert bytes_of(path) == b""


@pytest.mark.parametrize("broken", ['{"topic": "x", "payload": {}}', "{", '{"at": 1, "topic": "x", "payload": {}}'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, broken: str) -> None:
    path = written(tmp_path / "case.jsonl", two_lifts())
    path.write_text(path.read_text() + broken + "\n")
    with pytest.raises(UnreadableError, match="line"):
        bytes_of(path)


def test_what_a_registry_leaves_open_may_be_null_or_missing(tmp_path: Path) -> None:
    lift = two_lifts()[0]
    path = tmp_path / "case.jsonl"
    entry = {**registry_of([lift])[0], "firm_id": None, "bottom_floor": None, "top_floor": None, "more": {"x": [1]}}
    del entry["reports"]
    path.write_text("\n".join([json.dumps({"registry": [entry]}), *(m.record() for m in lift.mail)]))
    assert "entrapment" in {line.kind.value for line in run(Stream(path))}
