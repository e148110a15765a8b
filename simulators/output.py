"""A town as a file: JSONL in the form of protocol §8, and its truth log beside it."""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from simulators.network import Record
from simulators.world import World

#: Levels above cost more time than the town itself.
GZIP_LEVEL = 1
#: Chunks that may wait for the compressing thread.
DEPTH = 4


class Packer:
    """Compresses in a thread beside the town's; at most `DEPTH` chunks wait. The same chunks give the same bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=file, mtime=0)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gzip")
        self._waiting: deque[Future[int]] = deque()

    def write(self, chunk: bytes) -> None:
        """Raises OSError of an earlier chunk, too."""
        self._waiting.append(self._thread.submit(self._packed.write, chunk))
        while len(self._waiting) > DEPTH:
            self._waiting.popleft().result()

    def close(self) -> None:
        with self._thread:
            for chunk in self._waiting:
                chunk.result()
            self._packed.close()


@contextmanager
def opened(path: Path) -> Iterator[Callable[[bytes], object]]:
    """What writes to a file, compressed where its name ends in .gz."""
    with path.open("wb") as file:
        if path.suffix == ".gz":
            with closing(Packer(file)) as packer:
                yield packer.write
        else:
            yield file.write


def lines(records: list[Record]) -> bytes:
    """The records' lines of protocol §8."""
    return "".join(
        [f'{{"at":{at},"topic":"{topic}","payload":{payload}}}\n' for at, _, _, topic, payload in records]
    ).encode()


def write_stream(world: World, path: Path, *, until_ms: int) -> int:
    """The registry line and everything received before `until_ms`; returns the number of records."""
    count = 0
    with opened(path) as write:
        head = json.dumps({"registry": world.town.registry()}, ensure_ascii=False, separators=(",", ":"))
        write(head.encode() + b"\n")
        for records in world.records(until_ms):
            write(lines(records))
            count += len(records)
    return count


def write_truth(world: World, path: Path, *, until_ms: int) -> int:
    """Every case begun before `until_ms`; returns their number."""
    told = world.truth.lines(until_ms)
    with opened(path) as write:
        write("".join(f"{line}\n" for line in told).encode())
    return len(told)
