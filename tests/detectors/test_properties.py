"""What must hold for any stream: batches, columns, restarts, duplicates, order, any input (protocol §7, §8)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.detectors import engine as engine_module
from monitor.detectors import rows as rows_module
from monitor.detectors.engine import Engine
from monitor.domain.fault import MOMENTARY, FaultChange
from monitor.domain.register import Register
from monitor.messages.decode import Decoder
from monitor.services.replay import AFTER_MS
from tests.detectors.judged import changes, replay_of
from tests.detectors.network import doubled, in_order, shuffled
from tests.detectors.world import DIVISION, T0, Lift, Message, merged, registry_entry

REPEATABLE = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=60
)
REGISTRY = [
    registry_entry("L-1", firm_id="F-1"),
    registry_entry("L-2", reports="changes"),
    registry_entry("L-3", overrides={"door_close_ms": 5000, "entrapment_at_level_ms": 7000}),
    registry_entry("E-1", "escalator"),
]
IDS = ["L-1", "L-2", "L-3", "U-9"]

# -- any stream

optional = st.none() | st.integers(0, 1)
samples = st.fixed_dictionaries(
    {},
    optional={
        "service_mode": st.integers(0, 7),
        "car_status": st.integers(0, 1),
        "car_direction": st.integers(0, 2),
        "door_zone": st.integers(0, 1),
        "car_position": st.integers(-1, 12),
        "door_closed": st.integers(0, 1),
        "passenger": st.integers(0, 1),
        "speed_mps": st.sampled_from([0.0, 1.75, 1.84, 2.0125, 2.5]),
        "position_m": st.sampled_from([-0.3, 0.0, 0.01, 3.0, 27.0, 27.3]),
    },
)
events = st.fixed_dictionaries(
    {
        "code": st.sampled_from([0, 1, 2, 4, 5, 7, 8, 40, 42, 90]),
        "state": st.sampled_from(["raised", "cleared"]),
        "vendor_code": st.sampled_from(["E1", "E2"]),
    },
    optional={"test": st.booleans(), "seq": st.integers(1, 5)},
)


@st.composite
def streams(draw: st.DrawFn, length: int = 40) -> list[Message]:
    """Any valid messages of a few equipments, at any pace, with clocks that wander."""
    at = 0
    clock = dict.fromkeys(IDS, 0)
    seq = dict.fromkeys(IDS, 0)
    mail: list[Message] = []
    for _ in range(draw(st.integers(1, length))):
        at += draw(st.sampled_from([0, 1, 200, 1000, 1000, 3000, 3001, 10_000, 10_000, 13_000, 61_000, 121_000]))
        one = draw(st.sampled_from(IDS))
        topic = f"se/v1/{DIVISION}/lift/{one}"
        ts = T0 + at + clock[one] - draw(st.sampled_from([0, 0, 0, 50, 2000, 4000, 30_000]))
        match draw(st.sampled_from("ssssssssssevvlrjbg")):
            case "s":
                seq[one] += draw(st.sampled_from([1, 1, 1, 1, 2, 0, -1]))
                body: Any = {"ts": ts, **draw(samples)}
                if draw(st.integers(0, 9)):
                    body["seq"] = max(seq[one], 0)
                mail.append(Message(sent=at, at=at, topic=f"{topic}/status", payload=body))
            case "e" | "v":
                mail.append(Message(sent=at, at=at, topic=f"{topic}/event", payload={"ts": ts, **draw(events)}))
            case "l":
                body = {"ts": ts, "online": draw(st.booleans())}
                mail.append(Message(sent=at, at=at, topic=f"{topic}/link", payload=body, retained=draw(st.booleans())))
            case "r":
                body = {"ts": ts, "id": str(at), "action": "repair", "equipment_id": one}
                mail.append(Message(sent=at, at=at, topic="firms/v1/F-1/actions", payload=body))
            case "j":
                clock[one] += draw(st.sampled_from([-7_200_000, -60_000, -5000, 5000, 60_000, 7_200_000, -T0]))
            case "b":
                seq[one] = 0
            case "g":
                body = [{"equipment_id": x, "ts": T0 + at, "seq": seq[x], **draw(samples)} for x in ("L-1", "U-9")]
                mail.append(Message(sent=at, at=at, topic=f"se/v1/{DIVISION}/lift/@G-1/status", payload=body))
    return mail


def town() -> list[Message]:
    """Thirty lifts in lively traffic with most kinds of trouble, delays and losses: enough for columns."""
    lifts = [Lift(equipment_id=f"T-{n}", counts=n % 7 != 3, clock=(n % 5 - 2) * 90_000) for n in range(30)]
    for n, lift in enumerate(lifts):
        lift.wait(n % 4)
        lift.board()
        lift.run_to(2 + n % 7)
        lift.alight()
        if n % 5 == 0:
            lift.board()
            lift.stop_between(5)
            lift.wait(30)
            lift.level_and_open()
        elif n % 5 == 1:
            lift.open_door()
            lift.wait(130)
            lift.close_door()
        elif n % 5 == 2:
            lift.event(1 + n % 8)
            lift.stop_between(7)
            lift.wait(40)
        elif n % 5 == 3:
            lift.board()
            lift.run_to(9)
            lift.wait(70)
            lift.open_door()
        lift.wait(20)
        if n % 6 == 0:
            lift.set_clock(300)
        lift.unheard(n % 3 * 50)
        lift.wait(30)
    mail = shuffled(merged(*(lift.mail for lift in lifts)), 1500, seed=7)
    return [m for n, m in enumerate(mail) if n % 53]


TOWN = town()
TOWN_REGISTRY = [registry_entry(f"T-{n}") for n in range(30)]


# -- checks


def run(mail: Sequence[Message], registry: Sequence[dict[str, Any]] = REGISTRY, **more: Any) -> list[FaultChange]:
    return changes(mail, registry, **more)


def outline(told: Sequence[FaultChange]) -> list[tuple[str, str, str]]:
    return sorted((x.equipment_id, x.kind.value, x.state.value) for x in told)


def check_lines(told: Sequence[FaultChange]) -> None:
    """Sorted by time, and raised and cleared take turns."""
    assert [x.at_ms for x in told] == sorted(x.at_ms for x in told)
    is_open: set[tuple[str, str]] = set()
    for line in told:
        key = (line.equipment_id, line.kind.value)
        assert line.since_ms <= line.at_ms
        json.dumps(dict(line.evidence), allow_nan=False)
        if line.kind in MOMENTARY:
            assert line.state.value == "raised"
        elif line.state.value == "raised":
            assert key not in is_open
            is_open.add(key)
        else:
            is_open.remove(key)


def set_narrow(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Judge waves of fewer rows one by one: 0 takes all as columns, a huge number none."""
    for module in (engine_module, rows_module):
        patch.setattr(module, "NARROW", rows)


def through_a_restart(mail: Sequence[Message], registry: Sequence[dict[str, Any]], at: int) -> list[FaultChange]:
    """Judged by an engine that is put down after `at` messages and by another that goes on from its dump."""
    equipment = replay_of(registry)._decoder._register.by_number.values()
    register = Register(equipment)
    decoder, engine = Decoder(register), Engine(register.by_number.values())
    told: list[FaultChange] = []
    for part in (mail[:at], mail[at:]):
        if part:
            decoded = decoder.decode([m.inbound() for m in part])
            engine.register(decoded.new_equipment)
            told += engine.process(decoded, T0 + part[-1].at).faults
        if part is not mail[at:] or not mail[at:]:
            chunks = [bytes(chunk) for chunk in engine.dump()]
            engine = Engine(register.by_number.values())
            engine.restore(chunks, register.by_number.values())
    if mail:
        told += engine.tick(T0 + mail[-1].at + AFTER_MS).faults
    return sorted(told, key=lambda x: (x.at_ms, x.number))


@REPEATABLE
@given(streams())
def test_any_stream_is_judged_and_its_lines_are_in_order(mail: list[Message]) -> None:
    check_lines(run(mail))


@REPEATABLE
@given(streams(), st.data())
def test_the_size_of_batches_changes_nothing(mail: list[Message], data: st.DataObject) -> None:
    cuts = sorted(cut for cut in data.draw(st.sets(st.integers(1, 40), max_size=8)) if cut < len(mail))
    assert run(mail, cuts=cuts) == run(mail)
    assert run(mail, cuts=range(1, len(mail))) == run(mail)


@REPEATABLE
@given(streams(), st.data())
def test_a_restart_at_any_point_changes_nothing(mail: list[Message], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(mail)))
    assert through_a_restart(mail, REGISTRY, at) == run(mail)


@REPEATABLE
@given(streams())
def test_columns_and_single_rows_judge_alike(mail: list[Message]) -> None:
    told = []
    for narrow in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            set_narrow(patch, narrow)
            told.append((run(mail), run(mail, cuts=range(1, len(mail)))))
    assert told[0] == told[1]


@pytest.mark.parametrize("narrow", [0, 5, 10**9])
def test_a_town_is_judged_alike_as_columns_and_as_rows(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = run(TOWN, TOWN_REGISTRY)
    check_lines(usual)
    assert len({x.kind for x in usual}) >= 8
    set_narrow(monkeypatch, narrow)
    assert run(TOWN, TOWN_REGISTRY) == usual
    for size in (1, 97):
        assert run(TOWN, TOWN_REGISTRY, cuts=range(size, len(TOWN), size)) == usual


@pytest.mark.parametrize("at", range(0, 4000, 413))
def test_a_town_goes_on_over_a_restart(at: int) -> None:
    assert through_a_restart(TOWN, TOWN_REGISTRY, at) == run(TOWN, TOWN_REGISTRY)


@pytest.mark.parametrize("after_ms", [0, 700, 5000])
def test_a_town_told_twice_says_the_same(after_ms: int) -> None:
    assert outline(run(doubled(TOWN, after_ms), TOWN_REGISTRY)) == outline(run(TOWN, TOWN_REGISTRY))


@REPEATABLE
@given(st.integers(0, 10**6), st.sampled_from([0, 10, 1000, 4000]), st.integers(1, 9))
def test_redelivery_of_a_lift_in_service_says_nothing_more(seed: int, after_ms: int, every: int) -> None:
    lift = Lift()
    lift.board()
    lift.stop_between(4)
    lift.wait(40)
    lift.event(90)
    lift.level_and_open()
    lift.event(40)
    lift.change(passenger=0)
    lift.wait(10)
    lift.close_door()
    lift.wait(30)
    mail = in_order(lift.mail)
    twice = doubled(mail, after_ms, lambda m: (m.sent + seed) % every == 0)
    registry = [registry_entry("L-1")]
    assert outline(run(twice, registry)) == outline(run(mail, registry))
