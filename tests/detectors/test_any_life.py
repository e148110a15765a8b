"""Any life of a lift over any network: normal traffic raises nothing, order and redelivery change no fault."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.detectors.judged import Lines, judge
from tests.detectors.network import backlog, doubled, in_order, outage, shuffled
from tests.detectors.world import Lift, Message

REPEATABLE = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=60
)


@st.composite
def terminals(draw: st.DrawFn) -> Lift:
    """Any terminal: numbered or not, its clock wrong by minutes, some optional fields not sent."""
    return Lift(
        counts=draw(st.booleans()),
        clock=draw(st.sampled_from([0, 0, -1500, 45_000, -45_000, 600_000, -600_000])),
        without=draw(st.sampled_from([(), (), ("position_m",), ("speed_mps", "position_m"), ("load_kg", "power")])),
        floor=draw(st.integers(1, 10)),
        latency=100,
    )


def serve(lift: Lift, draw: st.DrawFn) -> None:
    """One trip of normal traffic: nothing is broken, and nothing lasts so long that it is a fault while the last
    sample before an outage is believed for 12 s more."""
    lift.wait(draw(st.sampled_from([0.3, 2, 7, 10, 25, 90])))
    others = [floor for floor in range(1, 11) if floor != lift.floor]
    match draw(st.sampled_from(["passenger", "passenger", "several", "empty", "lingers", "held"])):
        case "passenger":
            lift.board(dwell=draw(st.sampled_from([1, 3, 6])))
            lift.wait(draw(st.sampled_from([0.2, 1, 4])))
            lift.run_to(draw(st.sampled_from(others)))
            lift.wait(draw(st.sampled_from([0.2, 1])))
            lift.alight()
        case "several":
            lift.board()
            for _ in range(2):
                lift.run_to(draw(st.sampled_from([f for f in range(1, 11) if f != lift.floor])))
                lift.wait(0.5)
                lift.open_door()
                lift.wait(4)
                lift.close_door()
            lift.run_to(draw(st.sampled_from([f for f in range(1, 11) if f != lift.floor])))
            lift.alight()
        case "empty":
            lift.run_to(draw(st.sampled_from(others)))
        case "lingers":
            lift.board()
            lift.run_to(draw(st.sampled_from(others)))
            lift.open_door()
            lift.wait(4)
            lift.close_door()
            lift.wait(draw(st.sampled_from([5, 70])))
            lift.alight()
        case "held":
            lift.open_door()
            lift.wait(draw(st.sampled_from([15, 30])))  # short: the closing between two of them may be lost
            lift.close_door()


@st.composite
def normal_lives(draw: st.DrawFn) -> Lift:
    """A few trips of one lift."""
    lift = draw(terminals())
    for _ in range(draw(st.integers(1, 5))):
        serve(lift, draw)
    lift.wait(15)
    return lift


@st.composite
def lives(draw: st.DrawFn) -> Lift:
    """Trips, and one trouble or none, never within 3 s of the delay of its rule."""
    lift = draw(normal_lives())
    match draw(st.sampled_from(["off level", "at level", "empty", "open", "button", "walks off", "code", "boards"])):
        case "off level":
            lift.board()
            lift.stop_between(5 if lift.floor not in (4, 5, 6) else 9)
            lift.wait(draw(st.sampled_from([10, 16, 24, 45])))
            lift.level_and_open()
        case "at level":
            lift.board()
            lift.run_to(5 if lift.floor != 5 else 9)
            lift.wait(draw(st.sampled_from([10, 50, 65, 90])))
            lift.open_door()
        case "boards":
            lift.board()
            lift.wait(draw(st.sampled_from([50, 65, 90])))
            lift.open_door()
        case "empty":
            lift.stop_between(5 if lift.floor not in (4, 5, 6) else 9)
            lift.wait(draw(st.sampled_from([5, 30])))
            lift.level_and_open()
        case "open":
            lift.open_door()
            lift.wait(draw(st.sampled_from([110, 125])))
        case "button":
            lift.wait(5)
            lift.event(90)
            lift.wait(5)
            lift.open_door()
        case "walks off":
            lift.open_door()
            lift.wait(3)
            lift.change(car_status=1)
            lift.now += 500
            lift.change(door_zone=0)
            lift.now += 500
            lift.change(car_status=0)
            lift.wait(20)
            lift.level_and_open()
        case "code":
            lift.event(4)
            lift.wait(30)
            lift.event(40)
            lift.open_door()
    lift.wait(4)
    lift.change(passenger=0, door_closed=1)
    lift.wait(60)
    return lift


@st.composite
def networks(draw: st.DrawFn, mail: list[Message]) -> list[Message]:
    """Losses, delays, redelivery, and an outage with or without its burst, or with a backlog after live samples."""
    dice = random.Random(draw(st.integers(0, 10**6)))
    loss = draw(st.sampled_from([0.0, 0.01, 0.05]))
    delayed = draw(st.sampled_from([0.0, 0.03, 0.2]))
    by_ms = draw(st.sampled_from([900, 2900, 8000]))
    mail = [m for m in mail if dice.random() >= loss]
    begin = round(draw(st.floats(0, 1)) * mail[-1].sent) if mail else 0
    end = begin + draw(st.sampled_from([0, 20_000, 60_000, 130_000]))
    match draw(st.sampled_from(["burst", "lost", "backlog", "none"])):
        case "burst":
            mail = outage(mail, begin, end)
        case "lost":
            mail = [m for m in mail if not begin <= m.sent < end]
        case "backlog":
            mail = backlog(mail, begin, end, end + 5000)
    mail = in_order(m.delayed_until(m.at + dice.randrange(by_ms)) if dice.random() < delayed else m for m in mail)
    return doubled(mail, draw(st.sampled_from([50, 4000, 70_000])), lambda _: dice.random() < 0.05)


def outline(lines: Lines) -> list[tuple[str, str]]:
    return sorted((x.kind, x.change) for x in lines)


@REPEATABLE
@given(st.data())
def test_normal_traffic_over_any_network_raises_nothing(data: st.DataObject) -> None:
    lift = data.draw(normal_lives())
    mail = data.draw(networks(lift.mail))
    assert judge(lift, mail=mail) == []


@REPEATABLE
@given(lives(), st.integers(0, 10**6))
def test_reordering_within_3_s_changes_no_fault(lift: Lift, seed: int) -> None:
    straight, mixed = judge(lift), judge(lift, mail=shuffled(lift.mail, 2900, seed))
    assert outline(mixed) == outline(straight)


@REPEATABLE
@given(lives(), st.integers(0, 10**6), st.sampled_from([0, 30, 2000, 5000, 9000]))
def test_redelivery_changes_nothing(lift: Lift, seed: int, after_ms: int) -> None:
    dice = random.Random(seed)
    once = judge(lift)
    twice = judge(lift, mail=doubled(lift.mail, after_ms, lambda _: dice.random() < 0.5))
    assert [(x.at, x.kind, x.change, x.since) for x in twice] == [(x.at, x.kind, x.change, x.since) for x in once]
