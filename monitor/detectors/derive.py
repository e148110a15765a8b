"""What follows from one more sample: arrival, boarding, turns of the door, standstill, and the like."""

from __future__ import annotations

from typing import Any

from monitor.detectors.entrapment import INSPECTION, rescue_modes
from monitor.detectors.lane import Lane, Ops, Sample
from monitor.detectors.motion import SPEED_SLACK
from monitor.detectors.rules import ALARM, ENTRAPMENTS

NAN = float("nan")
#: A position that differs by less shows no movement.
STILL_M = 0.02


def take(s: Lane, x: Sample, th: Any, o: Ops) -> None:
    """Take sample `x` into the state `s`; the sample is the believed one afterwards.

    `x.proven`: nothing can have happened unseen since the sample before.
    """
    seen = s.known & x.proven
    elsewhere = (x.zone == 1) & (s.level_floor != x.floor) & (s.level_floor == s.level_floor) & (x.floor == x.floor)
    # The car leaves a floor when it moves outside the zone; where nobody saw that, another floor says so, unless it
    # was seen to stand all the time.
    moved = (x.mv == 1) | (s.mv == 1)
    gone = ((x.zone == 0) & (moved | (x.mv != 0))) | (elsewhere & (moved | x.skipped | (seen ^ True)))
    x.lapsed = (x.dev - s.flag_seen > th.passenger_dropout_ms) & (s.passenger != 1)
    _door(s, x, gone, o)
    _passenger(s, x, gone, th, o)
    _landing(s, x, gone, seen, th, o)
    _travel(s, x, seen, o)
    _limits(s, x, th, o)
    _rescue(s, x, th, o)
    known = (x.zone == 1) & (x.floor == x.floor) & (((x.floor < s.bottom) | (x.floor > s.top)) ^ True)
    s.level_floor = o.where(known, x.floor, s.level_floor)
    s.mode, s.mv, s.direction, s.zone, s.floor = x.mode, x.mv, x.direction, x.zone, x.floor
    s.closed, s.passenger, s.speed, s.pos = x.closed, x.passenger, x.speed, x.pos
    s.age = x.age
    s.last_recv, s.dev = x.recv, x.dev
    s.known = s.known | (x.dev == x.dev)


def _door(s: Lane, x: Sample, gone: Any, o: Ops) -> None:
    opened, shut = x.closed == 0, x.closed == 1
    # An opening after a closing at the same landing is a turn, begun by that closing.
    turn = opened & (s.closed == 1) & (s.door_shut == s.door_shut) & (gone ^ True)
    s.turn4 = o.where(gone, NAN, o.where(turn, s.turn3, s.turn4))
    s.turn3 = o.where(gone, NAN, o.where(turn, s.turn2, s.turn3))
    s.turn2 = o.where(gone, NAN, o.where(turn, s.turn1, s.turn2))
    s.turn1 = o.where(gone, NAN, o.where(turn, s.door_shut, s.turn1))
    s.last_turn = o.where(turn, x.dev, s.last_turn)
    s.door_shut = o.where(gone, NAN, o.where(shut & (s.closed == 0), x.dev, s.door_shut))


def _passenger(s: Lane, x: Sample, gone: Any, th: Any, o: Ops) -> None:
    flag = x.passenger == 1
    opened = x.closed == 0
    near_open = opened | (x.dev - s.door_shut <= th.boarding_ms)
    rose_here = flag & (s.passenger == 0) & (x.zone == 1) & near_open
    s.boarded = (s.boarded & (x.lapsed ^ True) & (gone ^ True)) | rose_here
    s.flag_seen = o.where(flag | (s.passenger == 1), x.dev, s.flag_seen)
    unseen = (x.dev - s.dev > th.lost_contact_ms) & (s.on_changes ^ True)
    unbroken = flag & (s.passenger == 1) & (unseen ^ True)
    s.openings = o.where(unbroken, s.openings + (opened & (s.closed == 1)), 0.0)
    s.flag_on = o.where(flag, o.where(unbroken & (s.flag_on == s.flag_on), s.flag_on, x.dev), NAN)
    s.nobody = o.where(x.passenger == 0, o.where(s.nobody == s.nobody, s.nobody, x.dev), NAN)


def _landing(s: Lane, x: Sample, gone: Any, seen: Any, th: Any, o: Ops) -> None:
    stopped, inside, opened = x.mv == 0, x.zone == 1, x.closed == 0
    stands = stopped & inside
    s.walked = s.stood & seen & (s.zone == 1) & (s.closed == 0) & (x.zone == 0) & opened & (x.mode != INSPECTION)
    away = (s.away | gone) & seen
    came = stands & away
    aboard = (x.passenger == 1) | (x.dev - s.flag_seen <= th.passenger_dropout_ms)
    s.ran_occupied = o.where(came, aboard, s.ran_occupied & (gone ^ True))
    s.arrived = ((s.arrived & (gone ^ True)) | came) & ((opened & inside) ^ True)
    s.away = (away | gone) & ((inside & (stopped | opened)) ^ True)
    s.stood = (s.stood & (gone ^ True)) | stands


def _travel(s: Lane, x: Sample, seen: Any, o: Ops) -> None:
    inside, moving = x.zone == 1, x.mv == 1
    leaves = (s.zone == 1) & (x.zone == 0)
    heading = o.where(x.direction > 0, x.direction, s.direction)
    s.exit_direction = o.where(inside | (seen ^ True), 0.0, o.where(leaves, heading, s.exit_direction))
    level = inside & (x.mv == 0) & (x.pos == x.pos)
    s.top_m = o.where(level & (x.floor == s.top), x.pos, s.top_m)
    s.bottom_m = o.where(level & (x.floor == s.bottom), x.pos, s.bottom_m)
    shifted = (x.pos - s.still_pos > STILL_M) | (s.still_pos - x.pos > STILL_M)
    other_floor = (x.floor != s.still_floor) & (x.floor == x.floor) & (s.still_floor == s.still_floor)
    begins = (s.mv == 1) ^ True
    anew = begins | shifted | other_floor | (seen ^ True) | (moving ^ True)
    s.still_since = o.where(moving, o.where(anew, x.dev, s.still_since), NAN)
    s.still_pos = o.where(anew | (s.still_pos != s.still_pos), x.pos, s.still_pos)
    s.still_floor = o.where(anew | (s.still_floor != s.still_floor), x.floor, s.still_floor)


def _limits(s: Lane, x: Sample, th: Any, o: Ops) -> None:
    fast = x.speed * SPEED_SLACK >= s.rated * th.overspeed_ratio
    s.fast_twice = fast & s.fast
    s.fast = fast
    astray = s.is_lift & ((x.floor < s.bottom) | (x.floor > s.top))
    s.astray_twice = astray & s.astray
    s.astray = astray
    within = (x.floor >= s.bottom) & (x.floor <= s.top)
    s.back_in_range = o.where(within, o.where(s.back_in_range == s.back_in_range, s.back_in_range, x.dev), NAN)


def _rescue(s: Lane, x: Sample, th: Any, o: Ops) -> None:
    shut_in = s.active[ENTRAPMENTS[0]]
    for i in ENTRAPMENTS[1:]:
        shut_in = shut_in | s.active[i]
    first = o.where((x.closed == 0) & (s.way_out != s.way_out), x.dev, s.way_out)
    s.way_out = o.where(shut_in, first, NAN)
    s.way_open = o.where((x.closed == 0) & (x.zone == 1), x.dev, s.way_open)
    stands = (x.mv == 0) & (x.closed == 1)
    # A button that could not be judged at once: the car's state then was that of the last sample before, or, where
    # one is missing, that of the first after.
    crossed = x.dev > s.alarm_at
    was_shut = (s.mv == 0) & (s.closed == 1) & (rescue_modes(s) ^ True)
    was_shut = was_shut & ((s.alarm_at - s.dev <= th.belief_ms) | s.on_changes)
    unknown = (x.follows ^ True) | (s.alarm_at - s.dev > th.belief_ms)
    is_shut = stands & (rescue_modes(x) ^ True) & unknown & (x.dev - s.alarm_at <= th.belief_ms)
    pressed = crossed & (was_shut | is_shut)
    s.alarm = s.alarm | pressed
    s.since[ALARM] = o.where(pressed, s.alarm_at, s.since[ALARM])
    s.alarm_at = o.where(crossed, NAN, s.alarm_at)
    stood = (s.shut_since == s.shut_since) & x.proven
    s.shut_since = o.where(stands, o.where(stood, s.shut_since, x.dev), NAN)
