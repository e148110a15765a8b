"""Door rules of protocol §7."""

from __future__ import annotations

from typing import Any

from monitor.detectors.entrapment import INSPECTION, rescue_modes
from monitor.detectors.lane import Lane, Ops


def kept_open(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Door open in normal mode; an obstruction is not told apart."""
    return (s.closed == 0) & (s.mode == 1)


def shut(s: Lane, _t: Any, _th: Any) -> Any:
    """The door is closed and locked."""
    return s.closed == 1


def stays_shut(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Stopped at a floor after a run with a passenger, the door still closed."""
    here = (s.mv == 0) & (s.zone == 1) & (s.closed == 1) & s.arrived & s.ran_occupied
    return here & (rescue_modes(s) ^ True) & (s.sensor_stuck ^ True)


def opened_or_left(s: Lane, _t: Any, _th: Any) -> Any:
    """The door is open, or the car moves on."""
    return (s.closed == 0) | (s.mv == 1)


def keeps_reopening(s: Lane, t: Any, th: Any, _: Ops) -> Any:
    """Four open-close-open turns within the window; a turn begins when the door has closed."""
    return (s.last_turn - s.turn4 <= th.reopening_window_ms) & (t - s.last_turn < th.reopening_window_ms)


def no_turn_until(s: Lane, th: Any, _: Ops) -> Any:
    """When there will have been no turn for the window."""
    return s.last_turn + th.reopening_window_ms


def walked_away(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Unintended car movement 开门走车: left the landing where it stood with the door open."""
    return s.walked


def inspection(s: Lane, _t: Any, _th: Any) -> Any:
    """Mode 2: somebody competent is there."""
    return s.mode == INSPECTION


def open_while_moving(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Moving outside the zone with the door not closed, and not unintended movement."""
    bare = (s.mv == 1) & (s.zone == 0) & (s.closed == 0)
    return bare & (s.mode != INSPECTION) & (s.unintended ^ True)


def safe_again(s: Lane, _t: Any, _th: Any) -> Any:
    """Door closed, or stopped at level."""
    return (s.closed == 1) | ((s.mv == 0) & (s.zone == 1))
