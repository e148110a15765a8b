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
Bit = Literal[0, 1]
Three = Literal[0, 1, 2]
Role = Literal["operator", "shift_leader", "firm", "regulator", "administrator"]
Severity = Literal["low", "medium", "high", "critical"]
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
    role: Role
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


class Imported(BaseModel):
    """How many equipments were taken in."""

    imported: int


class State(BaseModel):
    """A sample. `silent`: none came within the time that one is believed; what it says is of `received_at`."""

    sampled_at: Instant
    received_at: Instant
    silent: bool
    service_mode: Annotated[int, Field(ge=0, le=7)] | None
    car_status: Bit | None
    car_direction: Three | None
    door_zone: Bit | None
    car_position: int | None
    door_closed: Bit | None
    passenger: Bit | None
    speed_mps: float | None
    position_m: float | None
    power: Bit | None
    load_kg: float | None
    run_count: int | None
    quantities: dict[str, float | None] | None


class HistorySample(State):
    """A sample with the device's own clock (ms since 1970) and counter (-1: none was sent)."""

    ts: int
    seq: int


class Fault(BaseModel):
    """A condition, raised and cleared."""

    fault_id: str
    equipment_id: str
    division: str
    kind: str
    since_at: Instant
    raised_at: Instant
    cleared_at: Instant | None
    repeated: bool
    evidence: dict[str, Any]
    clear_evidence: dict[str, Any] | None


class OpenFault(BaseModel):
    """What is wrong with an equipment now."""

    fault_id: str
    kind: str
    since_at: Instant


class FaultOfIncident(BaseModel):
    """A fault of an incident that is not cleared."""

    fault_id: str
    kind: str


class Equipment(BaseModel):
    """Special equipment: what the register says, its state now, what is open."""

    equipment_id: str
    division: str
    kind: str
    registered: bool
    rescue_code: str | None
    bottom_floor: int | None
    top_floor: int | None
    floor_height_m: float | None
    rated_speed_mps: float | None
    firm_id: str | None
    reports: Literal["samples", "changes"]
    place: dict[str, str | float]
    limits: list[dict[str, Any]]
    state: State | None
    open_faults: list[OpenFault]
    incident_id: str | None


class Fleet(BaseModel):
    """The equipment in sight in numbers; modes, movement and people are of those that are not silent."""

    at: Instant
    total: int
    unregistered: int
    never_heard: int
    silent: int
    moving: int
    occupied: int
    by_mode: dict[str, int]
    with_open_faults: int
    offline: int
    open_incidents: dict[Severity, int]


class Incident(BaseModel):
    """A case people work on. `version` counts its changes: an action names the one it was decided on."""

    incident_id: str
    incident_no: str
    equipment_id: str
    division: str | None
    firm_id: str | None
    kind: str
    severity: Severity
    status: Literal["REPORTED", "DISPATCHED", "ACCEPTED", "ARRIVED", "FREED", "CLOSED", "FALSE_ALARM"]
    level: int
    people: bool
    opened_at: Instant
    since_at: Instant
    closed_at: Instant | None
    version: int
    open_faults: list[FaultOfIncident]
    rescue_code: str | None
    address: str | None


class Entry(BaseModel):
    """A line of a timeline. `occurred_at` is of the clock named, `entered_at` of the centre's."""

    place: int
    occurred_at: Instant
    entered_at: Instant
    clock: Literal["device", "receiver", "centre", "person"]
    source: str
    actor: str | None
    what: str
    reason: str
    detail: dict[str, Any]


class IncidentDetail(Incident):
    """An incident with everything that was entered."""

    timeline: list[Entry]


class StaleProblem(Problem):
    """With the incident as it is now, where another version was named."""

    incident: Incident | None = None


class IncidentAction(Closed):
    """What somebody wants done about an incident, as they saw it (`version`); without one, as it stands."""

    action: Literal["dispatch", "accept", "arrive", "free", "close", "false_alarm", "note"]
    version: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    text: Text = ""
    occurred_at: Annotated[str, StringConstraints(max_length=40)] | None = None
    persons_freed: Annotated[int, Field(ge=0, le=1_000)] | None = None
    cause: Annotated[str, StringConstraints(pattern=r"^[1-7][0-9]{2}$")] | None = None
    sent: Annotated[str, StringConstraints(max_length=200)] | None = None

    def detail(self) -> dict[str, Any]:
        """What belongs to the step besides its text."""
        return self.model_dump(include={"persons_freed", "cause", "sent"}, exclude_none=True)


class ReportPeriod(BaseModel):
    """[from, to) as instants of the centre's zone."""

    model_config = ConfigDict(populate_by_name=True)

    begin: Annotated[str, Field(alias="from")]
    to: str
    division: str | None


class ReportLine(BaseModel):
    """The figures of one equipment."""

    equipment_id: str
    faults_raised: int
    entrapments: int
    availability: float | None


class Report(BaseModel):
    """The supervision report (protocol §10)."""

    model_config = ConfigDict(extra="allow")

    period: ReportPeriod
    equipment: list[ReportLine]
