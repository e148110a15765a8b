"""What the routes work with, made once for each app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.hub import Hub
from api.metrics import ApiMetrics
from api.throttle import Throttle
from api.watching import Watching
from monitor.adapters.access import Access, SessionTerms
from monitor.adapters.access_audit import Audit
from monitor.adapters.access_secrets import Passwords
from monitor.adapters.access_tokens import Tokens
from monitor.adapters.pool import Database
from monitor.domain.access import Caller
from monitor.settings import Settings

CONSOLE = Path(__file__).parent / "console"
#: A request waits for the database no longer than this, s.
STATEMENT_TIMEOUT_S = 20.0
REPORT_TIMEOUT_S = 120.0
REPORTS_AT_ONCE = 2


def wall_clock() -> int:
    """Now, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one app; nothing here connects before it is used."""

    settings: Settings
    database: Database
    access: Access
    tokens: Tokens
    audit: Audit
    hub: Hub
    watching: Watching
    clock: Callable[[], int]
    #: For reports, which take their time: neither do others wait for them nor they for more than REPORTS_AT_ONCE.
    slow_database: Database
    reporting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REPORTS_AT_ONCE))
    #: Set once the database was reached and has its schema.
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: ApiMetrics = field(default_factory=ApiMetrics)
    passwords: Passwords = field(default_factory=Passwords)
    throttle: Throttle = field(default_factory=Throttle)
    console: Path = CONSOLE

    @property
    def secure(self) -> bool:
        """Whether browsers speak TLS to us, or to a proxy before us."""
        return self.settings.http_tls_cert_file is not None or self.settings.http_behind_proxy


def make_parts(settings: Settings, url: str, clock: Callable[[], int] = wall_clock) -> Parts:
    """The parts as set, on the database at `url`."""
    database = Database(
        url,
        application="tiwei api",
        connections=settings.database_pool,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
    )
    terms = SessionTerms(
        whole_ms=int(settings.session_hours * 3_600_000), idle_ms=int(settings.session_idle_minutes * 60_000)
    )
    return Parts(
        settings=settings,
        database=database,
        access=Access(database, terms),
        tokens=Tokens(database),
        audit=Audit(database),
        hub=Hub(database, clock),
        watching=Watching(database, clock),
        clock=clock,
        slow_database=Database(
            url, application="tiwei api reports", connections=REPORTS_AT_ONCE, statement_timeout_s=REPORT_TIMEOUT_S
        ),
    )


def parts_of(connection: HTTPConnection) -> Parts:
    """The parts of the app that got this request."""
    parts: Parts = connection.app.state.parts
    return parts


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks; the guard has let them in."""
    caller: Caller = connection.state.caller
    return caller


def origin_of(connection: HTTPConnection) -> str:
    """The address that asks, as far as it is known."""
    return connection.client.host if connection.client else "unknown"


Have = Annotated[Parts, Depends(parts_of)]
Who = Annotated[Caller, Depends(caller_of)]
Whence = Annotated[str, Depends(origin_of)]
