"""Who is told of everything the line did: what is shown, and the monitor's own figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from monitor.domain.equipment import Equipment
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.services.judging import Turn
from monitor.services.showing import Showing
from monitor.services.vitals import Gauges, Vitals

#: Between two writes of the figures, s.
FIGURES_EVERY_S = 5.0

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """What the figures say of the broker's side."""

    @property
    def count(self) -> int: ...
    @property
    def held(self) -> int: ...
    @property
    def hearing(self) -> bool: ...


class Figures(Protocol):
    """Where the figures are kept. Raises UnavailableError, RefusedError."""

    async def store_figures(self, body: Mapping[str, Any], at_ms: int) -> None: ...


class Witness:
    """Told of every turn after its commit, in order. Nothing it does can hurt the line: a failure is logged."""

    def __init__(self, showing: Showing, started_ms: int) -> None:
        self.showing = showing
        self._vitals = Vitals(started_ms)
        self._failed = 0

    def learned(self, equipment: Iterable[Equipment]) -> None:
        """Equipment was loaded or changed in the registry."""
        self.showing.learn(equipment)

    def remembered(self, readings: NDArray[np.void]) -> None:
        """Readings of the journal were judged again: committed before this process."""
        if len(readings):
            self.showing.take_readings(readings)

    def committed(self, turn: Turn, took_s: float, now_ms: int) -> None:
        """A turn is committed; `took_s` from handing it to the database."""
        try:
            self._vitals.committed(turn, took_s, now_ms)
            self.showing.take(turn.commit)
        except Exception:  # noqa: BLE001 - a batch that is stored must not be judged again for what is only shown
            self._failed += 1
            if self._failed <= 10:
                _log.exception("what is shown or counted missed a batch", position=turn.commit.position)

    def retried(self) -> None:
        """The database was asked again."""
        self._vitals.retried()

    def figures(self, source: Source, checkpoint_age_s: float | None, now_ms: int) -> Mapping[str, Any]:
        """See `monitor.services.vitals`."""
        gauges = Gauges(
            waiting_messages=source.count,
            held_messages=source.held,
            hearing=int(source.hearing),
            checkpoint_age_s=checkpoint_age_s,
            **self.showing.counts(now_ms),
        )
        return self._vitals.body(gauges)


async def keep_figures(
    witness: Witness,
    figures: Figures,
    source: Source,
    checkpoint_age_s: Callable[[], float | None],
    clock: Callable[[], int],
) -> None:
    """Store the figures every few seconds until cancelled; while the database is away they are left out."""
    while True:
        now_ms = clock()
        try:
            await figures.store_figures(witness.figures(source, checkpoint_age_s(), now_ms), now_ms)
        except (UnavailableError, RefusedError) as error:
            _log.debug("figures are not stored", why=str(error))
        except Exception:  # noqa: BLE001 - figures stop nothing
            _log.exception("figures are not stored")
        await asyncio.sleep(FIGURES_EVERY_S)
