"""On-delay, clearing and latching: the only timing logic of the rules."""

from __future__ import annotations

from typing import Any

from monitor.detectors.lane import Lane, Ops
from monitor.detectors.rules import ALARM, RULES, SILENCE, STUCK, UNINTENDED, Rule

NAN = float("nan")


def evaluate(s: Lane, t: Any, now: Any, th: Any, o: Ops, *, tell: Any, believed: Any) -> Any:
    """Judge every rule at device time `t` (receiver's clock `now`), both ms.

    `believed`: the last sample is believed at `t`; where not, only the rules that go on in silence are judged.
    `tell`: what is found may be told now; where not (old news), only rules told even when over.
    Updates `since`, `active`, `told` and the next instants; returns where anything is to be told.
    """
    s.sensor_stuck = s.active[STUCK]
    s.unintended = s.active[UNINTENDED]
    end = belief_end(s, th, o)
    next_at: Any = NAN
    changed: Any = False
    for i, rule in enumerate(RULES):
        allowed = True if rule.silent else believed
        condition = rule.condition(s, t, th, o)
        if not o.some(condition | s.active[i] | s.told[i]):
            # Most rules, most of the time: nothing is wrong and nothing was.
            s.since[i] = o.where(allowed, NAN, s.since[i])
            continue
        due = _judge(i, rule, s, t, th, o, condition, allowed, believed)
        next_at = o.minimum(next_at, due if rule.silent else o.where(due <= end, due, NAN))
        want = s.active[i] & (s.told[i] | True if rule.told_when_over else s.told[i] | tell)
        changed = changed | (want ^ s.told[i])
        s.told[i] = want
        if i == STUCK:
            s.sensor_stuck = s.active[i]
        elif i == UNINTENDED:
            s.unintended = s.active[i]
    s.alarm = s.alarm & (s.active[ALARM])
    s.fire_dev = next_at
    return changed | judge_silence(s, now, th, o)


def _judge(i: int, rule: Rule, s: Lane, t: Any, th: Any, o: Ops, condition: Any, allowed: Any, believed: Any) -> Any:
    """Judge one rule; returns the device time at which it changes next if nothing else comes, NaN for never."""
    since = s.since[i]
    began = rule.since(s) if rule.since else o.where(since == since, since, t)
    began = o.where(condition, began, NAN)
    # Beyond the belief nothing is known: the delay is left as it was, the next sample tells.
    since = o.where(allowed, began, since)
    delay = (
        0.0 if rule.delay is None else getattr(th, rule.delay) if isinstance(rule.delay, str) else rule.delay(s, th, o)
    )
    ready = condition & allowed & (rule.ready(s) if rule.ready else True)
    active = s.active[i] | (ready & (t - since >= delay))
    next_at = o.where(ready & (active ^ True), since + delay, NAN)
    if rule.clears is not None:
        active = active & ((rule.clears(s, t, th) & believed) ^ True)
    if rule.clears_at is not None:
        over_at = rule.clears_at(s, th, o)
        active = active & (((t >= over_at) & believed) ^ True)
        next_at = o.minimum(next_at, o.where(active & believed & (over_at <= belief_end(s, th, o)), over_at, NAN))
    s.since[i], s.active[i] = since, active
    return next_at


def judge_silence(s: Lane, now: Any, th: Any, o: Ops) -> Any:
    """Judge the rules about silence on the receiver's clock `now`."""
    changed: Any = False
    for i, (_, due_at) in enumerate(SILENCE, start=len(RULES)):
        # Only a message ends it: whoever takes one in moves the instant from which silence counts.
        active = now >= due_at(s, th, o)
        changed = changed | (active ^ s.told[i])
        s.active[i] = active
        s.told[i] = active
    return changed


def silence_due(s: Lane, th: Any, o: Ops) -> Any:
    """Receiver's clock: the next instant at which a rule about silence is due, NaN for never."""
    due: Any = NAN
    for i, (_, due_at) in enumerate(SILENCE, start=len(RULES)):
        due = o.minimum(due, o.where(s.active[i], NAN, due_at(s, th, o)))
    return due


def belief_end(s: Lane, th: Any, o: Ops) -> Any:
    """Device time up to which the last sample is believed."""
    return o.where(s.on_changes, float("inf"), s.dev + th.belief_ms)


def untold(s: Lane) -> Any:
    """Whether something holds that was not told, because it was old news."""
    held: Any = False
    for active, told in zip(s.active, s.told, strict=True):
        held = held | (active & (told ^ True))
    return held


def restart_clocks(s: Lane, lapsed: Any, o: Ops) -> None:
    """The passenger flag was away for longer than is tolerated: the clocks of entrapments begin anew."""
    for i, rule in enumerate(RULES):
        if rule.ready is not None:
            s.since[i] = o.where(lapsed, NAN, s.since[i])


def restart_delays(s: Lane, gap: Any, o: Ops) -> None:
    """Where there was a gap in what is known, delays begin anew with the next sample."""
    for i, rule in enumerate(RULES):
        if not rule.keeps:
            s.since[i] = o.where(gap, NAN, s.since[i])
