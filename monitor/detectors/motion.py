"""Rules of protocol §7 about speed, travel and position."""

from __future__ import annotations

from typing import Any

from monitor.detectors.entrapment import INSPECTION
from monitor.detectors.lane import Lane, Ops

#: Speeds and positions come as 32-bit floats: limits are met within this relative or absolute slack.
SPEED_SLACK = 1.000001
POSITION_SLACK_M = 0.001


def too_fast(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Two samples running at or above the limit."""
    return s.fast_twice


def slow_again(s: Lane, _t: Any, th: Any) -> Any:
    """Below the lower limit."""
    return s.speed * SPEED_SLACK < s.rated * th.overspeed_clear_ratio


def above_top(s: Lane, _t: Any, th: Any, _: Ops) -> Any:
    """冲顶: out of the top floor's zone upwards, or beyond where it last stood level there."""
    left_upwards = (s.exit_direction == 1) & (s.level_floor == s.top) & ((s.floor < s.top) ^ True)
    beyond = s.pos >= s.top_m + (th.overrun_m - POSITION_SLACK_M)
    return (s.zone == 0) & (s.mode != INSPECTION) & (left_upwards | beyond)


def below_bottom(s: Lane, _t: Any, th: Any, _: Ops) -> Any:
    """蹲底: out of the bottom floor's zone downwards, or beyond where it last stood level there."""
    left_downwards = (s.exit_direction == 2) & (s.level_floor == s.bottom) & ((s.floor > s.bottom) ^ True)
    beyond = s.pos <= s.bottom_m - (th.overrun_m - POSITION_SLACK_M)
    return (s.zone == 0) & (s.mode != INSPECTION) & (left_downwards | beyond)


def run_delay(s: Lane, th: Any, o: Ops) -> Any:
    """How long a moving car may show no movement: longer where no position is sent."""
    return o.where(s.still_pos == s.still_pos, th.motor_run_ms, th.motor_run_blind_ms)


def runs_still(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """It is said to move, but floor and position stay the same."""
    seen = (s.still_floor == s.still_floor) | (s.still_pos == s.still_pos)
    return s.is_lift & (s.mv == 1) & (s.still_since == s.still_since) & seen


def runs_or_stops(s: Lane, t: Any, _th: Any) -> Any:
    """Floor or position changed, or it stopped."""
    return (s.mv == 0) | (t == s.still_since)


def floor_lost(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Two samples running with a floor outside the registry's range."""
    return s.astray_twice


def floor_back_at(s: Lane, th: Any, _: Ops) -> Any:
    """When the floor will have been in range for long enough."""
    return s.back_in_range + th.floor_back_ms
