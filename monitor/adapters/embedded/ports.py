"""TCP ports of the embedded servers: last time's again if it is free, so that whoever was connected finds back."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from monitor.adapters.embedded.folder import write_private


def choose(host: str, wanted: Iterable[int]) -> int:
    """The first of `wanted` that is free on `host`, else any free port. The caller still has to win it."""
    return next((port for port in wanted if port and is_free(host, port)), 0) or _any(host)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with _socket(host) as one:
        try:
            one.bind((host, port))
        except OSError:
            return False
    return True


def remembered(path: Path) -> int:
    """The port written there at the last start, 0 when there is none."""
    try:
        port = int(path.read_text())
    except (OSError, ValueError):
        return 0
    return port if 0 < port <= 65535 else 0


def remember(path: Path, port: int) -> None:
    """Keep the port for the next start and for other commands of ours."""
    if remembered(path) != port:
        write_private(path, f"{port}\n")


def _any(host: str) -> int:
    with _socket(host) as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


def _socket(host: str) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return one
