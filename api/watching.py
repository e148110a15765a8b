"""Every sample of the few equipments that somebody looks at, as they are committed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from api import frames
from api.client import Client
from monitor.adapters.pool import Database
from monitor.adapters.reading_pages import ReadingPages, Sample, Window
from monitor.domain.errors import UnavailableError

#: Equipment that one listener may watch.
MOST_WATCHED = 20
POLL_S = 0.2
AGAIN_S = 1.0
#: Samples come out of order by so much, ms; clocks that nobody knows yet are ahead by more, and are followed.
BACK_MS = 5_000
AHEAD_MS = 60_000
#: Samples of one equipment told at one look, at most: the newest.
AT_ONCE = 200
#: Looks after which it is asked anew where an equipment's time has got to.
LOOKS = 10


@dataclass(slots=True)
class _Stream:
    """What is watched of one equipment. `newest_ms`: the latest corrected time seen; `told`: the last places told."""

    equipment_id: str
    watchers: set[Client] = field(default_factory=set)
    state: bool = True
    newest_ms: int | None = None
    told: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=2 * AT_ONCE))


class Watching:
    """Who watches what; looks into the history while somebody does."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._pages = ReadingPages(database)
        self._clock = clock
        self._streams: dict[int, _Stream] = {}
        self._some = asyncio.Event()

    def watch(self, client: Client, numbers: Mapping[str, int]) -> None:
        """Let it watch these (number by equipment_id), and no others any more."""
        for number in [one for one in self._streams if one not in numbers.values()]:
            self._drop(number, client)
        for equipment_id, number in numbers.items():
            self._streams.setdefault(number, _Stream(equipment_id)).watchers.add(client)
        if self._streams:
            self._some.set()

    def leave(self, client: Client) -> None:
        """It watches nothing any more."""
        self.watch(client, {})

    def _drop(self, number: int, client: Client) -> None:
        stream = self._streams[number]
        stream.watchers.discard(client)
        if not stream.watchers:
            del self._streams[number]

    async def run(self) -> None:
        """Tell what is committed, for ever."""
        looks = 0
        while True:
            if not self._streams:
                self._some.clear()
                await self._some.wait()
            try:
                if looks % LOOKS == 0 or any(one.newest_ms is None for one in self._streams.values()):
                    await self._place()
                await self._look()
            except UnavailableError:
                await asyncio.sleep(AGAIN_S)
            looks += 1
            await asyncio.sleep(POLL_S)

    async def _place(self) -> None:
        """Ask where the time of each has got to: behind what we saw after a clock was set back."""
        streams = dict(self._streams)
        shown = await self._pages.shown_at(list(streams))
        for number, (state, sampled_ms) in shown.items():
            stream = streams[number]
            stream.state = state
            if stream.newest_ms is None or (sampled_ms is not None and sampled_ms < stream.newest_ms - BACK_MS):
                stream.newest_ms = self._clock() if sampled_ms is None else sampled_ms

    async def _look(self) -> None:
        streams, now = dict(self._streams), self._clock()
        windows = [
            Window(
                number=number,
                state=one.state,
                from_ms=one.newest_ms - BACK_MS,
                to_ms=max(one.newest_ms, now) + AHEAD_MS,
            )
            for number, one in streams.items()
            if one.newest_ms is not None
        ]
        fresh: dict[int, list[Sample]] = {}
        for sample in await self._pages.watched(windows, AT_ONCE):
            if sample.place not in streams[sample.number].told:
                fresh.setdefault(sample.number, []).append(sample)
        for number, samples in fresh.items():
            self._tell(streams[number], samples)

    def _tell(self, stream: _Stream, samples: list[Sample]) -> None:
        stream.told.extend(one.place for one in samples)
        stream.newest_ms = max(stream.newest_ms or 0, samples[-1].time_ms)
        frame = frames.reading(stream.equipment_id, [one.body for one in samples])
        for client in tuple(stream.watchers):
            if client.position is not None:
                client.offer(frame)
