"""Sensor health and silence (protocol §7)."""

from __future__ import annotations

from typing import Any

from monitor.detectors.lane import Lane, Ops


def flag_never_falls(s: Lane, _t: Any, th: Any, _: Ops) -> Any:
    """The flag is 1 through so many door openings; the time is the rule's delay."""
    return (s.passenger == 1) & (s.openings >= th.sensor_stuck_openings)


def flag_fell(s: Lane, _t: Any, _th: Any) -> Any:
    """The flag is 0."""
    return s.passenger == 0


def silent_occupied_at(s: Lane, th: Any, o: Ops) -> Any:
    """Receiver's clock: when a car last seen occupied and closed will have been silent for too long, else NaN."""
    occupied = s.known & (s.passenger == 1) & (s.closed == 1) & (s.sensor_stuck ^ True) & (s.on_changes ^ True)
    return o.where(occupied, s.heard + th.lost_contact_ms, float("nan"))


def offline_at(s: Lane, th: Any, o: Ops) -> Any:
    """Receiver's clock: when it will have been silent for too long, sooner after a lost link, else NaN."""
    silent = o.minimum(s.contact + th.offline_ms, s.link_lost + th.offline_after_will_ms)
    return o.where(s.on_changes, float("nan"), silent)
