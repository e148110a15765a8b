"""Connections to PostgreSQL, and what its errors mean to the rest of the centre."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg
from asyncpg.exceptions import ClientConfigurationError
from asyncpg.pool import PoolConnectionProxy

from monitor.domain.errors import RefusedError, TiweiError, UnavailableError

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

#: SQLSTATE classes and codes after which the same attempt may succeed later: connection, resources, operator, I/O.
_PASSING_CLASSES = ("08", "53", "57", "58")
#: read-only (a standby taking over), serialisation, deadlock, lock not available
_PASSING_CODES = ("25006", "40001", "40P01", "55P03")

_KEEPALIVE = {
    # A server that vanished is noticed within half a minute on both ends, and its locks are given back.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def translated(error: BaseException) -> TiweiError | None:
    """The error of this project that a driver's error means; None for one that is no driver's error."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        text = f"database: {error} (SQLSTATE {state})"
        if state.startswith(_PASSING_CLASSES) or state in _PASSING_CODES:
            return UnavailableError(text)
        return RefusedError(text)
    if isinstance(error, ssl.SSLCertVerificationError | ClientConfigurationError):
        return RefusedError(f"database: {error}")
    if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return UnavailableError(f"database: {error or type(error).__name__}")
    return None


@contextmanager
def database_errors() -> Iterator[None]:
    """Raises UnavailableError or RefusedError for whatever the driver raises inside."""
    try:
        yield
    except TiweiError:
        raise
    except Exception as error:
        meant = translated(error)
        if meant is None:
            raise
        raise meant from error


async def connect(url: str, *, application: str, statement_timeout_s: float) -> asyncpg.Connection[asyncpg.Record]:
    """One connection. What it commits is durable (`synchronous_commit`), and nothing on it takes for ever.

    Raises:
        UnavailableError: nothing answers there, or not yet.
        RefusedError: it answered and refused: password, unknown database, certificate.
    """
    with database_errors():
        return await asyncpg.connect(
            url,
            timeout=10,
            command_timeout=statement_timeout_s + 5,
            server_settings=_settings(application, statement_timeout_s),
        )


def _settings(application: str, statement_timeout_s: float) -> dict[str, str]:
    return {
        "application_name": application,
        "timezone": "UTC",
        "synchronous_commit": "on",
        "statement_timeout": f"{statement_timeout_s * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{statement_timeout_s * 1000:.0f}",
        # History is partitioned: a plan made for the values at hand leaves the other partitions out.
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
        **_KEEPALIVE,
    }


class Database:
    """A few connections to one database, made when needed and again after a loss."""

    def __init__(
        self, url: str, *, application: str = "tiwei", statement_timeout_s: float = 60, connections: int = 4
    ) -> None:
        self.url = url
        self._application = application
        self._statement_timeout_s = statement_timeout_s
        self._connections = connections
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect once, so that a wrong address is told at once. Errors as `connect`."""
        async with self._opening:
            if self._pool is not None:
                return
            with database_errors():
                self._pool = await asyncpg.create_pool(
                    self.url,
                    min_size=1,
                    max_size=self._connections,
                    timeout=10,
                    command_timeout=self._statement_timeout_s + 5,
                    max_inactive_connection_lifetime=300,
                    server_settings=_settings(self._application, self._statement_timeout_s),
                )

    async def close(self) -> None:
        """End every connection; what is still running is cut off after 5 s."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[PoolConnectionProxy[asyncpg.Record]]:
        """A connection for a while; driver errors inside become ours."""
        if self._pool is None:
            await self.open()
        assert self._pool is not None
        with database_errors():
            async with self._pool.acquire(timeout=15) as connection:
                yield connection

    async def alone(self, application: str | None = None) -> asyncpg.Connection[asyncpg.Record]:
        """A connection outside the pool: for a session lock, LISTEN, or the one writer."""
        return await connect(
            self.url,
            application=application or self._application,
            statement_timeout_s=self._statement_timeout_s,
        )
