"""A database of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from monitor.adapters.pool import Database


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database on the embedded PostgreSQL."""
    found = Database(database_url)
    yield found
    await found.close()
