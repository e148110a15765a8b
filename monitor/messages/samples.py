"""From status structs to READING rows, a whole batch at once: the hot path of decoding.

Structs become tuples, tuples become columns (`zip`), columns become numpy arrays of their own type. No float stands
between a JSON integer and its int64, so `ts` and `seq` are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from monitor.domain.reading import BROKEN_CLOCK, FLOOR_UNKNOWN, READING
from monitor.messages.payloads import NO_FLOOR, LiftStatus, StairStatus

#: A `ts` more than this ahead of receipt is a broken clock, ms (protocol §1).
AHEAD_MS = 24 * 3_600_000
#: A `ts` more than this behind receipt is a broken clock, ms.
BEHIND_MS = 31 * 24 * 3_600_000

_FLOOR_MIN, _FLOOR_MAX = FLOOR_UNKNOWN + 1, 2**31 - 1
_INT64_MAX = 2**63 - 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One field of a status struct and the column of READING it fills; `kind` is i (code), l (integer) or f."""

    field: str
    column: str
    kind: str


def _columns(*rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(field=field, column=column, kind=kind) for field, column, kind in rows)


#: In the order of LiftStatus after `equipment_id`.
LIFT = _columns(
    ("ts", "ts", "l"),
    ("seq", "seq", "l"),
    ("service_mode", "service_mode", "i"),
    ("car_status", "car_status", "i"),
    ("car_direction", "car_direction", "i"),
    ("door_zone", "door_zone", "i"),
    ("car_position", "car_position", "l"),
    ("door_closed", "door_closed", "i"),
    ("passenger", "passenger", "i"),
    ("speed_mps", "speed_mps", "f"),
    ("position_m", "position_m", "f"),
    ("power", "power", "i"),
    ("load_kg", "load_kg", "f"),
    ("run_count", "run_count", "l"),
)
#: In the order of StairStatus after `equipment_id`.
STAIR = _columns(
    ("ts", "ts", "l"),
    ("seq", "seq", "l"),
    ("service_mode", "service_mode", "i"),
    ("moving", "car_status", "i"),
    ("direction", "car_direction", "i"),
    ("speed_mps", "speed_mps", "f"),
    ("passenger", "passenger", "i"),
    ("power", "power", "i"),
)
_DTYPES = {"i": np.int8, "l": np.int64, "f": np.float64}


def _absent_row() -> NDArray[np.void]:
    row = np.zeros((), READING)
    for column in LIFT:
        row[column.column] = np.nan if column.kind == "f" else -1
    row["car_position"] = FLOOR_UNKNOWN
    return row


_ABSENT = _absent_row()


def absent_rows(size: int) -> NDArray[np.void]:
    """READING rows in which every field that a sample may leave out is unknown, and everything else 0."""
    rows = np.empty(size, READING)
    rows[:] = _ABSENT
    return rows


class Table:
    """Status samples of one struct type as columns, before they belong to an equipment.

    `ids` are the equipment ids sent, None where none was; `named` whether there is any. `sent` is how many fields each
    sample carried, nulls included; a field sent with the very value that stands for "not sent" is not counted.
    """

    __slots__ = ("columns", "ids", "named", "sent", "size")

    def __init__(self, structs: Sequence[LiftStatus | StairStatus], columns: tuple[Column, ...]) -> None:
        self.size = len(structs)
        self.columns: dict[str, NDArray[Any]] = {}
        self.ids: tuple[str | None, ...] = ()
        self.named = False
        self.sent = np.zeros(self.size, np.int64)
        if not structs:
            return
        self.ids, *fields = zip(*map(astuple, structs), strict=True)
        self.named = self.ids.count(None) < self.size
        if self.named:
            self.sent += np.fromiter((one is not None for one in self.ids), np.bool_, self.size)
        for column, values in zip(columns, fields, strict=True):
            self.columns[column.column] = self._array(values, column)

    def _array(self, values: tuple[Any, ...], column: Column) -> NDArray[Any]:
        """One column; nulls become what is absent, integers beyond 64 bits are brought within (clamped later)."""
        absent = _absent(column)
        try:
            array = np.fromiter(values, _DTYPES[column.kind], self.size)
        except (TypeError, OverflowError):
            fitted = (absent if one is None or one == absent else _within(one) for one in values)
            array = np.fromiter(fitted, _DTYPES[column.kind], self.size)
        known = ~np.isnan(array) if column.kind == "f" else array != absent
        if np.count_nonzero(known) < self.size and None in values:
            known |= np.fromiter((one is None for one in values), np.bool_, self.size)
        self.sent += known
        return array

    def readings(self, numbers: NDArray[np.int64], received_ms: NDArray[np.int64]) -> NDArray[np.void]:
        """READING rows; `numbers` and `received_ms` as long as the table."""
        rows = absent_rows(self.size)
        for name, values in self.columns.items():
            rows[name] = _FITTED.get(name, _same)(values)
        rows["number"] = numbers
        rows["received_ms"] = received_ms
        ts = rows["ts"]
        broken = is_broken(ts, received_ms)
        rows["time_ms"] = np.where(broken, received_ms, ts)
        rows["flags"] = np.where(broken, BROKEN_CLOCK, 0)
        return rows


def is_broken(ts: Any, received_ms: Any) -> Any:
    """Whether a device's clock is too far off to be believed (protocol §1); scalars or arrays, ms."""
    return (ts - received_ms > AHEAD_MS) | (received_ms - ts > BEHIND_MS)


def _within(value: float) -> float:
    return max(NO_FLOOR + 1, min(_INT64_MAX, value)) if isinstance(value, int) else value


def _absent(column: Column) -> float | int:
    if column.kind == "f":
        return np.nan
    return NO_FLOOR if column.column == "car_position" else -1


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _floor(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values == NO_FLOOR, FLOOR_UNKNOWN, np.clip(values, _FLOOR_MIN, _FLOOR_MAX))


def _float32(values: NDArray[Any]) -> NDArray[Any]:
    return values.clip(-_FLOAT32_MAX, _FLOAT32_MAX)


def _count(values: NDArray[Any]) -> NDArray[Any]:
    return values.clip(min=-1)


_FITTED: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "car_position": _floor,
    "speed_mps": _float32,
    "position_m": _float32,
    "load_kg": _float32,
    "run_count": _count,
}
