"""What a network does to mail. Every function returns mail in order of receipt. Instants are ms since T0."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from tests.detectors.world import Message

#: Between two messages of a late burst.
BURST_MS = 5


def in_order(mail: Iterable[Message]) -> list[Message]:
    """Sorted by receipt, otherwise as sent."""
    return sorted(mail, key=lambda m: m.at)


def lose(mail: Iterable[Message], lost: Callable[[Message], bool]) -> list[Message]:
    """Some messages never come."""
    return in_order(m for m in mail if not lost(m))


def delay(mail: Iterable[Message], by_ms: int, late: Callable[[Message], bool]) -> list[Message]:
    """Some messages come later than they would; others overtake them."""
    return in_order(m.delayed_until(m.at + by_ms) if late(m) else m for m in mail)


def outage(mail: Iterable[Message], begin: int, end: int) -> list[Message]:
    """What is sent from `begin` to `end` comes after `end`, in order, and what follows waits for it."""
    moved, free = [], 0
    for message in mail:
        at = message.at
        if begin <= message.sent < end or (begin <= message.sent and at <= free):
            at = max(at, end, free + BURST_MS)
            free = at
        moved.append(message.delayed_until(at))
    return in_order(moved)


def backlog(mail: Iterable[Message], begin: int, end: int, told_at: int, gap_ms: int = BURST_MS) -> list[Message]:
    """What is sent from `begin` to `end` comes in order from `told_at` on, while live mail goes on."""
    moved, at = [], told_at
    for message in mail:
        if begin <= message.sent < end:
            moved.append(message.delayed_until(at))
            at += gap_ms
        else:
            moved.append(message)
    return in_order(moved)


def cut_off(mail: Iterable[Message], begin: int, end: int = 2**62) -> list[Message]:
    """What is sent from `begin` to `end` is lost."""
    return lose(mail, lambda m: begin <= m.sent < end)


def doubled(mail: Iterable[Message], after_ms: int, twice: Callable[[Message], bool] = lambda _: True) -> list[Message]:
    """Some messages come again, `after_ms` later."""
    mail = list(mail)
    return in_order([*mail, *(m.delayed_until(m.at + after_ms) for m in mail if twice(m))])


def shuffled(mail: Iterable[Message], within_ms: int, seed: int) -> list[Message]:
    """Each message comes up to `within_ms` later than it would."""
    dice = random.Random(seed)
    return in_order(m.delayed_until(m.at + dice.randrange(within_ms + 1)) for m in mail)
