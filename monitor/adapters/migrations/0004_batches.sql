-- Where the monitor stands: one row. `epoch` counts the monitors that took this database over; one that meets
-- another's epoch has been replaced and writes nothing any more.
CREATE TABLE tiwei.progress (
    single       boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch        bigint NOT NULL,
    position     bigint,
    alive_at     timestamptz,
    first_number integer,
    last_number  integer
) WITH (fillfactor = 50);
INSERT INTO tiwei.progress (epoch) VALUES (0);

-- The input of every batch since the last checkpoint, judged again at a restart.
CREATE TABLE tiwei.journal (
    position bigint PRIMARY KEY,
    body     bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000);
ALTER TABLE tiwei.journal ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE tiwei.checkpoint (
    position bigint NOT NULL,
    chunk    integer NOT NULL,
    body     bytea NOT NULL,
    PRIMARY KEY (position, chunk)
);
ALTER TABLE tiwei.checkpoint ALTER COLUMN body SET STORAGE EXTERNAL;

-- Messages that could not be read, whole. Bounded: the newest stay.
CREATE TABLE tiwei.quarantine (
    quarantine_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at    timestamptz NOT NULL,
    topic          text NOT NULL,
    reason         text NOT NULL,
    detail         text NOT NULL,
    size           bigint NOT NULL,
    payload        bytea NOT NULL,
    requested_at   timestamptz,
    resubmitted_at timestamptz
);
ALTER TABLE tiwei.quarantine ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX quarantine_due ON tiwei.quarantine (quarantine_id)
    WHERE requested_at IS NOT NULL AND resubmitted_at IS NULL;

-- Every message ever set aside, by reason; rows of quarantine come and go, these only grow.
CREATE TABLE tiwei.quarantine_count (
    reason   text PRIMARY KEY,
    messages bigint NOT NULL,
    last_at  timestamptz NOT NULL
);
