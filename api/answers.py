"""Answers: JSON as the console and programs get it, instants as text, pages with opaque cursors."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic_core import to_json
from starlette.responses import Response

from api.problems import ProblemError
from monitor.adapters.pgtext import FIRST_MS, LAST_MS

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MS = re.compile(r"[0-9]{1,15}")
_LONGEST_CURSOR = 400
_BIGINT = 2**63


def encoded(value: Any) -> bytes:
    """JSON, UTF-8; numbers that are none become null."""
    return to_json(value, inf_nan_mode="null")


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer that was checked nowhere on its way: the tests hold it to the schema."""
    return Response(encoded(value), status_code=status, media_type="application/json", headers=headers)


def iso(ms: int | None) -> str | None:
    """Ms since 1970 as RFC 3339 in UTC with ms; None stays None."""
    if ms is None:
        return None
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def moment(text: str, name: str, zone: ZoneInfo, *, end: bool = False) -> int:
    """A date in `zone`, an RFC 3339 instant or ms since 1970, as ms since 1970.

    A date means its beginning, with `end` its end (protocol §10). Raises ProblemError (422) naming the parameter.
    """
    # A plus sign in a query that nobody escaped arrives as a space.
    ms = _read(re.sub(r" (\d\d:\d\d)$", r"+\1", text), zone, days=int(end))
    if ms is not None and FIRST_MS <= ms <= LAST_MS:
        return ms
    raise ProblemError(
        422, "invalid-request", f"{name}: a date or an RFC 3339 instant is needed, as 2026-01-31T08:00:00Z"
    )


def _read(text: str, zone: ZoneInfo, *, days: int) -> int | None:
    if _MS.fullmatch(text):
        return int(text)
    try:
        if _DATE.fullmatch(text):
            found = datetime.combine(date.fromisoformat(text) + timedelta(days=days), time(), zone)
        elif _INSTANT.fullmatch(text):
            found = datetime.fromisoformat(text.upper())
        else:
            return None
        return (found - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def write_cursor(*key: int | str) -> str:
    """A place in a list, for its reader to hand back."""
    return base64.urlsafe_b64encode(encoded(key)).decode().rstrip("=")


def read_cursor(cursor: str | None, *kinds: type[int | str]) -> tuple[Any, ...] | None:
    """The place again; None for none. Raises ProblemError (422) for what was not written by `write_cursor`."""
    if cursor is None:
        return None
    cursor = cursor[:_LONGEST_CURSOR]
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        key = None
    if isinstance(key, list) and len(key) == len(kinds) and all(map(_fits, key, kinds)):
        return tuple(key)
    raise ProblemError(422, "invalid-cursor", "that cursor is none of this list's")


def _fits(part: Any, kind: type[int | str]) -> bool:
    if kind is int:
        return type(part) is int and -_BIGINT <= part < _BIGINT
    return isinstance(part, str) and part.isprintable()


def page(found: Sequence[T], limit: int, shape: Callable[[T], Any], key: Callable[[T], tuple[int | str, ...]]) -> Any:
    """A page of at most `limit` of `found`, which was asked for with one more to know whether there is a next."""
    shown = found[:limit]
    following = write_cursor(*key(shown[-1])) if len(found) > limit and shown else None
    return {"items": [shape(one) for one in shown], "next": following}
