"""A recorded stream into the database, so that reports can be made of it (protocol §8).

It is history: the monitor's own state, and what it would send, stay as they were. Nothing is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from monitor.detectors.engine import Engine
from monitor.domain.commit import Checkpoint, Commit, Restored
from monitor.domain.equipment import Equipment
from monitor.domain.fault import FaultChange
from monitor.services import judging
from monitor.services.judging import Judging, Plan, Turn
from monitor.services.maintain import Upkeep
from monitor.services.replay import AFTER_MS, BATCH, Stream

#: The monitor's own checkpoint is put forward so often: the journal in between is void.
CHECKPOINT_EVERY = 64
#: After every hour that a sample can have (the year 2200).
END_OF_TIME_MS = 7_258_118_400_000


class Store(Protocol):
    """See `monitor.adapters.store.PostgresStore`, acquired."""

    async def load(self, now_ms: int) -> Restored: ...
    async def commit(self, commit: Commit) -> None: ...
    async def save_checkpoint(self, checkpoint: Checkpoint) -> None: ...


class Registry(Protocol):
    """See `monitor.adapters.registry.Registry`."""

    async def import_equipment(self, equipment: Iterable[Equipment]) -> int: ...
    async def equipment(self) -> Sequence[Equipment]: ...


@dataclass(slots=True)
class Written:
    """What a replay wrote."""

    messages: int = 0
    readings: int = 0
    quarantined: int = 0
    position: int = 0


async def store(
    streams: Iterable[Stream],
    target: Store,
    registry: Registry,
    now_ms: int,
    *,
    tell: Callable[[Sequence[FaultChange]], None],
    progress: Callable[[int], None] = lambda _: None,
    unregistered_limit: int = 20_000,
) -> Written:
    """Write streams, one after the other, each a run of its own on its own clock; `tell` gets the changes of each.

    `now_ms`: the wall clock, for the database's upkeep only.
    """
    restored = await target.load(now_ms)
    plan = Plan(new_engine=Engine, unregistered_limit=unregistered_limit)
    own = await judging.restore(restored, plan)
    chunks = own.checkpoint().chunks
    written = Written(position=own.position)
    lines: list[FaultChange] = []

    async def keep(turn: Turn) -> None:
        commit = replace(turn.commit, journal=judging.VOID)
        await target.commit(commit)
        written.position = commit.position
        written.readings += len(commit.readings)
        written.quarantined += len(commit.quarantined)
        if commit.position % CHECKPOINT_EVERY == 0:
            await target.save_checkpoint(Checkpoint(position=commit.position, chunks=chunks))
        lines.extend(commit.faults)

    for stream in streams:
        await registry.import_equipment(stream.registry)
        known = Restored(
            equipment=tuple(await registry.equipment()),
            checkpoint=None,
            journal=(),
            free_numbers=restored.free_numbers,
            last_alive_ms=None,
        )
        run = Judging(known, plan)
        run.position = written.position
        lines.clear()
        await _run(run, stream, keep, written, progress)
        tell(sorted(lines, key=lambda line: (line.at_ms, line.number)))
    await target.save_checkpoint(Checkpoint(position=written.position, chunks=chunks))
    return written


async def _run(
    run: Judging,
    stream: Stream,
    keep: Callable[[Turn], Awaitable[None]],
    written: Written,
    progress: Callable[[int], None],
) -> None:
    last = None
    for batch in stream.batches(BATCH):
        last = batch[-1].received_ms
        await keep(run.judge(batch, last))
        written.messages += len(batch)
        progress(written.messages)
    if last is not None:
        after = run.tick(last + AFTER_MS, sign_of_life=False)
        if after is not None:
            await keep(after)


async def roll_up(upkeep: Upkeep) -> None:
    """Bring all hourly figures up to date, however long ago their hours are. A maintenance at work does it as well."""
    async with upkeep.turn() as turn:
        while turn is not None and await turn.roll_up(END_OF_TIME_MS):
            pass
