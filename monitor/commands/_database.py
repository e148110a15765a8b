"""What the commands that read the database share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.adapters.embedded.parts import opened_database
from monitor.adapters.pool import Database
from monitor.adapters.schema import migrate
from monitor.settings import Settings


@asynccontextmanager
async def ready_database(settings: Settings, application: str) -> AsyncIterator[Database]:
    """The configured database with its schema at this version. Errors as `opened_database` and `migrate`."""
    async with opened_database(settings) as url:
        database = Database(url, application=application, connections=2)
        try:
            await migrate(database)
            yield database
        finally:
            await database.close()


def moment(ms: int, zone: ZoneInfo) -> str:
    """Ms since 1970 as a person in `zone` reads it."""
    return datetime.fromtimestamp(ms // 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def plain(text: str, style: str = "") -> Text:
    """Text off the wire for a terminal: no markup, no control characters."""
    return Text("".join(one if one.isprintable() else "\ufffd" for one in text), style=style)


def terminal() -> Console:
    """Standard output; what is no terminal gets lines that are not cut to one."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def narrow_table(title: str | None, caption: str, *columns: str) -> Table:
    """A table that folds what does not fit: an identifier is never cut."""
    table = Table(title=title, caption=caption, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in columns:
        table.add_column(heading, overflow="fold")
    return table
