"""Judging: messages in, a Commit out. Holds the detectors' state, and brings it back after a restart.

The state is the engine's and the register's. It is what the last checkpoint says, with the journal after it judged
again in the same order at the same instants: the same code on the same input, so the same state.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from monitor.detectors.engine import Outcome
from monitor.domain.commit import Checkpoint, Commit, Quarantined, Restored, no_readings
from monitor.domain.equipment import Equipment
from monitor.domain.register import Register
from monitor.messages.decode import Decoded, Decoder, Inbound
from monitor.messages.journal import pack, unpack
from monitor.messages.profiles import Profiles

#: Payload kept of a message that made us fail.
POISON_BYTES = 1024 * 1024
POISON = "poison"

#: First byte of a journal entry: a judged batch, or the centre's return after it was away.
_BATCH = b"B"
_RETURN = b"R"
#: A journal entry that says nothing: the batch of a replay, which is history and none of the monitor's own.
VOID = b"V"
_INSTANT = struct.Struct("<q")

_log = structlog.get_logger(__name__)


class Engine(Protocol):
    """The detectors as seen from here; `now_ms` never goes back. See `monitor.detectors.engine`."""

    def register(self, equipment: Sequence[Equipment]) -> None: ...
    def process(self, batch: Decoded, now_ms: int) -> Outcome: ...
    def tick(self, now_ms: int) -> Outcome: ...
    def resume(self, now_ms: int) -> None: ...
    def dump(self) -> Sequence[bytes]: ...
    def restore(self, chunks: Sequence[bytes], equipment: Sequence[Equipment]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One step: what is committed, and what is to be done once it is."""

    commit: Commit
    messages: Sequence[Inbound] = ()
    #: When the oldest message was received, ms; of a turn without messages, when it was judged.
    received_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What judging is made of: an engine without any state, makers' profiles (None: the built-in ones), a bound."""

    new_engine: Callable[[], Engine]
    profiles: Profiles | None = None
    unregistered_limit: int = 20_000


class Judging:
    """Decoder, register and engine together, and the position reached."""

    def __init__(self, restored: Restored, plan: Plan) -> None:
        self._free_numbers = restored.free_numbers
        self._register = Register(
            restored.equipment, free=restored.free_numbers, unregistered_limit=plan.unregistered_limit
        )
        self._decoder = Decoder(self._register, plan.profiles)
        self._engine = plan.new_engine()
        self.position = restored.checkpoint.position if restored.checkpoint else 0
        self._now_ms = 0
        self._bring_back(restored, plan)

    def _bring_back(self, restored: Restored, plan: Plan) -> None:
        if restored.checkpoint is not None:
            try:
                self._engine.restore(restored.checkpoint.chunks, restored.equipment)
            except Exception:  # noqa: BLE001 - a centre that begins anew is better than none
                _log.exception("THE CHECKPOINT CANNOT BE READ: the detectors begin anew, check what is open by hand")
                self._engine = plan.new_engine()
            else:
                return
        self._engine.register(restored.equipment)

    def judge(self, messages: Sequence[Inbound], now_ms: int) -> Turn:
        """Decode and judge a batch. Whatever this raises, the state is spoilt and has to be made again."""
        now_ms = self._later(now_ms)
        decoded = self._decoder.decode(messages)
        journal = _BATCH + pack(decoded, now_ms)
        self._engine.register(decoded.new_equipment)
        outcome = self._engine.process(decoded, now_ms)
        self.position += 1
        commit = Commit(
            position=self.position,
            journal=journal,
            judged_ms=now_ms,
            new_equipment=decoded.new_equipment,
            readings=outcome.readings,
            measurements=outcome.measurements,
            events=outcome.events,
            rides=outcome.rides,
            links=tuple(one for _, one in decoded.links),
            calls=tuple(one for _, one in decoded.calls),
            actions=tuple(one for _, one in decoded.actions),
            faults=outcome.faults,
            quarantined=tuple(decoded.quarantined),
        )
        received_ms = messages[0].received_ms if messages else now_ms
        return Turn(commit=commit, messages=messages, received_ms=received_ms)

    def tick(self, now_ms: int, *, sign_of_life: bool) -> Turn | None:
        """Judge what became due without a message; None when nothing did and no sign of life is wanted."""
        now_ms = self._later(now_ms)
        outcome = self._engine.tick(now_ms)
        if not (sign_of_life or outcome.faults or len(outcome.readings)):
            return None
        self.position += 1
        journal = _BATCH + pack(Decoded(), now_ms)
        commit = Commit(
            position=self.position,
            journal=journal,
            judged_ms=now_ms,
            readings=outcome.readings,
            measurements=outcome.measurements,
            events=outcome.events,
            faults=outcome.faults,
        )
        return Turn(commit=commit, received_ms=now_ms)

    def come_back(self, now_ms: int) -> Turn:
        """The centre hears again after it was away: the silence until now was ours, not the equipment's."""
        now_ms = self._later(now_ms)
        self._engine.resume(now_ms)
        self.position += 1
        commit = Commit(position=self.position, journal=_RETURN + _INSTANT.pack(now_ms), judged_ms=now_ms)
        return Turn(commit=commit, received_ms=now_ms)

    def set_aside(self, message: Inbound, error: Exception, now_ms: int) -> Turn:
        """A message that made us fail goes to quarantine, whole; the detectors never see it."""
        now_ms = self._later(now_ms)
        self.position += 1
        poison = Quarantined(
            received_ms=message.received_ms,
            topic=message.topic,
            reason=POISON,
            detail=f"{type(error).__name__}: {error}"[:500],
            payload=message.payload[:POISON_BYTES],
            size=len(message.payload),
        )
        journal = _BATCH + pack(Decoded(), now_ms)
        commit = Commit(position=self.position, journal=journal, judged_ms=now_ms, quarantined=(poison,))
        return Turn(commit=commit, messages=(message,), received_ms=message.received_ms)

    def checkpoint(self) -> Checkpoint:
        """The state after the last turn."""
        return Checkpoint(position=self.position, chunks=tuple(self._engine.dump()))

    def snapshot(self) -> Restored:
        """The state after the last turn, to begin from again without the database."""
        return Restored(
            equipment=tuple(self._register.by_number.values()),
            checkpoint=self.checkpoint(),
            journal=(),
            free_numbers=self._free_numbers,
            last_alive_ms=None,
        )

    def change_registry(self, equipment: Sequence[Equipment]) -> int:
        """Take in what the registry says now; returns how much of it was new to us.

        Not in the journal: where anything was, take a checkpoint with the next turn.
        """
        known = self._register.by_id
        told = (self._under_its_number(one) for one in equipment)
        changed = [one for one in told if known.get(one.equipment_id) != one]
        for one in changed:
            self._register.add(one)
        self._engine.register(changed)
        return len(changed)

    def _under_its_number(self, one: Equipment) -> Equipment:
        """As the registry tells of it, under the number that we store it under.

        An import gives what it does not know a number of its own. If our first batch with it is under way then, our
        number takes that one's place with the commit, and what was read of the registry before is out of date.
        """
        known = self._register.by_id.get(one.equipment_id)
        return one if known is None or known.number == one.number else replace(one, number=known.number)

    def repeat(self, position: int, entry: bytes) -> NDArray[np.void]:
        """Judge a journal entry again; returns its readings, which were committed with it.

        Raises whatever judging raises.
        """
        readings = no_readings()
        if entry[:1] == VOID:
            self.position = position
            return readings
        if entry[:1] == _RETURN:
            (now_ms,) = _INSTANT.unpack(entry[1:])
            self._engine.resume(now_ms)
        else:
            decoded, now_ms = unpack(entry[1:])
            self._engine.register(decoded.new_equipment)
            readings = self._engine.process(decoded, now_ms).readings
        self._later(now_ms)
        self.position = position
        return readings

    def _later(self, now_ms: int) -> int:
        """Our time never goes back, whatever the wall clock does."""
        self._now_ms = max(self._now_ms, now_ms)
        return self._now_ms


async def restore(
    restored: Restored, plan: Plan, remembered: Callable[[NDArray[np.void]], None] | None = None
) -> Judging:
    """The state after the last committed batch. `remembered` is given the readings of the journal, in order.

    A journal entry that cannot be judged again (after an upgrade, or a defect that struck since) is left out, said
    loudly: what it held is stored, only what the detectors remember of it is lost.
    """
    left_out: set[int] = set()
    while True:
        judging = Judging(restored, plan)
        try:
            for position, entry in restored.journal:
                failing = position
                if position in left_out:
                    judging.position = position
                    continue
                readings = judging.repeat(position, entry)
                if remembered is not None:
                    remembered(readings)
                await asyncio.sleep(0)
        except Exception:  # noqa: BLE001 - a centre that does not come up again is worse than one that forgot a batch
            _log.exception("a journal entry cannot be judged again and is left out", position=failing)
            left_out.add(failing)
        else:
            return judging
