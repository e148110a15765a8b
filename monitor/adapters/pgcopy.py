"""READING rows as a PostgreSQL binary COPY stream, without touching a row in Python.

Every field of a row is a 4-byte length and its bytes, big-endian; NULL is the length -1 and no bytes. So the rows
are laid out at full width in a numpy structured array, and the bytes of what is unknown are squeezed out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.adapters.pgtext import FIRST_MS, LAST_MS
from monitor.domain.reading import FLOOR_UNKNOWN, READING

#: 2000-01-01, PostgreSQL's zero of time, in ms since 1970.
POSTGRES_EPOCH_MS = 946_684_800_000
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

#: Columns of tiwei.reading in the order of the stream, with their types on the wire.
_WIRE_TYPES = (
    ("sampled_at", ">i8"),
    ("received_at", ">i8"),
    ("ts", ">i8"),
    ("seq", ">i8"),
    ("run_count", ">i8"),
    ("number", ">i4"),
    ("car_position", ">i4"),
    ("speed_mps", ">f4"),
    ("position_m", ">f4"),
    ("load_kg", ">f4"),
    ("service_mode", ">i2"),
    ("car_status", ">i2"),
    ("car_direction", ">i2"),
    ("door_zone", ">i2"),
    ("door_closed", ">i2"),
    ("passenger", ">i2"),
    ("power", ">i2"),
    ("flags", ">i2"),
)
READING_COLUMNS = tuple(name for name, _ in _WIRE_TYPES)

_ROW = np.dtype(
    [("fields", ">i2")] + [field for name, kind in _WIRE_TYPES for field in ((f"{name} length", ">i4"), (name, kind))]
)
_EMPTY_ROW = np.zeros(1, _ROW)
_EMPTY_ROW["fields"] = len(_WIRE_TYPES)
for _name, _kind in _WIRE_TYPES:
    _EMPTY_ROW[f"{_name} length"] = np.dtype(_kind).itemsize

_SMALL = ("service_mode", "car_status", "car_direction", "door_zone", "door_closed", "passenger", "power")
_FLOATS = ("speed_mps", "position_m", "load_kg")
_NOTHING = (
    {"run_count": "'-1'::bigint", "car_position": f"'{FLOOR_UNKNOWN}'::integer"}
    | dict.fromkeys(_SMALL, "'-1'::smallint")
    | dict.fromkeys(_FLOATS, "'NaN'::real")
)


def selected(others: Mapping[str, str] = MappingProxyType({})) -> str:
    """The columns of a SELECT whose rows `decode` reads; `others`: expressions in place of some of them."""
    known = {name: f"coalesce({name}, {_NOTHING[name]})" if name in _NOTHING else name for name in READING_COLUMNS}
    return ", ".join((known | dict(others)).values())


#: Readings of one equipment ($1) in [$2, $3), for `decode`.
SELECT_READINGS = (
    f"SELECT {selected()} FROM tiwei.reading WHERE number = $1 AND sampled_at >= $2 AND sampled_at < $3"  # noqa: S608
    " ORDER BY sampled_at, ts, seq"
)


def postgres_us(ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Instants in ms since 1970 as PostgreSQL counts them: us since 2000; outside the years 1 to 9999 is cut off."""
    return (np.clip(ms, FIRST_MS, LAST_MS) - POSTGRES_EPOCH_MS) * 1000


def encode(rows: NDArray[np.void]) -> bytes:
    """READING rows as a whole stream of COPY (FORMAT binary) with the columns READING_COLUMNS."""
    wire = np.repeat(_EMPTY_ROW, len(rows))
    wire["sampled_at"] = postgres_us(rows["time_ms"])
    wire["received_at"] = postgres_us(rows["received_ms"])
    for name in ("ts", "seq", "number", "flags"):
        wire[name] = rows[name]
    unknown: dict[str, NDArray[np.bool_]] = {}
    for name in ("run_count", "car_position", *_FLOATS, *_SMALL):
        column = rows[name]
        wire[name] = column
        nothing = _unknown(name, column)
        if nothing.any():
            wire[f"{name} length"][nothing] = -1
            unknown[name] = nothing
    return b"".join((_HEADER, _squeezed(wire, unknown), _TRAILER))


def decode(stream: bytes) -> NDArray[np.void]:
    """A stream of COPY (SELECT_READINGS) TO STDOUT (FORMAT binary) as a READING array."""
    wire = np.frombuffer(stream, _ROW, count=(len(stream) - len(_HEADER)) // _ROW.itemsize, offset=len(_HEADER))
    rows = np.empty(len(wire), READING)
    for name in READING_COLUMNS:
        if name == "sampled_at":
            rows["time_ms"] = wire[name] // 1000 + POSTGRES_EPOCH_MS
        elif name == "received_at":
            rows["received_ms"] = wire[name] // 1000 + POSTGRES_EPOCH_MS
        else:
            rows[name] = wire[name]
    return rows


def _unknown(name: str, column: NDArray[np.void]) -> NDArray[np.bool_]:
    if name in _FLOATS:
        return np.isnan(column)
    return np.equal(column, FLOOR_UNKNOWN if name == "car_position" else -1)


def _squeezed(wire: NDArray[np.void], unknown: dict[str, NDArray[np.bool_]]) -> bytes:
    """The rows' bytes without those of the unknown fields."""
    if not unknown:
        return wire.tobytes()
    table = wire.view(np.uint8).reshape(len(wire), _ROW.itemsize)
    keep = np.ones(_ROW.itemsize, np.bool_)
    mixed = False
    for name, nothing in unknown.items():
        mixed = mixed or not nothing.all()
        keep[_bytes_of(name)] = not nothing.all()
    if not mixed:
        return table[:, keep].tobytes()
    each = np.repeat(keep[np.newaxis], len(wire), axis=0)
    for name, nothing in unknown.items():
        each[nothing, _bytes_of(name)] = False
    return table[each].tobytes()


def _bytes_of(name: str) -> slice:
    fields = _ROW.fields
    assert fields is not None
    kind, offset = fields[name][:2]
    return slice(offset, offset + kind.itemsize)
