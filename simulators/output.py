"""A town as a file: JSONL in the form of protocol §8, and its truth log beside it."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from simulators.network import Record
from simulators.world import World

#: Levels above cost more time than the town itself.
GZIP_LEVEL = 1


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, compressed where its name ends in .gz; the same content gives the same bytes."""
    with path.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=file, mtime=0) as packed:
                buffered = io.BufferedWriter(packed, 1 << 18)
                yield buffered
                buffered.flush()
        else:
            yield file


def lines(records: list[Record]) -> bytes:
    """The records' lines of protocol §8."""
    return "".join(
        [f'{{"at":{at},"topic":"{topic}","payload":{payload}}}\n' for at, _, _, topic, payload in records]
    ).encode()


def write_stream(world: World, path: Path, *, until_ms: int) -> int:
    """The registry line and everything received before `until_ms`; returns the number of records."""
    count = 0
    with opened(path) as file:
        head = json.dumps({"registry": world.town.registry()}, ensure_ascii=False, separators=(",", ":"))
        file.write(head.encode() + b"\n")
        for records in world.records(until_ms):
            file.write(lines(records))
            count += len(records)
    return count


def write_truth(world: World, path: Path, *, until_ms: int) -> int:
    """Every case begun before `until_ms`; returns their number."""
    told = world.truth.lines(until_ms)
    with opened(path) as file:
        file.write("".join(f"{line}\n" for line in told).encode())
    return len(told)
