"""`tiwei replay`: the live pipeline on a recorded stream with a virtual clock (protocol §8)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from monitor.services import replay


def add(subparsers: Any) -> None:
    """Set the command's arguments."""
    parser = subparsers.add_parser("replay", help="the live pipeline on a recorded stream, with a virtual clock")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSONL, also .gz; each is a run of its own")
    parser.add_argument("--out", type=Path, help="write here instead of standard output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay each file; the exit status is 0 when all were read to the end."""
    out = args.out.open("wb") if args.out else sys.stdout.buffer
    try:
        for path in args.files:
            for line in replay.encode(replay.run(replay.Stream(path))):
                out.write(line)
        out.flush()
    finally:
        if args.out:
            out.close()
    return 0
