"""The audit: what people and programs did, written with what they did, read page by page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.adapters.pgtext import clean, clean_or_none, instant, json_text, milliseconds
from monitor.adapters.pool import Database, Session
from monitor.domain.access import Caller, Scope

#: The origin of what was done on the centre's own machine.
COMMAND_LINE = "command line"

_RECORD = """
INSERT INTO tiwei.audit (at, actor, role, division, firm_id, origin, action, outcome, subject, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb)
"""

_PAGE = """
SELECT * FROM tiwei.audit
WHERE ($1::bigint IS NULL OR audit_id < $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR actor = $3)
  AND ($4::text IS NULL OR starts_with(division, $4)) AND ($5::text IS NULL OR firm_id = $5)
ORDER BY audit_id DESC LIMIT $6
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing done. `actor` None: nobody that is known. `origin`: the address it came from, or COMMAND_LINE."""

    at_ms: int
    origin: str
    action: str
    outcome: str = "done"
    actor: Caller | None = None
    subject: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


async def record(session: Session, deed: Deed) -> None:
    """Write it down; part of the transaction of what was done."""
    actor = deed.actor
    await session.execute(
        _RECORD,
        instant(deed.at_ms),
        actor and clean(actor.name),
        actor and actor.role.value,
        actor and actor.scope.division,
        actor and actor.scope.firm_id,
        clean(deed.origin),
        deed.action,
        deed.outcome,
        clean_or_none(deed.subject),
        json_text(deed.detail),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line as stored; `at_ms` since 1970."""

    audit_id: int
    at_ms: int
    actor: str | None
    role: str | None
    division: str | None
    firm_id: str | None
    origin: str
    action: str
    outcome: str
    subject: str | None
    detail: Mapping[str, Any]


class Audit:
    """The audit for its readers, and for deeds that change nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, deed: Deed) -> None:
        """Write down a deed that has no transaction of its own."""
        async with self._database.session() as session:
            await record(session, deed)

    async def page(
        self, scope: Scope, limit: int, *, before: int | None, action: str | None = None, actor: str | None = None
    ) -> list[AuditLine]:
        """The newest `limit` lines of actors in `scope`, with numbers below `before`, newest first."""
        async with self._database.session() as session:
            rows = await session.fetch(
                _PAGE, before, clean_or_none(action), clean_or_none(actor), scope.prefix, scope.firm_id, limit
            )
        return [
            AuditLine(
                **{name: row[name] for name in AuditLine.__dataclass_fields__ if name not in {"at_ms", "detail"}},
                at_ms=milliseconds(row["at"]),
                detail=json.loads(row["detail"]),
            )
            for row in rows
        ]
