"""Registry files: equipment as JSON, as JSON lines, or as CSV (protocol §8 names the fields)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from monitor.domain.equipment import Equipment, EquipmentKind, Reports
from monitor.domain.errors import UnreadableError
from monitor.messages.topics import is_equipment_id

#: Errors told at once; a file of another kind has one on every line.
ERRORS_TOLD = 10
#: A CSV column `place_address` is the place's `address`.
PLACE_PREFIX = "place_"

_DIVISION = re.compile(r"[0-9]{6}")
#: CSV columns that hold JSON: lists, mappings, and what of a place is a number.
_JSON_COLUMNS = ("limits", "overrides", "place", "lat", "lon")
_POSITIVE = ("floor_height_m", "rated_speed_mps")

Floor = Annotated[int, msgspec.Meta(ge=-1000, le=1000)]


class Limit(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Limits of one quantity of a `values` kind (protocol §2)."""

    quantity: str
    unit: str = ""
    low_low: float | None = None
    low: float | None = None
    high: float | None = None
    high_high: float | None = None
    deadband: float | None = None
    on_delay_s: float | None = None


class Entry(msgspec.Struct, kw_only=True):
    """One equipment of a registry file; other fields are ignored."""

    equipment_id: str
    division: str
    kind: EquipmentKind
    rescue_code: str | None = None
    bottom_floor: Floor | None = None
    top_floor: Floor | None = None
    floor_height_m: float | None = None
    rated_speed_mps: float | None = None
    firm_id: str | None = None
    reports: Reports = Reports.SAMPLES
    profile: str | None = None
    limits: list[Limit] = []
    overrides: dict[str, float] = {}
    place: dict[str, str | float] = {}

    def equipment(self, number: int) -> Equipment:
        """As the register knows it. Raises ValueError for what no lift can have."""
        self._check()
        fields = msgspec.structs.asdict(self)
        return Equipment(number=number, **{**fields, "limits": tuple(map(msgspec.to_builtins, self.limits))})

    def _check(self) -> None:
        if not is_equipment_id(self.equipment_id):
            raise ValueError(f"equipment_id has 1 to 32 of A-Z a-z 0-9 - _: {self.equipment_id!r}")
        if not _DIVISION.fullmatch(self.division):
            raise ValueError(f"division has 6 digits: {self.division!r}")
        if self.bottom_floor is not None and self.top_floor is not None and self.bottom_floor > self.top_floor:
            raise ValueError("bottom_floor is above top_floor")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0: {value}")


def read(content: bytes, kind: str) -> list[Equipment]:
    """The equipment of a registry file, numbered from 1 in the order of the file; `kind`: json, jsonl or csv.

    JSON is an array, or an object with `registry` (the first line of a recorded stream). Of an equipment
    that stands twice the later counts.

    Raises:
        UnreadableError: something in it is wrong; the detail names the places. Nothing of it is to be taken then.
    """
    found: dict[str, Equipment] = {}
    wrong: list[str] = []
    try:
        for place, fields in _entries(content, kind):
            try:
                entry = msgspec.convert(fields, Entry, strict=kind != "csv")
                first = found.get(entry.equipment_id)
                found[entry.equipment_id] = entry.equipment(first.number if first else len(found) + 1)
            except (msgspec.ValidationError, ValueError) as error:
                wrong.append(f"{place}: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise UnreadableError("registry", str(error)) from error
    if wrong:
        more = [f"and {len(wrong) - ERRORS_TOLD} more"] if len(wrong) > ERRORS_TOLD else []
        raise UnreadableError("registry", "; ".join(wrong[:ERRORS_TOLD] + more))
    return list(found.values())


def _entries(content: bytes, kind: str) -> Iterator[tuple[str, Any]]:
    """Each entry with the place it stands at, for messages."""
    if kind == "csv":
        yield from _rows(content.decode("utf-8-sig"))
    elif kind == "jsonl":
        for number, line in enumerate(content.splitlines(), start=1):
            if line.strip():
                yield from _of_line(f"line {number}", msgspec.json.decode(line))
    else:
        yield from _of_line("entry", msgspec.json.decode(content))


def _of_line(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The entries of one JSON value: an array of them, an object with a `registry` of them, or one."""
    if isinstance(value, dict) and "registry" in value:
        value = value["registry"]
    if isinstance(value, list):
        for number, one in enumerate(value, start=1):
            yield f"{place} {number}", one
    else:
        yield place, value


def _rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for row in reader:
        yield f"line {reader.line_num}", _fields(row)


def _fields(row: Mapping[str | None, Any]) -> dict[str, Any]:
    """A CSV row as an entry's fields: what is empty is left out."""
    fields: dict[str, Any] = {}
    place: dict[str, Any] = {}
    for name, cell in row.items():
        if name is None or not isinstance(cell, str) or not cell.strip():
            continue
        if name.startswith(PLACE_PREFIX):
            part = name.removeprefix(PLACE_PREFIX)
            place[part] = _cell(part, cell.strip())
        else:
            fields[name] = _cell(name, cell.strip())
    return {"place": place, **fields} if place else fields


def _cell(name: str, cell: str) -> Any:
    if name not in _JSON_COLUMNS:
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell  # of the wrong type: told as that
