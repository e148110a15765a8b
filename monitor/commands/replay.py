"""`tiwei replay`: the live pipeline on a recorded stream with a virtual clock (protocol §8)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from monitor.domain.errors import RefusedError
from monitor.services import replay


def add(subparsers: Any) -> None:
    """Set the command's arguments."""
    parser = subparsers.add_parser("replay", help="the live pipeline on a recorded stream, with a virtual clock")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSONL, also .gz; each is a run of its own")
    parser.add_argument("--out", type=Path, help="write here instead of standard output")
    parser.add_argument("--store", action="store_true", help="also into the configured database, for reports")
    parser.add_argument("--timezone", help="with --store: time zone of days and months in reports of this database")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay each file; the exit status is 0 when all were read to the end."""
    streams = (_stream(path) for path in args.files)
    with _output(args.out) as out:
        if args.store:
            from monitor.commands import replay_store

            replay_store.run(streams, out, args.timezone)
        else:
            for stream in streams:
                for line in replay.with_incidents(replay.run(stream)):
                    out.write(replay.encode(line))
    return 0


def _stream(path: Path) -> replay.Stream:
    try:
        return replay.Stream(path)
    except (OSError, EOFError) as error:
        raise RefusedError(f"{path}: {error}") from error


@contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with path.open("wb") as out:
        yield out
