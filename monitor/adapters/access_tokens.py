"""Bearer tokens of programs, and one-time tickets for the WebSocket."""

from __future__ import annotations

from dataclasses import dataclass, replace

from monitor.adapters.access import check_scope
from monitor.adapters.access_audit import Deed, record
from monitor.adapters.pgtext import clean, instant, milliseconds
from monitor.adapters.pool import Database
from monitor.domain.access import Caller, Credential, Role, Scope
from monitor.domain.errors import RefusedError

#: How long a ticket is good for, ms.
TICKET_MS = 30_000

_HELD_BY = """
SELECT * FROM tiwei.token WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    """One token as listed; times in ms since 1970."""

    token_id: int
    label: str
    role: Role
    scope: Scope
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None


class Tokens:
    """Tokens and tickets. Every method raises UnavailableError where the database cannot be reached now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, digest: bytes, label: str, role: Role, scope: Scope, *, expires_ms: int | None, deed: Deed
    ) -> int:
        """Keep a new token; returns its number. RefusedError where the scope is none for that role."""
        check_scope(role, scope)
        async with self._database.session() as session, session.transaction():
            token_id = await session.fetchval(
                "INSERT INTO tiwei.token (token_hash, label, role, division, firm_id, created_at, expires_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING token_id",
                digest,
                clean(label),
                role.value,
                scope.division,
                scope.firm_id,
                instant(deed.at_ms),
                None if expires_ms is None else instant(expires_ms),
            )
            await record(session, replace(deed, subject=str(token_id), detail={**deed.detail, "label": label}))
        return int(token_id)

    async def revoke(self, token_id: int, deed: Deed) -> None:
        """Let a token be good for nothing any more. RefusedError where there is none of that number."""
        async with self._database.session() as session, session.transaction():
            done = await session.execute(
                "UPDATE tiwei.token SET revoked_at = coalesce(revoked_at, $2) WHERE token_id = $1",
                token_id,
                instant(deed.at_ms),
            )
            if done != "UPDATE 1":
                raise RefusedError(f"there is no token {token_id}")
            await record(session, deed)

    async def listed(self) -> list[TokenLine]:
        """Every token, the revoked and the expired too, by number."""
        async with self._database.session() as session:
            rows = await session.fetch("SELECT * FROM tiwei.token ORDER BY token_id")
        return [
            TokenLine(
                token_id=row["token_id"],
                label=row["label"],
                role=Role(row["role"]),
                scope=Scope(division=row["division"], firm_id=row["firm_id"]),
                created_ms=milliseconds(row["created_at"]),
                expires_ms=row["expires_at"] and milliseconds(row["expires_at"]),
                revoked_ms=row["revoked_at"] and milliseconds(row["revoked_at"]),
            )
            for row in rows
        ]

    async def caller(self, digest: bytes, now_ms: int) -> Caller | None:
        """Who a token stands for; None where it is unknown, expired or revoked."""
        async with self._database.session() as session:
            row = await session.fetchrow(_HELD_BY, digest, instant(now_ms))
        if row is None:
            return None
        return Caller(
            name=f"token:{row['token_id']}",
            role=Role(row["role"]),
            scope=Scope(division=row["division"], firm_id=row["firm_id"]),
            credential=Credential(kind="token", digest=digest),
            expires_ms=row["expires_at"] and milliseconds(row["expires_at"]),
        )

    async def issue_ticket(self, digest: bytes, caller: Caller, deed: Deed) -> int:
        """Keep a ticket by the right of `caller`; returns when it ends, ms since 1970."""
        expires_ms = deed.at_ms + TICKET_MS
        async with self._database.session() as session, session.transaction():
            await session.execute("DELETE FROM tiwei.live_ticket WHERE expires_at <= $1", instant(deed.at_ms))
            await session.execute(
                "INSERT INTO tiwei.live_ticket (ticket_hash, kind, credential, expires_at) VALUES ($1, $2, $3, $4)",
                digest,
                caller.credential.kind,
                caller.credential.digest,
                instant(expires_ms),
            )
            await record(session, deed)
        return expires_ms

    async def redeem_ticket(self, digest: bytes, now_ms: int) -> Credential | None:
        """By whose right a ticket was issued; it is good once. None where it is unknown, used or over."""
        async with self._database.session() as session:
            row = await session.fetchrow(
                "DELETE FROM tiwei.live_ticket WHERE ticket_hash = $1"
                " RETURNING kind, credential, expires_at > $2 AS good",
                digest,
                instant(now_ms),
            )
        return Credential(kind=row["kind"], digest=row["credential"]) if row and row["good"] else None
