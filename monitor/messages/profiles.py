"""Source profiles: other makers' names, polarities and codes in the protocol's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.domain.fault import FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One source's way of speaking."""

    name: str
    kinds: Mapping[str, FaultKind]

    def status(self, one: dict[str, Any]) -> dict[str, Any]:
        """A status object in the protocol's terms."""
        return one

    def event(self, one: dict[str, Any]) -> dict[str, Any]:
        """An event object in the protocol's terms."""
        return one

    def kind_of(self, code: int, vendor_code: str | None) -> FaultKind | None:
        """The kind this source means, None when its table does not say."""
        return self.kinds.get(vendor_code or str(code))


Profiles = Mapping[str, Profile]


def builtin() -> Profiles:
    """The profiles that come with Tiwei."""
    return {}
