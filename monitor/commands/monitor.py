"""`tiwei monitor`: the centre alone, against the database and the broker that the settings name."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from contextlib import suppress
from typing import Any

import uvloop

from monitor.commands._monitor import run_monitor
from monitor.log import start_logging
from monitor.settings import Settings, read_settings, refuse_insecure


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("monitor", help="the centre alone: telemetry in, faults out")
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; prints one line of JSON when it hears the broker."""
    settings = read_settings()
    start_logging(settings.log_level, process="monitor")
    refuse_insecure(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(settings))
    return 0


async def _until_stopped(settings: Settings) -> None:
    work = asyncio.create_task(run_monitor(settings, on_ready=_tell_ready), name="monitor")
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        work.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        if not stopped:
            raise


def _tell_ready() -> None:
    with suppress(BrokenPipeError):
        print(json.dumps({"ready": "monitor"}), flush=True)
