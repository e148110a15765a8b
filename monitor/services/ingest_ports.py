"""What ingest needs from outside, and its measures of time and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from monitor.domain.commit import Checkpoint, Commit, Restored
from monitor.domain.equipment import Equipment
from monitor.messages.decode import Inbound
from monitor.services.judging import Turn


class Delivery(Protocol):
    """Messages, and in it whatever the source needs to acknowledge them."""

    @property
    def messages(self) -> Sequence[Inbound]: ...


D = TypeVar("D", bound=Delivery)


class Source(Protocol[D]):
    """Where messages come from. See `monitor.adapters.mqtt.MqttSource`."""

    @property
    def hearing(self) -> bool: ...
    @property
    def count(self) -> int: ...
    def collect_outage(self) -> int | None: ...
    async def wait(self, count: int, timeout_s: float, size: int | None = None) -> bool:
        """Wait until so many messages, or so many bytes of them, can be taken; False when that took too long."""
        ...

    def take(self, messages: int, size: int) -> D: ...
    def acknowledge(self, delivery: D) -> None: ...
    def suspend(self) -> None: ...
    def resume(self) -> None: ...


class Store(Protocol):
    """Where everything is kept. UnavailableError: try again. RefusedError: this will never be taken."""

    async def load(self, now_ms: int) -> Restored: ...
    async def commit(self, commit: Commit) -> None: ...
    async def save_checkpoint(self, checkpoint: Checkpoint) -> None: ...
    async def changed_equipment(self) -> Sequence[Equipment]:
        """What the registry took in since `load` or the last call."""
        ...

    async def requested(self, limit: int) -> Sequence[tuple[int, Inbound]]:
        """Quarantine rows that a person wants judged again, by their ids."""
        ...

    async def mark_resubmitted(self, ids: Sequence[int]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How batches are cut and how long things may take; s unless the name says otherwise."""

    #: A batch is closed at about so many messages or bytes, or so long after its first message.
    messages: int = 2_000
    size: int = 1024 * 1024
    gather_s: float = 0.03
    #: Without messages, what is due is judged so often, and a sign of life is stored so often.
    tick_s: float = 1.0
    alive_s: float = 5.0
    #: Registry and resubmitted messages are looked for so often.
    look_s: float = 5.0
    checkpoint_s: float = 60.0
    #: At most this part of the time goes into checkpoints, however large the fleet.
    checkpoint_share: float = 0.03
    #: A commit that takes longer makes us leave the broker, before it repeats everything (its `ack_wait`).
    patience_s: float = 4.0
    #: Deaf for longer than this, silence is ours and not the equipment's.
    deaf_s: float = 10.0
    back_off_s: float = 5.0
    log_s: float = 30.0


@dataclass(slots=True)
class Tally:
    """What was done since the last line in the log."""

    since: float
    batches: int = 0
    messages: int = 0
    readings: int = 0
    faults: int = 0
    quarantined: int = 0
    retries: int = 0
    commit_s: float = 0.0
    longest_commit_s: float = 0.0
    longest_lag_ms: int = 0

    def add(self, turn: Turn, commit_s: float, now_ms: int) -> None:
        self.batches += 1
        self.messages += len(turn.messages)
        self.readings += len(turn.commit.readings)
        self.faults += len(turn.commit.faults)
        self.quarantined += len(turn.commit.quarantined)
        self.commit_s += commit_s
        self.longest_commit_s = max(self.longest_commit_s, commit_s)
        self.longest_lag_ms = max(self.longest_lag_ms, now_ms - turn.received_ms)
