"""Who asks, as what, and how much of the centre lies in their sight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.domain.division import division_prefix, lies_within


class Role(StrEnum):
    """What an account or a token is. What each may do is one table: api/roles.py."""

    OPERATOR = "operator"
    SHIFT_LEADER = "shift_leader"
    FIRM = "firm"
    REGULATOR = "regulator"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of the centre somebody may see: of one division (with what lies within it), of one firm; None: all."""

    division: str | None = None
    firm_id: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is hidden."""
        return self.division is None and self.firm_id is None

    @property
    def prefix(self) -> str | None:
        """What the division codes in sight begin with; None: any."""
        return None if self.division is None else division_prefix(self.division)

    def narrowed(self, division: str | None, firm_id: str | None = None) -> Narrowed | None:
        """What of the scope lies within that division and firm as well (None: any); None where nothing can."""
        asked = None if division is None else division_prefix(division)
        own = self.prefix
        if self.firm_id is not None and firm_id is not None and self.firm_id != firm_id:
            return None
        firm = self.firm_id or firm_id
        if asked is None or own is None:
            return Narrowed(prefix=own if asked is None else asked, firm_id=firm)
        if asked.startswith(own) or own.startswith(asked):
            return Narrowed(prefix=max(asked, own, key=len), firm_id=firm)
        return None

    def covers(self, division: str | None, firm_id: str | None) -> bool:
        """Whether what belongs to that division and firm is in sight; what belongs to nobody only to who sees all."""
        return lies_within(division, self.prefix) and (self.firm_id is None or self.firm_id == firm_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """What the codes of divisions begin with, and the firm; None: any."""

    prefix: str | None
    firm_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever is signed in. `credential` names the session or the token, for looking again whether it still holds.

    `expires_ms`: when it ends at the latest, ms since 1970; None: never by itself.
    """

    name: str
    role: Role
    scope: Scope
    credential: Credential
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What somebody signed in with: the hash of a session's secret, or of a token's."""

    kind: str  # "session" or "token"
    digest: bytes
