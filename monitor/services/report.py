"""The supervision report of a period (protocol §10)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from monitor.domain.errors import SettingsError
from monitor.domain.figures import EquipmentFigures

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_DIVISION = re.compile(r"\d{6}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

#: Decimals of an availability: a tenth of a second in a day is told.
AVAILABILITY_DECIMALS = 6


class FigureSource(Protocol):
    """Where the figures come from."""

    async def equipment_figures(self, from_ms: int, to_ms: int, division: str | None) -> Sequence[EquipmentFigures]:
        """Of every equipment (of one division) in [from_ms, to_ms), ordered by equipment_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """[begin, end), both aware; `division` None: all."""

    begin: datetime
    end: datetime
    division: str | None = None

    @property
    def from_ms(self) -> int:
        return -((_EPOCH - self.begin) // _MILLISECOND)

    @property
    def to_ms(self) -> int:
        return -((_EPOCH - self.end) // _MILLISECOND)


def period(begin: str, end: str, division: str | None, zone: ZoneInfo) -> Period:
    """The period that a person wrote: dates in the centre's `zone`, or RFC 3339 instants.

    A date as `end` means the end of that day.

    Raises:
        SettingsError: neither a date nor an instant, an empty period, or a division that is not 6 digits.
    """
    if division is not None and not _DIVISION.fullmatch(division):
        raise SettingsError(f"a division has 6 digits: {division!r}")
    found = Period(begin=_moment(begin, zone, days=0), end=_moment(end, zone, days=1), division=division)
    if found.from_ms >= found.to_ms:
        raise SettingsError(f"the period is empty: it ends at {found.end.isoformat()}")
    return found


def _moment(text: str, zone: ZoneInfo, *, days: int) -> datetime:
    """An instant, or the midnight `days` after a date."""
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=days)
            return datetime.combine(day, time(), zone)
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(zone)
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"no such day or time: {text!r} ({error})") from None
    raise SettingsError(f"neither a date (2026-01-31) nor an RFC 3339 instant (2026-01-31T08:00:00+08:00): {text!r}")


async def report(source: FigureSource, asked: Period) -> dict[str, Any]:
    """The report as plain values for JSON: what this version knows to be true, and nothing else.

    `availability` is None where nothing is known.
    """
    figures = await source.equipment_figures(asked.from_ms, asked.to_ms, asked.division)
    return {
        "period": {"from": asked.begin.isoformat(), "to": asked.end.isoformat(), "division": asked.division},
        "equipment": [_equipment(one) for one in figures],
    }


def _equipment(one: EquipmentFigures) -> dict[str, Any]:
    return {
        "equipment_id": one.equipment_id,
        "faults_raised": one.faults_raised,
        "entrapments": one.entrapments,
        "availability": None if one.availability is None else round(one.availability, AVAILABILITY_DECIMALS),
    }
