"""`tiwei bench`: figures of speed, measured on the machine that it runs on."""

from __future__ import annotations

from typing import Any

from monitor.commands import bench_engine, bench_ingest


def add(subparsers: Any) -> None:
    """Declare the command and its two benches."""
    parser = subparsers.add_parser("bench", help="figures of speed on this machine")
    benches = parser.add_subparsers(title="benches", metavar="BENCH", required=True)
    for name, module, line in (
        ("ingest", bench_ingest, "from MQTT to committed rows: broker, centre and database as real processes"),
        ("engine", bench_engine, "decode and rules alone; the tick; memory"),
    ):
        bench = benches.add_parser(name, help=line)
        module.add_arguments(bench)
        bench.set_defaults(run=module.run)
