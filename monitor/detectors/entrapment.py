"""Entrapment (困人): somebody in the stopped car who cannot get out (protocol §7, first row)."""

from __future__ import annotations

from typing import Any

from monitor.detectors.lane import Lane, Ops, Sample

INSPECTION, FIREFIGHTER = 2, 4


def rescue_modes(s: Lane | Sample) -> Any:
    """Inspection and firefighter mode: people are in the car on purpose. An unknown mode is not one of them."""
    return (s.mode == INSPECTION) | (s.mode == FIREFIGHTER)


def held(s: Lane, t: Any, th: Any) -> Any:
    """The passenger flag is 1, or was within the tolerated drop-out."""
    return (s.passenger == 1) | (t - s.flag_seen <= th.passenger_dropout_ms)


def off_level(s: Lane, t: Any, th: Any, _: Ops) -> Any:
    """Somebody in a car stopped out of the zone."""
    return (s.mv == 0) & (s.zone == 0) & held(s, t, th) & (rescue_modes(s) ^ True)


def at_level(s: Lane, t: Any, th: Any, _: Ops) -> Any:
    """Somebody behind a closed door at a floor: came here and it never opened, or boarded here and it never left."""
    shut_in = (s.mv == 0) & (s.zone == 1) & (s.closed == 1) & (s.arrived | s.boarded)
    return shut_in & held(s, t, th) & (rescue_modes(s) ^ True) & (s.sensor_stuck ^ True)


def flag_up(s: Lane) -> Any:
    """Raised only while the flag is up: during a drop-out it is not known yet whether somebody is there."""
    return s.passenger == 1


def alarm(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """The car alarm button in a stopped car with the door closed, whatever the flag says."""
    return s.alarm


def way_out(s: Lane, _t: Any, _th: Any) -> Any:
    """The door is open in the zone."""
    return (s.closed == 0) & (s.zone == 1)


def nobody_left_at(s: Lane, th: Any, o: Ops) -> Any:
    """When nobody will have been there for long enough since the door was open."""
    both_known = o.where((s.nobody == s.nobody) & (s.way_out == s.way_out), 0.0, float("nan"))
    return o.maximum(s.nobody, s.way_out) + th.nobody_ms + both_known


def stopped_outside(s: Lane, _t: Any, _th: Any, _: Ops) -> Any:
    """Stopped off level, nobody known to be there."""
    in_service = (s.mode == 1) | (s.mode == 5)
    return (s.mv == 0) & (s.zone == 0) & in_service & (s.passenger != 1)


def in_zone(s: Lane, _t: Any, _th: Any) -> Any:
    """Back within the unlocking zone of a floor."""
    return s.zone == 1
