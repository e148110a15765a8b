"""Reading JSON with nothing overlooked: duplicate keys, NUL, surrogates, depth, size.

msgspec reads fast but lets the last of two equal keys win and skips what no struct asks for, unread. This is the
exact way: every path that is not the hot one goes through it, and the hot one comes here as soon as a count does not
add up.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NoReturn

import msgspec

from monitor.domain.errors import UnreadableError
from monitor.messages.reasons import Reason

#: Longest payload, bytes (protocol §1).
MAX_BYTES = 1 << 20
#: Most objects in an array (protocol §1).
MAX_OBJECTS = 1_000
#: Deepest nesting; the protocol's own payloads need three levels.
MAX_DEPTH = 32
#: Longest detail of a refusal, characters.
MAX_DETAIL = 300

_INT64 = 2**63
_decode = msgspec.json.Decoder().decode
_QUOTED = re.compile(r"'[^']*'")


def read(payload: bytes) -> list[dict[str, Any]]:
    """The objects of a payload: one, or the 1 to 1,000 of an array.

    Raises:
        UnreadableError: with the reason; never anything else, whatever the bytes.
    """
    check_bytes(payload)
    try:
        document = _decode(payload)
        if not _is_plain(document, payload):
            _look_closer(document, payload)
    except UnreadableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a parser throws at hostile bytes ends here
        raise refusal(error) from None
    return _objects(document)


def check_bytes(payload: bytes) -> None:
    """Refuse what is not even worth parsing.

    Raises:
        UnreadableError: too large, empty, or not UTF-8 without a byte order mark.
    """
    if len(payload) > MAX_BYTES:
        raise UnreadableError(Reason.TOO_LARGE, f"{len(payload)} bytes")
    if not payload:
        raise UnreadableError(Reason.EMPTY)
    if payload.startswith(b"\xef\xbb\xbf"):
        raise UnreadableError(Reason.ENCODING, "byte order mark")
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(Reason.ENCODING, f"byte {error.start}: {error.reason}") from None


def refusal(error: Exception) -> UnreadableError:
    """What a parser's error means to us. Values are left out of the detail: a payload may hold telephone numbers."""
    match error:
        case UnreadableError():
            return error
        case RecursionError():
            return UnreadableError(Reason.DEPTH, "nested too deep")
        case msgspec.ValidationError():
            text = _QUOTED.sub("", str(error))
            return UnreadableError(_validation_reason(text), text[:MAX_DETAIL])
        case UnicodeDecodeError():
            return UnreadableError(Reason.ENCODING, error.reason)
        case msgspec.DecodeError():
            return UnreadableError(Reason.JSON, _QUOTED.sub("", str(error))[:MAX_DETAIL])
        case _:
            return UnreadableError(Reason.INTERNAL, type(error).__name__)


def without_nulls(one: dict[str, Any]) -> dict[str, Any]:
    """The fields that say something: an explicit null is a missing field (protocol §1: *unknown*)."""
    return {key: value for key, value in one.items() if value is not None}


def keepable(value: Any) -> Any:
    """`value` as the journal and the database can keep it: integers beyond 64 bits become floats."""
    match value:
        case bool():
            return value
        case int() if not -_INT64 <= value < _INT64:
            return _as_float(value)
        case dict():
            return {key: keepable(part) for key, part in value.items()}
        case list():
            return [keepable(part) for part in value]
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def _validation_reason(text: str) -> Reason:
    if "missing required field" in text:
        return Reason.MISSING
    out_of_range = ("<=", ">=", "<", ">", "out of range", "enum value", "matching regex", "length")
    return Reason.RANGE if any(mark in text for mark in out_of_range) else Reason.TYPE


def _objects(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        return [document]
    if not isinstance(document, list):
        raise UnreadableError(Reason.SHAPE, "neither an object nor an array")
    if not 1 <= len(document) <= MAX_OBJECTS:
        raise UnreadableError(Reason.SHAPE, f"an array of {len(document)}")
    if not all(isinstance(one, dict) for one in document):
        raise UnreadableError(Reason.SHAPE, "an array of other things than objects")
    return document


def _is_plain(document: Any, payload: bytes) -> bool:
    """Whether counting alone proves the payload flawless.

    Every key costs one colon. As many colons as keys at the top: no key twice, nothing named further down, no colon in
    a text. No escape: no NUL. Few brackets: not deep.
    """
    if type(document) is dict:
        keys = len(document)
    elif type(document) is list and all(type(one) is dict for one in document):
        keys = sum(map(len, document))
    else:
        return False
    return payload.count(b":") == keys and b"\\" not in payload and payload.count(b"[") < MAX_DEPTH


def _look_closer(document: Any, payload: bytes) -> None:
    keys, colons = _walk(document, 0)
    escapes = b"\\" in payload
    if escapes:
        _refuse_nul(document)
    # With an escape about, the texts' colons cannot be told from the payload's.
    if escapes or keys + colons != payload.count(b":"):
        _refuse_duplicates(payload)


def _walk(value: Any, depth: int) -> tuple[int, int]:
    """Count the keys, and the colons in texts, of everything below `value`; refuse what nests too deep."""
    kind = type(value)
    if kind is dict:
        keys, colons, parts = len(value), 0, value.values()
    elif kind is list:
        keys, colons, parts = 0, 0, value
    else:
        return 0, value.count(":") if kind is str else 0
    if depth >= MAX_DEPTH:
        raise UnreadableError(Reason.DEPTH, f"more than {MAX_DEPTH} levels")
    for part in parts:
        kind = type(part)
        if kind is str:
            colons += part.count(":")
        elif kind is dict or kind is list:
            more_keys, more_colons = _walk(part, depth + 1)
            keys += more_keys
            colons += more_colons
    return keys, colons


def _refuse_nul(value: Any) -> None:
    """Refuse NUL in any text; it can only come in as an escape, so this runs only when there is a backslash."""
    if isinstance(value, dict):
        for key, part in value.items():
            _refuse_nul(key)
            _refuse_nul(part)
    elif isinstance(value, list):
        for part in value:
            _refuse_nul(part)
    elif isinstance(value, str) and "\0" in value:
        raise UnreadableError(Reason.TEXT, "NUL in a text")


def _refuse_duplicates(payload: bytes) -> None:
    """Parse once more, slowly, with an eye on every object's keys; numbers are not looked at."""
    try:
        json.loads(payload, object_pairs_hook=_unique, parse_int=_number, parse_float=_number, parse_constant=_constant)
    except UnreadableError:
        raise
    except RecursionError:
        raise UnreadableError(Reason.DEPTH, "nested too deep") from None
    except ValueError as error:
        raise UnreadableError(Reason.JSON, type(error).__name__) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError(Reason.DUPLICATE_KEY, "a key stands twice in one object")
    return found


def _number(_text: str) -> int:
    return 0


def _constant(_text: str) -> NoReturn:
    raise UnreadableError(Reason.JSON, "not a number")
