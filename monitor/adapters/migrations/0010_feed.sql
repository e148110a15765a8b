-- The change feed: every committed change in one order without a gap. A writer takes its positions by updating the one
-- row of change_head as the last thing its transaction does; the row's lock holds others back until it is over, so that
-- positions become visible in their order and a rolled-back transaction leaves no gap.

CREATE TABLE tiwei.change_head (
    single        boolean PRIMARY KEY DEFAULT true CHECK (single),
    position      bigint NOT NULL,
    -- Up to here lines were taken away: of any topic, and of those that only pass (states).
    trimmed       bigint NOT NULL,
    passing_trimmed bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO tiwei.change_head (position, trimmed, passing_trimmed) VALUES (0, 0, 0);

-- `body` is passed on as it was written: json, not jsonb, and not compressed.
CREATE TABLE tiwei.change (
    position     bigint PRIMARY KEY,
    committed_at timestamptz NOT NULL,
    topic        text NOT NULL,
    division     text,
    firm_id      text,
    number       integer,
    body         json NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
        toast.autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_threshold = 1000);
ALTER TABLE tiwei.change ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX change_by_commit ON tiwei.change (committed_at);
