"""The monitor's store: every batch in one transaction, each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import asyncpg
import numpy as np
from numpy.typing import NDArray

from monitor.adapters import clockspan, faults, history, incidents, marks, quarantine, registry
from monitor.adapters.clockspan import ClockSpans
from monitor.adapters.feed import Line, publish
from monitor.adapters.partitions import DAY_MS, HISTORY, LOCKS, HistoryTable, Partitions
from monitor.adapters.pgtext import instant, milliseconds
from monitor.adapters.pool import Database, database_errors
from monitor.adapters.quarantine import Held, QuarantineBounds
from monitor.adapters.registry import REGISTRY_LOCK
from monitor.adapters.schema import migrate
from monitor.domain.commit import Checkpoint, Commit, Restored
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.domain.reading import CLOCK_SET
from monitor.domain.reading import HISTORY as IS_HISTORY

MONITOR_LOCK = 4

#: Seconds between two looks whether the other monitor has gone.
LOCK_POLL_S = 1.0

#: How many numbers a monitor may give to equipment that no register knows, at once.
NUMBERS_AHEAD = 20_000

#: Whose days incidents are numbered by, where nobody says.
ZONE = ZoneInfo("Asia/Shanghai")

_READING, _MEASUREMENT, _EVENT, _RIDE = HISTORY[:4]

_ADVANCE = """
UPDATE tiwei.progress SET position = $1, alive_at = greatest(alive_at, $2)
WHERE epoch = $3 AND (position IS NULL OR position = $1 - 1)
"""


class PostgresStore:
    """What the monitor keeps in PostgreSQL.

    One monitor at a time: `acquire`, then `load`, then `commit` one batch after the other. Every method raises
    UnavailableError where the database cannot be reached now (try again, the same call) and RefusedError where trying
    again does not help. `zone`: the centre's; incidents are numbered by its days.
    """

    def __init__(self, database: Database, *, bounds: QuarantineBounds | None = None, zone: ZoneInfo = ZONE) -> None:
        self._database = database
        self._zone = zone
        self._bounds = bounds or QuarantineBounds()
        self._writer: asyncpg.Connection[asyncpg.Record] | None = None
        self._epoch: int | None = None
        self._spans = ClockSpans()
        self._held = Held()
        self._partitions: Partitions | None = None

    async def acquire(self, *, wait: bool = True) -> None:
        """Become the database's one monitor; bring its schema to this version first.

        Where another monitor is at work: wait until it has gone, or without `wait` raise RefusedError.
        """
        server = await migrate(self._database)
        self._partitions = Partitions(server)
        while not await self._try_lock():
            if not wait:
                raise RefusedError("a monitor is at work on this database")
            await asyncio.sleep(LOCK_POLL_S)

    async def _try_lock(self) -> bool:
        with database_errors():
            connection = await self._database.alone("tiwei monitor")
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCKS, MONITOR_LOCK):
                self._writer = connection
                return True
            await connection.close(timeout=5)
            return False

    async def close(self) -> None:
        """Give the database up to another monitor. Nothing is written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with database_errors():
                await writer.close(timeout=5)

    async def load(self, now_ms: int) -> Restored:
        """Take over where the last monitor stood. From now on it can write nothing any more.

        `now_ms`: the wall clock; history near it is partitioned by the day.
        """
        with database_errors():
            writer = await self._connected()
            self._epoch = await writer.fetchval("UPDATE tiwei.progress SET epoch = epoch + 1 RETURNING epoch")
            partitions = self._known_partitions()
            await partitions.make_ahead(writer, now_ms)
            await partitions.learn(writer)
            await self._spans.learn(writer)
            self._held = await quarantine.held(writer)
            free = await _free_numbers(writer)
            async with writer.transaction(isolation="repeatable_read", readonly=True):
                return await _restored(writer, free)

    async def commit(self, commit: Commit) -> None:
        """Store one batch, whole or not at all; durable when it returns.

        A batch that is stored already (a repeat after an unknown outcome) changes nothing.

        Raises:
            UnavailableError: not stored as far as is known; repeat the same batch.
            RefusedError: another monitor has taken over, a batch before this one is missing, or it cannot be stored.
        """
        with database_errors():
            writer = await self._connected()
            try:
                await self._commit_on(writer, commit)
            except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError):
                # Whatever state the session is in, the next attempt begins with a new one.
                self._forget(writer)
                raise

    async def _commit_on(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit) -> None:
        widened = self._spans.widened(commit.readings)
        staged = False
        for _ in range(3):
            await self._cover(writer, commit)
            try:
                async with writer.transaction():
                    if not await self._advance(writer, commit):
                        return
                    if widened is not None:
                        await clockspan.store_spans(writer, widened)
                    await self._store_history(writer, commit, staged=staged)
                    await self._store_present(writer, commit)
                    await publish(writer, await self._told(writer, commit))
                break
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name == incidents.ONE_OPEN:
                    continue  # opened by somebody else meanwhile: joined the next time
                if staged:
                    raise
                staged = True  # some rows are there already: the way that leaves them out
            except asyncpg.CheckViolationError:
                await self._known_partitions().learn(writer)  # a partition was dropped meanwhile
        else:
            raise UnavailableError("partitions of the history, or incidents, come and go; try again")
        if widened is not None:
            self._spans.take_over(widened)

    async def _advance(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit) -> bool:
        """Take the batch's place in the order of batches; False where it is taken by the same batch."""
        alive = commit.judged_ms or _last_receipt(commit)
        done = await writer.execute(_ADVANCE, commit.position, alive and instant(alive), self._epoch)
        if done == "UPDATE 1":
            await writer.execute(
                "INSERT INTO tiwei.journal (position, body) VALUES ($1, $2)", commit.position, commit.journal
            )
            return True
        row = await writer.fetchrow("SELECT epoch, position FROM tiwei.progress")
        if row is None or row["epoch"] != self._epoch:
            raise RefusedError("another monitor has taken this database over")
        if row["position"] >= commit.position:
            return False
        raise RefusedError(f"batch {commit.position} does not follow batch {row['position']}")

    async def _store_history(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit, *, staged: bool) -> None:
        if commit.new_equipment:
            seen = _last_receipt(commit)
            await registry.insert_new(writer, commit.new_equipment, seen and instant(seen))
        rows = await self._not_stored(writer, commit.readings)
        if len(rows):
            await history.copy_readings(writer, rows, staged=staged)
            await marks.mark(writer, rows)
        if commit.measurements:
            await history.store_measurements(writer, commit.measurements)
        if commit.events:
            await history.store_events(writer, commit.events)
        if commit.rides:
            await history.store_rides(writer, commit.rides)

    async def _not_stored(self, writer: asyncpg.Connection[asyncpg.Record], rows: NDArray[np.void]) -> NDArray[np.void]:
        """READING rows without those that the detectors could not know again and that are stored already."""
        late = np.flatnonzero(rows["flags"] & (IS_HISTORY | CLOCK_SET))
        low, high = self._spans.bounds(rows["number"][late])
        searched = late[low <= high]
        if not len(searched):
            return rows
        known = await history.stored_already(writer, rows[searched], low[low <= high], high[low <= high])
        return np.delete(rows, searched[known])

    async def _store_present(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit) -> None:
        if commit.links:
            await history.store_links(writer, commit.links)
        if commit.calls:
            await history.store_calls(writer, commit.calls)
        if commit.actions:
            await history.store_actions(writer, commit.actions)
        if commit.faults:
            await faults.store_changes(writer, commit.position, commit.faults)
        if commit.quarantined:
            await self._store_quarantined(writer, commit)

    async def _told(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit) -> list[Line]:
        """Decide what the faults do to incidents; the feed's lines of the batch."""
        lines = []
        if commit.new_equipment:
            lines.append(registry.changed_line([one.equipment_id for one in commit.new_equipment]))
        if commit.faults:
            lines += await incidents.on_faults(writer, commit.position, commit.faults, self._zone)
        return lines

    async def _store_quarantined(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit) -> None:
        await quarantine.store_quarantined(writer, commit.quarantined)
        self._held.messages += len(commit.quarantined)
        self._held.octets += sum(len(one.payload) for one in commit.quarantined)
        # A flood between two maintenances must not fill the disk; a tenth more saves trimming at every batch.
        if self._held.messages > self._bounds.messages * 1.1 or self._held.octets > self._bounds.octets * 1.1:
            await quarantine.trim(writer, self._bounds)
            self._held = await quarantine.held(writer)

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint and let the journal up to it go; beside running commits.

        Raises RefusedError for a position that is not committed.
        """
        async with self._database.session() as session, session.transaction():
            position = await session.fetchval("SELECT position FROM tiwei.progress")
            if position is None or position < checkpoint.position:
                raise RefusedError(f"batch {checkpoint.position} of the checkpoint is not committed ({position} is)")
            if await session.fetchval("SELECT max(position) FROM tiwei.checkpoint") == checkpoint.position:
                return
            await session.executemany(
                "INSERT INTO tiwei.checkpoint (position, chunk, body) VALUES ($1, $2, $3)",
                [(checkpoint.position, place, body) for place, body in enumerate(checkpoint.chunks)],
            )
            await session.execute("DELETE FROM tiwei.checkpoint WHERE position < $1", checkpoint.position)
            await session.execute("DELETE FROM tiwei.journal WHERE position <= $1", checkpoint.position)

    async def readings(self, number: int, from_ms: int, to_ms: int) -> NDArray[np.void]:
        """What is stored of one equipment in [from_ms, to_ms), as a READING array in the order of `time_ms`."""
        return await history.fetch_readings(self._database, number, from_ms, to_ms)

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        """The writer's session, which holds the monitor's lock; a new one after a loss.

        Raises RefusedError where another monitor has taken over meanwhile.
        """
        if self._writer is not None and not self._writer.is_closed():
            return self._writer
        self._writer = None
        if self._epoch is None:
            raise RefusedError("the store was not acquired")
        locked = await self._try_lock()
        epoch = await self._current_epoch()
        if epoch != self._epoch:
            await self.close()
            raise RefusedError("another monitor has taken this database over")
        if not locked or self._writer is None:
            raise UnavailableError("the server still holds the lock of the session that was lost")
        return self._writer

    async def _current_epoch(self) -> int:
        async with self._database.session() as session:
            return int(await session.fetchval("SELECT epoch FROM tiwei.progress"))

    def _forget(self, writer: asyncpg.Connection[asyncpg.Record]) -> None:
        if self._writer is writer:
            self._writer = None
        writer.terminate()

    def _known_partitions(self) -> Partitions:
        if self._partitions is None:
            raise RefusedError("the store was not acquired")
        return self._partitions

    async def _cover(self, writer: asyncpg.Connection[asyncpg.Record], commit: Commit) -> None:
        """See to it that everything in the batch has a partition to go to."""
        partitions = self._known_partitions()
        for table, days in _days(commit):
            if partitions.missing(table.name, days):
                await partitions.ensure(writer, table, days)


def _days(commit: Commit) -> Iterable[tuple[HistoryTable, set[int]]]:
    """The days since 1970 that a batch touches, by table."""
    days = commit.readings["time_ms"] // DAY_MS
    if len(days):
        first, last = int(days.min()), int(days.max())
        yield _READING, {first} if first == last else set(np.unique(days).tolist())
    yield _MEASUREMENT, {one.time_ms // DAY_MS for one in commit.measurements}
    yield _EVENT, {one.time_ms // DAY_MS for one in commit.events}
    yield _RIDE, {one.time_ms // DAY_MS for one in commit.rides}


def _last_receipt(commit: Commit) -> int | None:
    """When the last thing in the batch was received, ms; None for a batch of nothing."""
    received = [int(commit.readings["received_ms"].max())] if len(commit.readings) else []
    for records in (commit.measurements, commit.events, commit.rides, commit.links):
        received += [one.received_ms for one in records]
    for others in (commit.calls, commit.actions, commit.quarantined):
        received += [one.received_ms for one in others]
    received += [one.at_ms for one in commit.faults]
    return max(received, default=None)


async def _free_numbers(writer: asyncpg.Connection[asyncpg.Record]) -> tuple[int, int]:
    """The numbers this monitor may give: what its forerunner left, or new ones when that is little."""
    async with writer.transaction():
        await writer.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCKS, REGISTRY_LOCK)
        row = await writer.fetchrow(
            "SELECT p.last_number, (SELECT max(e.number) FROM tiwei.equipment e"
            " WHERE e.number BETWEEN p.first_number AND p.last_number) AS used, p.first_number FROM tiwei.progress p"
        )
        assert row is not None
        if row["last_number"] is not None:
            first = row["first_number"] if row["used"] is None else row["used"] + 1
            if row["last_number"] - first + 1 >= NUMBERS_AHEAD // 4:
                return first, row["last_number"]
        first = await writer.fetchval("SELECT nextval('tiwei.equipment_number')")
        last = first + NUMBERS_AHEAD - 1
        await writer.execute("SELECT setval('tiwei.equipment_number', $1)", last)
        await writer.execute("UPDATE tiwei.progress SET first_number = $1, last_number = $2", first, last)
        return first, last


async def _restored(writer: asyncpg.Connection[asyncpg.Record], free: tuple[int, int]) -> Restored:
    chunks = await writer.fetch(
        "SELECT position, body FROM tiwei.checkpoint"
        " WHERE position = (SELECT max(position) FROM tiwei.checkpoint) ORDER BY chunk"
    )
    checkpoint = None
    if chunks:
        checkpoint = Checkpoint(position=chunks[0]["position"], chunks=tuple(row["body"] for row in chunks))
    journal = await writer.fetch(
        "SELECT position, body FROM tiwei.journal WHERE $1::bigint IS NULL OR position > $1 ORDER BY position",
        checkpoint and checkpoint.position,
    )
    alive = await writer.fetchval("SELECT alive_at FROM tiwei.progress")
    return Restored(
        equipment=await registry.all_equipment(writer),
        checkpoint=checkpoint,
        journal=tuple((row["position"], row["body"]) for row in journal),
        free_numbers=free,
        last_alive_ms=alive and milliseconds(alive),
    )
