"""Source profiles: other makers' names, polarities and codes in the protocol's terms.

The registry names an equipment's profile (`Equipment.profile`); profiles.toml says what each means and where that is
known from. A profile only translates JSON values; what it leaves is read as strictly as any other message.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from monitor.domain.errors import SettingsError, UnreadableError
from monitor.domain.fault import FaultKind
from monitor.messages.payloads import LiftStatus, StairStatus
from monitor.messages.reasons import Reason

#: In a table of values or codes: what is sent says nothing.
UNKNOWN = "unknown"
NOTHING = "nothing"

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}\.[0-9]{1,18}")
_NUMBERS = frozenset({*LiftStatus.__struct_fields__, *StairStatus.__struct_fields__} - {"equipment_id"})


class Shape(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How one payload is translated; the steps run in this order.

    `fields`: their name, or path with dots, to our name, or several. `values`: per field of ours, what they send (as
    text) to what we mean; what is not listed stays. `times`: per field, a strptime format to ms. `text_numbers`: their
    numbers come as texts, an empty one is unknown, and so is a floor that is no number. `scale`: per field, a factor.
    """

    fields: dict[str, str | list[str]] = {}
    values: dict[str, dict[str, int | str]] = {}
    times: dict[str, str] = {}
    text_numbers: bool = False
    scale: dict[str, int] = {}


class EventShape(Shape, frozen=True):
    """A Shape, the state of an event that does not say it, and flags that are events of their own.

    `flags`: their path to [the value that raises it, the code it stands for].
    """

    state: str = ""
    flags: dict[str, tuple[str, str]] = {}


class _Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    source: str
    status: Shape = Shape()
    event: EventShape = EventShape()
    codes: dict[str, str] = {}
    own_codes: bool = False
    code_width: int = 0
    utc_offset_h: float = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One event in the protocol's terms, and its kind where the profile's table gives one."""

    fields: dict[str, Any]
    kind: FaultKind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One source's way of speaking.

    `codes` maps its fault codes (as text) to kinds, None to "no fault". With `own_codes` a number in `code` is the
    source's own and never the protocol's. `zone` is what its texts of local time mean.
    """

    name: str
    title: str
    source: str
    status_shape: Shape
    event_shape: EventShape
    codes: Mapping[str, FaultKind | None]
    own_codes: bool
    code_width: int
    zone: timezone

    def status(self, one: dict[str, Any]) -> dict[str, Any]:
        """A status object in the protocol's terms."""
        return self._translated(one, self.status_shape)

    def events(self, one: dict[str, Any]) -> list[Coded]:
        """The events of an event object: one, or one for each flag set, or none when it says "no fault"."""
        shape = self.event_shape
        fields = self._translated(one, shape)
        if shape.state:
            fields.setdefault("state", shape.state)
        found = [self._coded({**fields, "code": 0, "vendor_code": code}) for code in _flagged(one, shape)]
        if not shape.flags or "code" in fields or "vendor_code" in fields:
            found.append(self._coded(fields))
        return [coded for coded in found if coded is not None]

    def _coded(self, fields: dict[str, Any]) -> Coded | None:
        if "vendor_code" in fields:
            fields.setdefault("code", 0)
        sent = fields.get("vendor_code", fields.get("code"))
        if not isinstance(sent, int | str) or isinstance(sent, bool):
            return Coded(fields=fields, kind=None)
        text = str(sent).strip().zfill(self.code_width)
        if text in self.codes:
            kind = self.codes[text]
            if kind is None:
                return None
        elif self.own_codes:
            kind = FaultKind.REPORTED_FAULT
        else:
            return Coded(fields=fields, kind=None)
        code = fields.get("code", 0)
        own = self.own_codes or isinstance(code, str)
        return Coded(fields={**fields, "code": 0 if own else code, "vendor_code": text}, kind=kind)

    def _translated(self, one: dict[str, Any], shape: Shape) -> dict[str, Any]:
        ours = _renamed(one, shape)
        for name, table in shape.values.items():
            if name in ours:
                meant = table.get(_text(ours[name]), ours[name])
                ours[name] = None if meant == UNKNOWN else meant
        for name, form in shape.times.items():
            if isinstance(ours.get(name), str):
                ours[name] = self._instant(ours[name], form)
        if shape.text_numbers:
            for name in _NUMBERS & ours.keys():
                ours[name] = _number(name, ours[name])
        for name, factor in shape.scale.items():
            if type(ours.get(name)) in (int, float):
                ours[name] *= factor
        return {name: value for name, value in ours.items() if value is not None}

    def _instant(self, text: str, form: str) -> int:
        try:
            moment = datetime.strptime(text.strip(), form).replace(tzinfo=self.zone)
        except (ValueError, OverflowError):
            raise UnreadableError(Reason.TYPE, "a time of another form than the profile's") from None
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


Profiles = Mapping[str, Profile]


@lru_cache(maxsize=1)
def builtin() -> Profiles:
    """The profiles that come with Tiwei (profiles.toml)."""
    return load(Path(__file__).with_name("profiles.toml").read_text("utf-8"))


def load(text: str) -> Profiles:
    """Profiles by name from a TOML text of the form of profiles.toml.

    Raises:
        SettingsError: the text is no TOML, or names a field, a kind or a table that does not exist.
    """
    try:
        rows = msgspec.convert(tomllib.loads(text), dict[str, _Row])
        return {name: _profile(name, row) for name, row in rows.items()}
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise SettingsError(f"source profiles: {error}") from None


def _profile(name: str, row: _Row) -> Profile:
    return Profile(
        name=name,
        title=row.title,
        source=row.source,
        status_shape=row.status,
        event_shape=row.event,
        codes={code: None if kind == NOTHING else FaultKind(kind) for code, kind in row.codes.items()},
        own_codes=row.own_codes,
        code_width=row.code_width,
        zone=timezone(timedelta(hours=row.utc_offset_h)),
    )


def _renamed(one: dict[str, Any], shape: Shape) -> dict[str, Any]:
    renamed = dict(one)
    for path in shape.fields:
        renamed.pop(path, None)
    for path, names in shape.fields.items():
        for value in _found(one, path):
            for name in [names] if isinstance(names, str) else names:
                renamed[name] = value
    return renamed


def _flagged(one: dict[str, Any], shape: EventShape) -> Iterator[str]:
    for path, (value, code) in shape.flags.items():
        for sent in _found(one, path):
            if _text(sent) == value:
                yield code


def _found(one: dict[str, Any], path: str) -> Iterator[Any]:
    """The value at `path`, nothing where there is none or null."""
    value: Any = one
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is not None:
        yield value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _number(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return None if not text or name == "car_position" else value
