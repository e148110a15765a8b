"""Accounts of the console and the sessions they sign in with."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg

from monitor.adapters.access_audit import Deed, record
from monitor.adapters.access_secrets import password_hash
from monitor.adapters.pgtext import clean, instant, milliseconds
from monitor.adapters.pool import Database
from monitor.domain.access import Caller, Credential, Role, Scope
from monitor.domain.errors import RefusedError

#: Failures after which an account is locked, for how long at first, and at most; each further lock is twice as long.
FAILURES = 5
LOCK_MS = 300_000
LONGEST_LOCK_MS = 24 * 3_600_000
#: A session's last use is written down when it is older than this.
_SEEN_EVERY = timedelta(seconds=30)
_NAME = re.compile(r"[\w.@-]{1,64}")
_DIVISION = re.compile(r"[0-9]{6}")
_FIRM = re.compile(r"[A-Za-z0-9_-]{1,32}")

# Counted before the password is looked at: of a hundred attempts at once no more than FAILURES are looked at.
_ATTEMPT = """
UPDATE tiwei.account SET
    failed = failed + 1,
    locked_until = CASE WHEN (failed + 1) % $3 = 0
        THEN $2::timestamptz + least($4 * power(2, least((failed + 1) / $3 - 1, 20)), $5) * interval '1 ms'
        ELSE locked_until END
WHERE name = $1 AND disabled_at IS NULL AND (locked_until IS NULL OR locked_until <= $2)
RETURNING *
"""

_OF_SESSION = """
SELECT a.name, a.role, a.division, a.firm_id, s.seen_at, s.expires_at
FROM tiwei.session s JOIN tiwei.account a USING (name)
WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND a.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """How long a session lasts, ms: altogether, and without a request."""

    whole_ms: int = 12 * 3_600_000
    idle_ms: int = 30 * 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an attempt to sign in is compared with. `known`: there is such an account, whatever its state."""

    known: bool
    account: Caller | None = None
    password_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """One account as listed; times in ms since 1970."""

    name: str
    role: Role
    scope: Scope
    locked_until_ms: int | None
    disabled_ms: int | None


class Access:
    """Accounts and sessions. Every method raises UnavailableError where the database cannot be reached now."""

    def __init__(self, database: Database, terms: SessionTerms | None = None) -> None:
        self._database = database
        self._terms = terms or SessionTerms()

    async def attempt(self, name: str, now_ms: int) -> Attempt:
        """Count an attempt to sign in; what it may be compared with, nothing where the account is locked."""
        async with self._database.session() as session, session.transaction():
            # Whether there is such an account or not: one look, one write.
            await session.execute("SELECT pg_current_xact_id()")
            row = await session.fetchrow(_ATTEMPT, clean(name), instant(now_ms), FAILURES, LOCK_MS, LONGEST_LOCK_MS)
            known = row is not None or await session.fetchval(
                "SELECT EXISTS (SELECT FROM tiwei.account WHERE name = $1)", clean(name)
            )
        if row is None:
            return Attempt(known=bool(known))
        account = _caller(row, Credential(kind="session", digest=b""), None)
        return Attempt(known=True, account=account, password_hash=row["password_hash"])

    async def failed(self, attempt: Attempt, name: str, deed: Deed) -> None:
        """Write a failure down. A name that is no account's is not kept: people type passwords there."""
        async with self._database.session() as session:
            detail = {"name": name} if attempt.known else {}
            await record(session, replace(deed, detail={**deed.detail, **detail}))

    async def signed_in(self, account: Caller, token_hash: bytes, deed: Deed) -> Caller:
        """Begin a session; forget earlier failures, and sessions that are over."""
        now, end = instant(deed.at_ms), deed.at_ms + self._terms.whole_ms
        async with self._database.session() as session, session.transaction():
            await session.execute(
                "UPDATE tiwei.account SET failed = 0, locked_until = NULL WHERE name = $1", account.name
            )
            await session.execute(
                "DELETE FROM tiwei.session WHERE expires_at <= $1 OR seen_at <= $2", now, self._idle_since(deed.at_ms)
            )
            await session.execute(
                "INSERT INTO tiwei.session (token_hash, name, created_at, seen_at, expires_at)"
                " VALUES ($1, $2, $3, $3, $4)",
                token_hash,
                account.name,
                now,
                instant(end),
            )
            await record(session, replace(deed, actor=account))
        return Caller(
            name=account.name,
            role=account.role,
            scope=account.scope,
            credential=Credential(kind="session", digest=token_hash),
            expires_ms=min(end, deed.at_ms + self._terms.idle_ms),
        )

    async def caller(self, token_hash: bytes, now_ms: int, *, used: bool) -> Caller | None:
        """Who a session belongs to; None where it is over. `used`: somebody did something, it is not idle."""
        async with self._database.session() as session:
            row = await session.fetchrow(_OF_SESSION, token_hash, instant(now_ms), self._idle_since(now_ms))
            if row is None:
                return None
            seen = row["seen_at"]
            if used and instant(now_ms) - seen > _SEEN_EVERY:
                seen = instant(now_ms)
                await session.execute("UPDATE tiwei.session SET seen_at = $2 WHERE token_hash = $1", token_hash, seen)
        ends = min(milliseconds(row["expires_at"]), milliseconds(seen) + self._terms.idle_ms)
        return _caller(row, Credential(kind="session", digest=token_hash), ends)

    async def sign_out(self, token_hash: bytes, deed: Deed) -> None:
        """End a session."""
        async with self._database.session() as session, session.transaction():
            await session.execute("DELETE FROM tiwei.session WHERE token_hash = $1", token_hash)
            await record(session, deed)

    async def add(self, name: str, role: Role, scope: Scope, password: str, deed: Deed) -> None:
        """Make an account.

        Raises:
            RefusedError: the name is taken or malformed, or the scope is none for that role.
        """
        if _NAME.fullmatch(name) is None:
            raise RefusedError(f"{name!r} cannot be a name: 1 to 64 letters, digits and . _ - @")
        check_scope(role, scope)
        hashed = password_hash(password)
        async with self._database.session() as session, session.transaction():
            done = await session.execute(
                "INSERT INTO tiwei.account (name, role, division, firm_id, password_hash) VALUES ($1, $2, $3, $4, $5)"
                " ON CONFLICT DO NOTHING",
                name,
                role.value,
                scope.division,
                scope.firm_id,
                hashed,
            )
            if done != "INSERT 0 1":
                raise RefusedError(f"{name} has an account already")
            await record(session, deed)

    async def set_password(self, name: str, password: str, deed: Deed) -> None:
        """Give an account another password, unlock it and end its sessions. RefusedError where there is none."""
        hashed = password_hash(password)
        await self._change(
            "UPDATE tiwei.account SET password_hash = $2, failed = 0, locked_until = NULL WHERE name = $1",
            name,
            hashed,
            deed=deed,
        )

    async def disable(self, name: str, deed: Deed) -> None:
        """Let nobody sign in with it any more and end its sessions. RefusedError where there is no such account."""
        await self._change(
            "UPDATE tiwei.account SET disabled_at = coalesce(disabled_at, $2) WHERE name = $1",
            name,
            instant(deed.at_ms),
            deed=deed,
        )

    async def _change(self, statement: str, name: str, *values: object, deed: Deed) -> None:
        async with self._database.session() as session, session.transaction():
            if await session.execute(statement, clean(name), *values) != "UPDATE 1":
                raise RefusedError(f"there is no account {name!r}")
            await session.execute("DELETE FROM tiwei.session WHERE name = $1", clean(name))
            await record(session, deed)

    async def listed(self) -> list[AccountLine]:
        """Every account, by name."""
        async with self._database.session() as session:
            rows = await session.fetch('SELECT * FROM tiwei.account ORDER BY name COLLATE "C"')
        return [
            AccountLine(
                name=row["name"],
                role=Role(row["role"]),
                scope=Scope(division=row["division"], firm_id=row["firm_id"]),
                locked_until_ms=row["locked_until"] and milliseconds(row["locked_until"]),
                disabled_ms=row["disabled_at"] and milliseconds(row["disabled_at"]),
            )
            for row in rows
        ]

    def _idle_since(self, now_ms: int) -> datetime:
        return instant(now_ms - self._terms.idle_ms)


def check_scope(role: Role, scope: Scope) -> None:
    """Raises RefusedError for a division or a firm that cannot be, and for a role `firm` without a firm."""
    if scope.division is not None and _DIVISION.fullmatch(scope.division) is None:
        raise RefusedError(f"a division has 6 digits: {scope.division!r}")
    if scope.firm_id is not None and _FIRM.fullmatch(scope.firm_id) is None:
        raise RefusedError(f"a firm's id has 1 to 32 of A-Z a-z 0-9 - _: {scope.firm_id!r}")
    if role is Role.FIRM and scope.firm_id is None:
        raise RefusedError("the role `firm` needs the firm: --firm F")


def _caller(row: asyncpg.Record, credential: Credential, expires_ms: int | None) -> Caller:
    return Caller(
        name=row["name"],
        role=Role(row["role"]),
        scope=Scope(division=row["division"], firm_id=row["firm_id"]),
        credential=credential,
        expires_ms=expires_ms,
    )
