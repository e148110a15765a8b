"""The columns of one equipment's state, and a lane: these columns for some equipments (arrays) or for one (numbers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

#: Float columns: instants in ms on the device's own continuous clock (`dev`) unless said otherwise; NaN = never.
FLOATS: tuple[str, ...] = (
    # ordering and clock
    "last_ts",  # device clock as sent, of the last judged sample
    "last_seq",
    "last_recv",  # receiver's clock, of the last judged sample
    "dev",  # device's continuous clock of the last judged sample: ts + jump
    "jump",  # added to `ts` since the device's clock was set
    "offset",  # estimated receiver minus device clock, smallest seen, leaking upwards
    "offset_since",  # receiver's clock when the estimate began
    "contact",  # receiver's clock of the last message
    "heard",  # receiver's clock of the last sample, judged or not
    "age",  # how old the last judged sample was when it came, ms
    "link_lost",  # receiver's clock when `link` false came
    # the believed sample
    "mode",
    "mv",
    "direction",
    "zone",
    "floor",
    "closed",
    "passenger",
    "speed",
    "pos",
    # what was derived from the samples before
    "flag_on",  # start of the unbroken flag
    "flag_seen",  # last instant at which the flag was 1
    "openings",  # door openings since flag_on
    "door_shut",  # last closing of the door here
    "way_open",  # last time the door was open in a zone
    "level_floor",  # floor of the last sample in a zone
    "exit_direction",  # direction in which it was seen to leave its zone; 0 unknown or in a zone
    "top_m",
    "bottom_m",  # position where the car last stood level at the end floors
    "turn1",
    "turn2",
    "turn3",
    "turn4",  # last four closings that began a turn, newest first
    "last_turn",  # last open-close-open turn
    "still_floor",
    "still_pos",
    "still_since",  # since when a moving car shows no movement
    "back_in_range",
    "nobody",  # since when nobody is aboard
    "way_out",  # first opening of the door since the entrapment was raised
    "shut_since",  # since when it stands with the door closed
    "alarm_at",  # car alarm button pressed while the car's state was unknown
    # registry
    "bottom",
    "top",
    "rated",
    "limits_set",
    # next instants
    "fire_dev",  # earliest device time at which a running delay ends while the sample is believed
)
#: Bool columns.
FLAGS: tuple[str, ...] = (
    "is_lift",
    "on_changes",  # the source sends changes only
    "known",  # a sample was judged
    "away",  # was outside a zone since it last stood at a landing
    "arrived",  # came to this floor and the door has not opened since
    "boarded",  # the flag rose while the door was open here, or soon after
    "stood",  # stopped in this zone since it came
    "ran_occupied",  # somebody was aboard when it came here
    "walked",  # stood with the door open in the zone, and now outside with the door open
    "fast",
    "fast_twice",
    "astray",
    "astray_twice",  # floor outside the registry's range
    "alarm",  # car alarm button in a stopped, closed car
)


class Lane:
    """State columns as attributes; `since`, `active` and `told` are lists by rule."""

    __slots__ = (*FLOATS, *FLAGS, "active", "sensor_stuck", "since", "told", "unintended")

    since: list[Any]
    active: list[Any]
    told: list[Any]

    if TYPE_CHECKING:  # columns are dynamic; at run time these would only cost time

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


class Sample:
    """One sample for each equipment of a lane: the READING fields the rules look at, and `dev`, `now`."""

    __slots__ = (
        "age",
        "closed",
        "dev",
        "direction",
        "floor",
        "follows",
        "lapsed",
        "mode",
        "mv",
        "now",
        "passenger",
        "pos",
        "proven",
        "raw",
        "recv",
        "seq",
        "skipped",
        "speed",
        "ts",
        "zone",
    )

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


class Ops:
    """The operations that differ between numbers and columns; `some`: true for any of them."""

    __slots__ = ("maximum", "minimum", "some", "where")

    def __init__(self, where: Any, minimum: Any, maximum: Any, some: Any) -> None:
        self.where, self.minimum, self.maximum, self.some = where, minimum, maximum, some


def _pick(condition: bool, a: Any, b: Any) -> Any:
    return a if condition else b


def _smaller(a: float, b: float) -> float:
    return a if a < b or b != b else b


def _larger(a: float, b: float) -> float:
    return a if a > b or b != b else b


#: NaN loses against a number in both.
COLUMNS = Ops(np.where, np.fmin, np.fmax, np.any)
NUMBERS = Ops(_pick, _smaller, _larger, bool)
