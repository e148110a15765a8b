"""Why a message was set aside: short, stable codes that are counted, listed and searched by (protocol §1)."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The value is written to the quarantine table; a value once used keeps its meaning."""

    #: The topic is not one of protocol §1.
    TOPIC = "topic"
    #: More than 1 MiB.
    TOO_LARGE = "too_large"
    #: No byte of payload.
    EMPTY = "empty"
    #: Not UTF-8, or a byte order mark.
    ENCODING = "encoding"
    #: Not JSON: truncated, NaN, a control character in a text ...
    JSON = "json"
    #: Nested deeper than any message of the protocol needs.
    DEPTH = "depth"
    #: One object names a key twice: which one counts is anybody's guess.
    DUPLICATE_KEY = "duplicate_key"
    #: A text holds NUL, which no database text can hold.
    TEXT = "text"
    #: Neither an object nor an array of 1 to 1,000 objects.
    SHAPE = "shape"
    #: A field has the wrong JSON type.
    TYPE = "type"
    #: A required field is missing.
    MISSING = "missing"
    #: A field has the right type and a value outside its range, list or length.
    RANGE = "range"
    #: The payload names another equipment, call or firm than the topic.
    MISMATCH = "mismatch"
    #: The registry knows this equipment as another kind than the topic says.
    KIND_MISMATCH = "kind_mismatch"
    #: Unknown equipment, and the bound on unregistered equipment is reached.
    UNREGISTERED_LIMIT = "unregistered_limit"
    #: `code` 0 without `vendor_code`: an event that says nothing.
    EVENT_CODE = "event_code"
    #: A ride whose axes differ in length or that lasts more than 60 s.
    RIDE = "ride"
    #: An action with neither `incident_id` nor `equipment_id`.
    TARGET = "target"
    #: The registry names a source profile that does not exist.
    PROFILE = "profile"
    #: Not of a message: an entry of the journal that this version cannot read.
    JOURNAL = "journal"
    #: A defect of ours; the message is kept for when it is mended.
    INTERNAL = "internal"
