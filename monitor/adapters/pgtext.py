"""Instants, text and JSON as PostgreSQL holds them.

What comes off the wire may hold what PostgreSQL refuses (U+0000, lone surrogates, NaN in JSON). Such a
character is replaced here, so that one odd text can never stop a batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The years 1 to 9999, ms since 1970.
FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999
_BIGINT = 2**63


def instant(ms: int) -> datetime:
    """Ms since 1970 as an aware datetime; what is outside the years 1 to 9999 is cut off."""
    return _EPOCH + timedelta(milliseconds=min(max(ms, FIRST_MS), LAST_MS))


def milliseconds(moment: datetime) -> int:
    """An aware datetime in ms since 1970, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def utc_text(ms: int) -> str:
    """Ms since 1970 as RFC 3339 in UTC with ms: `2026-11-23T08:00:00.123Z`."""
    return instant(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bigint(value: int) -> int:
    """`value`, cut off at what a bigint holds."""
    return min(max(value, -_BIGINT), _BIGINT - 1)


def clean(text: str) -> str:
    """`text` without what the database cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def clean_or_none(text: str | None) -> str | None:
    """As `clean`; None stays None."""
    return None if text is None else clean(text)


def json_text(value: Any) -> str:
    """`value` as JSON that a jsonb column takes: numbers that are none become null."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return clean(value)
        case Mapping():
            return {clean(str(key)): _plain(one) for key, one in value.items()}
        case Sequence():
            return [_plain(one) for one in value]
        case _:
            return clean(str(value))
