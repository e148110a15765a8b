"""The exception tree of Tiwei.

TiweiError
├── SettingsError       a setting is missing, wrong or insecure; the process must not start
├── UnavailableError    an outside part (database, broker) cannot be reached now; try again
├── RefusedError        an outside part answered and said no; trying again does not help
├── UnreadableError     one inbound message cannot be read; it goes to quarantine, nothing stops
├── CursorTooOldError   a reader of the change feed was away for too long; it begins anew
└── StepRefusedError, StaleVersionError   (incident.py) an action on an incident that is not possible
"""

from __future__ import annotations


class TiweiError(Exception):
    """Base of every error raised on purpose."""


class SettingsError(TiweiError):
    """A setting is missing, wrong or insecure."""


class UnavailableError(TiweiError):
    """An outside part cannot be reached now; the caller retries with back-off."""


class RefusedError(TiweiError):
    """An outside part refused for good (wrong password, wrong version, foreign data folder)."""


class UnreadableError(TiweiError):
    """An inbound message cannot be read; `reason` is a short stable code for counting."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class CursorTooOldError(TiweiError):
    """What follows that position of the change feed is not kept any more, or the position is another database's."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the change feed does not reach back to position {position}")
        self.position = position
