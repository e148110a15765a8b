"""What goes in and what comes out, as pydantic models. Instants are RFC 3339 in UTC with ms; unknown is null.

Answers are written from plain values, past these models, for speed; the tests hold them to these.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")

Instant = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-23T08:00:00.123Z"])
]
Text = Annotated[str, StringConstraints(max_length=2_000)]


class Closed(BaseModel):
    """What comes in: a field nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the cursor of the next one, null at the end."""

    items: list[T]
    next: str | None


class SignIn(Closed):
    """A name and its password."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Session(BaseModel):
    """Who is signed in; `csrf` goes into X-CSRF-Token of unsafe requests, null for bearer tokens."""

    name: str
    role: Literal["operator", "shift_leader", "firm", "regulator", "administrator"]
    division: str | None
    firm_id: str | None
    csrf: str | None
    expires_at: Instant | None
    timezone: str


class Ticket(BaseModel):
    """A one-time ticket for the WebSocket."""

    ticket: str
    expires_at: Instant


class Health(BaseModel):
    """`ok`, or what is not."""

    status: Literal["ok", "degraded"]


class Ready(Health):
    """Whether the centre works as a whole."""

    database: Literal["up", "down"]
    monitor: Literal["up", "down"]


class AuditLine(BaseModel):
    """One deed."""

    audit_id: int
    at: Instant
    actor: str | None
    role: str | None
    division: str | None
    firm_id: str | None
    origin: str
    action: str
    outcome: str
    subject: str | None
    detail: dict[str, Any]
