"""A centre at work with its console, and a browser before it: started once for the tests of a module."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.schema import migrate
from monitor.messages.registry import read
from tests.console.operated import Console, Lift, Town, Watched, open_page
from tests.scenarios.centre import Centre
from tests.scenarios.sender import Sender

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
LIFTS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated:
    """The whole: centre, console, lifts."""

    centre: Centre
    console: Console
    town: Town


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where pictures go, for somebody to look at: TIWEI_TEST_PICTURES, or a folder that nobody keeps."""
    found = Path(os.environ.get("TIWEI_TEST_PICTURES") or tempfile.mkdtemp(prefix="tiwei-pictures-"))
    found.mkdir(parents=True, exist_ok=True)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    """A centre with its console, and lifts that send to it."""
    folder = tmp_path_factory.mktemp("operated")
    lifts = Town.some(LIFTS)
    part = Centre(folder, {})
    console = Console(part, folder)
    try:
        await _start(part, lifts)
        console.add_user("wang", "operator")
        console.add_user("jian", "regulator")
        town = Town(Sender(part.device_url, "lifts"), lifts)
        sending = asyncio.create_task(town.run())
        await console.start()
        yield Operated(centre=part, console=console, town=town)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
    finally:
        console.stop()
        await part.stop()


async def _start(part: Centre, lifts: list[Lift]) -> None:
    """Start it with the lifts in its register before the first message."""
    part.database_url = await part.database.start()
    database = Database(part.database_url, application="tests")
    await migrate(database)
    registry = {"registry": [lift.registered for lift in lifts]}
    await Registry(database).import_equipment(read(json.dumps(registry).encode(), "json"))
    await database.close()
    part.broker_url = await part.broker.start()
    part.start_monitor()
    await part.ready()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium. Mark the test `chromium`."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"NOT COVERED HERE: no Chromium at {CHROMIUM}")
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        pytest.skip("NOT COVERED HERE: address space is limited (ulimit -v), and Chromium reserves terabytes of it")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    """A page of a browser that has not signed in and speaks Chinese; it may violate no policy."""
    violations: list[str] = []
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN", color_scheme="dark")
    context.set_default_timeout(10_000)
    yield await open_page(context, violations)
    await context.close()
    assert violations == []
