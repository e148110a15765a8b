"""`tiwei bench`: figures of speed, measured on the machine that it runs on."""

from __future__ import annotations

from typing import Any

from monitor.commands import bench_api, bench_engine, bench_ingest


def add(subparsers: Any) -> None:
    """Declare the command and its benches."""
    parser = subparsers.add_parser("bench", help="figures of speed on this machine")
    benches = parser.add_subparsers(title="benches", metavar="BENCH", required=True)
    for name, module, line in (
        (
            "ingest",
            bench_ingest,
            "from MQTT to committed rows and to a WebSocket, on real processes",
        ),
        ("api", bench_api, "the main routes under many askers"),
        ("engine", bench_engine, "decode and rules alone; the tick; memory"),
    ):
        bench = benches.add_parser(name, help=line)
        module.add_arguments(bench)
        bench.set_defaults(run=module.run)
