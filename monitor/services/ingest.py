"""Ingest: from the broker to the database, a batch at a time.

    take -> decode -> judge -> commit -> acknowledge

A batch is one transaction, and only then are its messages acknowledged: whatever dies in between, the broker delivers
again and twice makes once. The next batch is judged while the one before is being committed, never further ahead.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from monitor.domain.commit import Checkpoint
from monitor.domain.equipment import Equipment
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.messages.decode import Inbound
from monitor.services.ingest_ports import D, Pace, Source, Store, Tally
from monitor.services.judging import Judging, Plan, Turn, restore
from monitor.services.witness import Witness

#: Messages of one batch that may make us fail; more are a defect of ours.
POISON_LIMIT = 50

R = TypeVar("R")
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Due:
    """When, on the monotonic clock, something is to be done again."""

    look: float = 0.0
    alive: float = 0.0
    checkpoint: float = 0.0
    log: float = 0.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look around in the database brought."""

    equipment: Sequence[Equipment] = ()
    requested: Sequence[tuple[int, Inbound]] = ()


class Ingest(Generic[D]):
    """The line. `recover`, then `run` until cancelled; `stop` ends it in good order."""

    def __init__(
        self,
        *,
        source: Source[D],
        store: Store,
        plan: Plan,
        clock: Callable[[], int],
        pace: Pace | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._plan = plan
        self._clock = clock
        self._pace = pace or Pace()
        self._witness = witness
        self._judging: Judging | None = None
        self._away_since_ms: int | None = None
        self._committing: asyncio.Task[None] | None = None
        self._committed: tuple[Turn, D | None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._saved: float | None = None
        self._looking: asyncio.Task[_Found] | None = None
        self._stopping = False
        self._returned = False
        self._taken = 0.0
        self._due = _Due()
        self.tally = Tally(since=time.monotonic())
        #: When this database last heard from a monitor, ms; None before the first.
        self.last_alive_ms: int | None = None

    # --- from start to end ---

    async def recover(self) -> None:
        """Load and judge again what the last checkpoint does not hold. Raises RefusedError."""
        restored = await self._retried(lambda: self._store.load(self._clock()))
        began = time.monotonic()
        witness = self._witness
        if witness is not None:
            witness.learned(restored.equipment)
        self._judging = await restore(restored, self._plan, None if witness is None else witness.remembered)
        self.last_alive_ms = restored.last_alive_ms
        _log.info(
            "state restored",
            equipment=len(restored.equipment),
            position=self._judging.position,
            judged_again=len(restored.journal),
            seconds=round(time.monotonic() - began, 2),
        )

    async def run(self) -> None:
        """Take, judge, commit, acknowledge until `stop`. Raises RefusedError when a commit is refused for good."""
        now = time.monotonic()
        self._away_since_ms = self._clock() if self.last_alive_ms is None else self.last_alive_ms
        self._due = _Due(look=now, alive=now, checkpoint=now + self._pace.checkpoint_s)
        try:
            while not self._stopping:
                await self._turn()
            if await self._settle():
                await self._save(self._state.checkpoint())
        finally:
            for task in (self._committing, self._saving, self._looking):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError, UnavailableError, RefusedError):
                        await task

    def stop(self) -> None:
        """End after the turn at hand, with a checkpoint."""
        self._stopping = True

    @property
    def checkpoint_age_s(self) -> float | None:
        """Since this monitor stored a checkpoint; None before the first."""
        return None if self._saved is None else time.monotonic() - self._saved

    @property
    def _state(self) -> Judging:
        assert self._judging is not None
        return self._judging

    # --- one turn ---

    async def _turn(self) -> None:
        """Wait for messages or the next tick, judge, and hand over to the commit."""
        pace = self._pace
        if await self._source.wait(1, pace.tick_s):
            gather_s = max(0.0, self._taken + pace.gather_s - time.monotonic())
            await self._source.wait(pace.messages, gather_s, pace.size)
        now = self._taken = time.monotonic()
        await self._look_around(now)
        delivery = self._source.take(pace.messages, pace.size)
        await self._return_from_outage(messages=bool(delivery.messages))
        if delivery.messages:
            await self._advance(delivery)
        elif self._source.hearing:
            await self._tick(now)
        if now >= self._due.log:
            self._due.log = now + pace.log_s
            self._tell(now)

    async def _advance(self, delivery: D) -> None:
        try:
            turn = self._state.judge(delivery.messages, self._clock())
        except Exception:  # noqa: BLE001 - whatever it is, the line goes on: see _isolate
            _log.exception("a batch could not be judged", messages=len(delivery.messages))
            await self._settle()
            await self._isolate(delivery.messages)
            self._source.acknowledge(delivery)
            return
        if await self._settle():
            self._hand_over(turn, delivery)
            await asyncio.sleep(0)  # the commit gets under way before the next batch keeps the loop busy
        else:
            await self._advance(delivery)

    async def _tick(self, now: float) -> None:
        turn = self._state.tick(self._clock(), sign_of_life=now >= self._due.alive)
        if turn is not None and await self._settle():
            self._hand_over(turn, None)

    async def _return_from_outage(self, *, messages: bool) -> None:
        """Before the first judgement after we were deaf, the detectors are told so."""
        since_ms = self._source.collect_outage()
        if since_ms is not None and self._away_since_ms is None:
            self._away_since_ms = since_ms
        if self._away_since_ms is None or not (self._source.hearing or messages):
            return
        now_ms = self._clock()
        if now_ms - self._away_since_ms >= self._pace.deaf_s * 1000 or not self._returned:
            _log.info("the centre hears again", deaf_s=(now_ms - self._away_since_ms) / 1000)
            turn = self._state.come_back(now_ms)
            while not await self._settle():
                turn = self._state.come_back(now_ms)
            self._hand_over(turn, None)
            self._returned = True
        self._away_since_ms = None if self._source.hearing else now_ms

    def _hand_over(self, turn: Turn, delivery: D | None) -> None:
        """Start committing `turn`; the one before is committed."""
        now = time.monotonic()
        self._due.alive = now + self._pace.alive_s
        checkpoint = self._checkpoint_if_due(now)
        self._committed = (turn, delivery)
        self._committing = asyncio.create_task(self._finish(turn, delivery, checkpoint), name="commit")

    async def _settle(self) -> bool:
        """Wait for the commit under way. False when it was refused: then the state was made again without it."""
        task, self._committing = self._committing, None
        if task is None:
            return True
        try:
            await task
        except Exception:  # noqa: BLE001 - a refusal, or a defect of ours on the way to the database
            assert self._committed is not None
            turn, delivery = self._committed
            _log.exception("a batch could not be committed", messages=len(turn.messages))
            await self._isolate(turn.messages)
            if delivery is not None:
                self._source.acknowledge(delivery)
            return False
        return True

    # --- commit ---

    async def _finish(self, turn: Turn, delivery: D | None, checkpoint: Checkpoint | None) -> None:
        await self._commit(turn)
        if delivery is not None:
            self._source.acknowledge(delivery)
        if checkpoint is not None:
            self._saving = asyncio.create_task(self._save(checkpoint), name="checkpoint")

    async def _commit(self, turn: Turn) -> None:
        """The same commit until it is taken. When that takes long we leave the broker and come back afterwards."""
        began = time.monotonic()
        leaving = asyncio.get_running_loop().call_later(self._pace.patience_s, self._leave)
        try:
            await self._retried(lambda: self._store.commit(turn.commit))
        finally:
            leaving.cancel()
            self._source.resume()
        took_s, now_ms = time.monotonic() - began, self._clock()
        self.tally.add(turn, took_s, now_ms)
        if self._witness is not None:
            self._witness.committed(turn, took_s, now_ms)

    def _leave(self) -> None:
        _log.error("the database does not take a batch: leaving the broker, which keeps everything until we are back")
        self._source.suspend()

    async def _retried(self, attempt: Callable[[], Awaitable[R]]) -> R:
        """What `attempt` gives, as soon as the database is there again."""
        tries = 0
        while True:
            try:
                return await attempt()
            except UnavailableError as error:
                tries += 1
                self.tally.retries += 1
                if self._witness is not None:
                    self._witness.retried()
                pause_s = min(self._pace.back_off_s, 0.05 * 2 ** min(tries, 12)) * random.uniform(0.5, 1.0)  # noqa: S311
                _log.warning("database not reached", why=str(error), again_s=round(pause_s, 2))
                await asyncio.sleep(pause_s)

    # --- poison ---

    async def _isolate(self, messages: Sequence[Inbound]) -> None:
        """Judge and commit what made us fail in halves, in order, until the messages that do it are set aside.

        Nothing is under way when this is called. Raises what fails without any message, and what makes so many
        messages fail that it is a defect and no message's fault: then the broker keeps them all.
        """
        await self.recover()
        good = self._state.snapshot()
        parts, poison = [messages], 0
        while parts:
            part = parts.pop()
            try:
                await self._commit(self._state.judge(part, self._clock()))
            except Exception as failure:
                if not part or poison == POISON_LIMIT:
                    raise
                self._judging = await restore(good, self._plan)
                half = len(part) // 2
                if half:
                    parts += [part[half:], part[:half]]
                    continue
                poison += 1
                _log.error("a message makes us fail and is set aside", topic=part[0].topic, why=repr(failure))
                await self._commit(self._state.set_aside(part[0], failure, self._clock()))
            good = self._state.snapshot()

    # --- now and then ---

    async def _look_around(self, now: float) -> None:
        """Take in what the last look into the database found, and send for the next."""
        if self._looking is not None and self._looking.done():
            task, self._looking = self._looking, None
            try:
                found = task.result()
            except (UnavailableError, RefusedError) as error:
                _log.warning("the registry could not be looked at", why=str(error))
            else:
                await self._take_in(found)
        if self._looking is None and now >= self._due.look:
            self._due.look = now + self._pace.look_s
            self._looking = asyncio.create_task(self._look(), name="look")

    async def _look(self) -> _Found:
        return _Found(await self._store.changed_equipment(), await self._store.requested(self._pace.messages))

    async def _take_in(self, found: _Found) -> None:
        changed = self._state.change_registry(found.equipment)
        if self._witness is not None:
            self._witness.learned(found.equipment)
        if changed:
            _log.info("the registry changed", equipment=changed)
            self._due.checkpoint = 0.0
        if found.requested:
            ids = tuple(one for one, _ in found.requested)
            now_ms = self._clock()
            messages = [message._replace(received_ms=now_ms) for _, message in found.requested]
            _log.info("messages of the quarantine are judged again", messages=len(messages))
            await self._settle()
            await self._isolate(messages)
            await self._retried(lambda: self._store.mark_resubmitted(ids))

    def _checkpoint_if_due(self, now: float) -> Checkpoint | None:
        """The state after the turn at hand, if it is time and the one before is stored."""
        if now < self._due.checkpoint or (self._saving is not None and not self._saving.done()):
            return None
        checkpoint = self._state.checkpoint()
        spent_s = time.monotonic() - now
        self._due.checkpoint = now + max(self._pace.checkpoint_s, spent_s / self._pace.checkpoint_share)
        return checkpoint

    async def _save(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; without it a restart takes longer, nothing else."""
        began = time.monotonic()
        try:
            await self._store.save_checkpoint(checkpoint)
        except (UnavailableError, RefusedError) as error:
            _log.warning("no checkpoint", position=checkpoint.position, why=str(error))
        else:
            self._saved = time.monotonic()
            took_s = round(self._saved - began, 3)
            size = sum(map(len, checkpoint.chunks))
            _log.debug("checkpoint", position=checkpoint.position, bytes=size, seconds=took_s)

    def _tell(self, now: float) -> None:
        """One line about the last while."""
        tally, self.tally = self.tally, Tally(since=now)
        seconds = max(now - tally.since, 1e-3)
        if not tally.batches:
            return
        _log.info(
            "ingest",
            messages_per_s=round(tally.messages / seconds, 1),
            readings_per_s=round(tally.readings / seconds, 1),
            faults=tally.faults,
            set_aside=tally.quarantined,
            batches=tally.batches,
            commit_ms=round(1000 * tally.commit_s / tally.batches, 1),
            longest_commit_ms=round(1000 * tally.longest_commit_s),
            longest_lag_ms=tally.longest_lag_ms,
            retries=tally.retries,
            waiting=self._source.count,
        )
