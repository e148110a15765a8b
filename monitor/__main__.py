"""The command line `tiwei`: one module per command, and only the chosen one is imported.

`tiwei replay` must start in half a second, so nothing heavy may be imported here.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from monitor import __version__
from monitor.domain.errors import SettingsError, TiweiError

#: Every command: its name, the module that has `add(subparsers)` and `run(args)`, and one line of help.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("up", "monitor.commands.up", "database, broker and centre on this machine, in one go"),
    ("demo", "monitor.commands.demo", "the same with a simulated town, nothing installed beforehand"),
    ("monitor", "monitor.commands.monitor", "the centre alone: telemetry in, faults out"),
    ("api", "api.serve", "console and API alone"),
    ("simulate", "monitor.commands.simulate", "a simulated town, over MQTT or as JSONL"),
    ("replay", "monitor.commands.replay", "the live pipeline on a recorded stream, with a virtual clock"),
    ("report", "monitor.commands.report", "the supervision report of a period"),
    ("faults", "monitor.commands.faults", "open and past faults, and faults as they come"),
    ("quarantine", "monitor.commands.quarantine", "messages that could not be read: list, show, submit again"),
    ("registry", "monitor.commands.registry", "the register of equipment: import, list, unregistered"),
    ("device", "monitor.commands.device", "broker accounts of devices, gateways and call systems"),
    ("firm", "monitor.commands.firm", "broker accounts of maintenance firms"),
    ("user", "monitor.commands.user", "accounts of the console"),
    ("token", "monitor.commands.token", "bearer tokens of programs that ask the API"),
    ("bench", "monitor.commands.bench", "figures of speed on this machine"),
)

#: Exit statuses besides 0.
FAILED = 1  # the command was understood and could not be done
WRONG = 2  # a setting or an argument is wrong
INTERRUPTED = 130  # ended by the keyboard


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. `argv` is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(_chosen(arguments))
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except SettingsError as error:
        return _fail(error, WRONG)
    except TiweiError as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`tiwei faults | head`): the interpreter must not flush into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _chosen(arguments: Sequence[str]) -> str | None:
    """The command's name: the first argument that is no option; the program's own options take no value."""
    return next((one for one in arguments if not one.startswith("-")), None)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tiwei", description="96333 lift safety monitoring centre (梯卫)")
    parser.add_argument("--version", action="version", version=f"tiwei {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module, line in COMMANDS:
        if name == chosen:
            importlib.import_module(module).add(subparsers)
        else:
            subparsers.add_parser(name, help=line)
    return parser


def _fail(error: TiweiError, status: int) -> int:
    print(f"tiwei: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
