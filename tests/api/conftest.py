"""An app at work, served once for the tests of a module, or for one test that changes or ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api.served import Served, at_work
from tests.conftest import drop_database, new_database


@pytest.fixture(scope="module")
def module_database_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of this module's own."""
    url = new_database(postgres_server)
    yield url
    drop_database(postgres_server, url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Shared by the tests of a module, which run on the module's loop."""
    async with at_work(module_database_url, tmp_path_factory.mktemp("api")) as one:
        yield one


@pytest_asyncio.fixture
async def own_api(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    """Of this test's own."""
    async with at_work(database_url, tmp_path) as one:
        yield one
