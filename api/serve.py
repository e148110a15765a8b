"""`tiwei api`: console and API, a process of its own beside the monitor."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from api.app import create_app
from api.live_protocol import LiveProtocol
from api.parts import make_parts
from monitor.adapters.supervisor import reason
from monitor.domain.errors import RefusedError, SettingsError
from monitor.log import start_logging
from monitor.settings import Settings, read_settings, refuse_open_console

#: Requests that are being answered have so long to end, s.
GRACE_S = 2
_KEEP_ALIVE_S = 30
_WS_OCTETS = 8 * 1024
_log = structlog.get_logger(__name__)


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("api", help="console and API alone")
    parser.add_argument("--demo", action="store_true", help="also in the clear over a network: never outside a demo")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; prints one line of JSON when it listens."""
    settings = read_settings()
    start_logging(settings.log_level, process="api")
    # Its pool writes a traceback a second while the database is away; we say that once.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    if not args.demo:
        refuse_open_console(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))
    return 0


class Server(uvicorn.Server):
    """Signals are ours."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's handlers alone."""
        yield


async def serve(settings: Settings) -> None:
    """Console and API until SIGTERM or SIGINT.

    Raises:
        SettingsError: no database is given, or the certificate is wrong.
        RefusedError: the address is taken, or the database is none of ours.
    """
    url = settings.database_dsn()
    if url is None:
        raise SettingsError("no database is given: TIWEI_DATABASE_URL, or `tiwei up`")
    app = create_app(make_parts(settings, url))
    listener = _listen(settings)
    server = Server(server_config(app, settings))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    telling = asyncio.create_task(_tell_ready(server, settings, listener.getsockname()[1]), name="ready")
    failing = asyncio.create_task(_failure(app), name="failure")
    try:
        await asyncio.wait((serving, failing), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        if failing.done():
            failing.result()
    finally:
        for task in (telling, failing):
            task.cancel()
        await asyncio.gather(telling, failing, return_exceptions=True)


async def _failure(app: FastAPI) -> None:
    """Wait until what goes on beside the requests fails, and raise why."""
    while not hasattr(app.state, "working"):
        await asyncio.sleep(0.02)
    working: asyncio.Task[None] = app.state.working
    await asyncio.wait((working,))
    if not working.cancelled() and (error := working.exception()) is not None:
        raise reason(error) from error


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Uvicorn as this app needs it. Raises SettingsError where the certificate is wrong."""
    try:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws=LiveProtocol,
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=settings.http_behind_proxy,
            forwarded_allow_ips=settings.http_proxy_addresses,
            ws_max_size=_WS_OCTETS,
            ws_per_message_deflate=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=_text(settings.http_tls_cert_file),
            ssl_keyfile=_text(settings.http_tls_key_file),
        )
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"TIWEI_HTTP_TLS_CERT_FILE, TIWEI_HTTP_TLS_KEY_FILE: {error}") from error
    return config


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.http_host, settings.http_port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address, family=family, backlog=1024, reuse_port=False)
    except OSError as error:
        raise RefusedError(f"http://{host}:{port} cannot be listened on: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


async def _tell_ready(server: uvicorn.Server, settings: Settings, port: int) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    scheme = "https" if settings.http_tls_cert_file is not None else "http"
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    with suppress(BrokenPipeError):
        print(json.dumps({"ready": "http", "url": f"{scheme}://{host}:{port}"}), flush=True)
