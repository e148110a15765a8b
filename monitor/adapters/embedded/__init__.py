"""Parts that Tiwei brings along and runs itself: a real PostgreSQL and a real MQTT broker.

Whoever runs them knows only `EmbeddedServer`; a system PostgreSQL or another broker fits in behind it.
"""

from __future__ import annotations

from typing import Protocol


class EmbeddedServer(Protocol):
    """One server process of ours on this machine. Not thread-safe: started and stopped by the main thread.

    The main thread, because the kernel ends a server when the thread that started it dies (see `process`).
    """

    @property
    def name(self) -> str:
        """What it is, for logs and ready lines: `database` or `mqtt`."""

    async def start(self) -> str:
        """Start it, again if it died, and return its URL (with the password of the centre's login) once it answers.

        Raises:
            RefusedError: it can never start like this (foreign or newer data, no binaries, port taken).
            UnavailableError: it did not start this time.
        """

    async def stop(self, seconds: float) -> None:
        """End it cleanly; after `seconds` by force. Its data stays. Does nothing when it does not run."""

    async def tend(self) -> None:
        """What has to be done now and then while it runs; called about twice a second."""

    def alive(self) -> bool:
        """Whether the process runs; False after it died by itself too."""
