-- Faults. A momentary one (car alarm button) is cleared when it is raised: it is never open.
-- `repeated`: raised while one of its kind was open on that equipment; kept, never counted (protocol §10).
-- `raised_in` and `cleared_in` are positions of commits, which become visible in their order: a cursor for readers.

CREATE TABLE tiwei.fault (
    fault_id       uuid PRIMARY KEY,
    number         integer NOT NULL,
    kind           text NOT NULL,
    since_at       timestamptz NOT NULL,
    raised_at      timestamptz NOT NULL,
    cleared_at     timestamptz,
    repeated       boolean NOT NULL DEFAULT false,
    raised_in      bigint NOT NULL,
    cleared_in     bigint,
    raise_evidence jsonb NOT NULL,
    clear_evidence jsonb
);

CREATE UNIQUE INDEX fault_open ON tiwei.fault (number, kind) WHERE cleared_at IS NULL AND NOT repeated;
CREATE INDEX fault_by_raise ON tiwei.fault (raised_at);
CREATE INDEX fault_by_equipment ON tiwei.fault (number, raised_at);
CREATE INDEX fault_raised_in ON tiwei.fault (raised_in);
CREATE INDEX fault_cleared_in ON tiwei.fault (cleared_in);
