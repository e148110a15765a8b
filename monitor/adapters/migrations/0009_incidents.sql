-- Incidents: the cases people work on, at most one open for each equipment.
-- `division` and `firm_id` are those of its opening, for ever: who was in charge then stays in charge of it.
-- `version` counts the changes; the timeline entry of a change has its version as `place`.

CREATE TABLE tiwei.incident (
    incident_id uuid PRIMARY KEY,
    incident_no text NOT NULL UNIQUE,
    number      integer NOT NULL,
    division    text,
    firm_id     text,
    kind        text NOT NULL,
    severity    smallint NOT NULL CHECK (severity BETWEEN 1 AND 4),
    status      text NOT NULL,
    level       smallint NOT NULL CHECK (level BETWEEN 1 AND 3),
    people      boolean NOT NULL,
    opened_at   timestamptz NOT NULL,
    since_at    timestamptz NOT NULL,
    closed_at   timestamptz,
    version     integer NOT NULL,
    CHECK ((closed_at IS NOT NULL) = (status IN ('CLOSED', 'FALSE_ALARM')))
);

CREATE UNIQUE INDEX incident_open ON tiwei.incident (number) WHERE closed_at IS NULL;
CREATE INDEX incident_by_opening ON tiwei.incident (opened_at, incident_id);
CREATE INDEX incident_by_equipment ON tiwei.incident (number, opened_at);

CREATE TABLE tiwei.incident_fault (
    incident_id uuid NOT NULL REFERENCES tiwei.incident,
    fault_id    uuid NOT NULL,
    joined_at   timestamptz NOT NULL,
    PRIMARY KEY (incident_id, fault_id)
);

-- `occurred_at` on the clock that `clock` names, `entered_at` on the centre's.
CREATE TABLE tiwei.incident_entry (
    incident_id uuid NOT NULL REFERENCES tiwei.incident,
    place       integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    entered_at  timestamptz NOT NULL,
    clock       text NOT NULL,
    source      text NOT NULL,
    actor       text,
    what        text NOT NULL,
    reason      text NOT NULL,
    detail      jsonb NOT NULL,
    PRIMARY KEY (incident_id, place)
);

-- The last number given on a day, of the centre's time zone: incident 20261123-0007 is the seventh of its day.
CREATE TABLE tiwei.incident_day (
    day  date PRIMARY KEY,
    last integer NOT NULL
);

CREATE INDEX fault_by_kind ON tiwei.fault (kind, raised_at);
