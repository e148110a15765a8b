"""Where the engine and the letter of the protocol disagree: each fails today, strictly.

A test that begins to pass is moved to `test_fine_points.py`. Each names its sentence.
"""

from __future__ import annotations

import pytest

from tests.detectors.judged import judge
from tests.detectors.network import backlog
from tests.detectors.world import Lift

pytestmark = pytest.mark.xfail(strict=True, raises=AssertionError, reason="engine and protocol disagree")

KIND = "entrapment"

# -- §7 history and what it goes on to be: somebody trapped at level since the outage, and still


@pytest.mark.parametrize("boards", [True, False])
def test_an_entrapment_that_history_begins_and_the_present_continues_is_told(boards: bool) -> None:
    lift = Lift()
    lift.wait(20)
    if boards:
        begin = lift.now
        lift.board()
    else:
        lift.board()
        begin = lift.now
        lift.run_to(5)
    came = lift.s
    lift.wait(40)
    end = lift.now
    lift.wait(200)
    lines = judge(lift, mail=backlog(lift.mail, begin, end, end + 10_000))
    assert len(lines.raised(KIND)) == 1
    assert lines.since(KIND) == [came]


# -- §8 `since`: "corrected by its estimated offset": in the first minute of a device whose clock is behind


def test_since_is_corrected_from_the_first_minute_on() -> None:
    lift = Lift(clock=-45_000)
    lift.board()
    lift.stop_between(4)
    stopped = lift.s
    lift.wait(30)
    assert abs(judge(lift).since(KIND)[0] - stopped) < 2
