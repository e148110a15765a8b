-- Hourly rollups. A row tells about the samples *inside* its hour only: what is between its last sample and the first of
-- the next row is added by the reader. So a late sample changes its own hour and no other, an hour without
-- a sample has no row, and a state that lasts for months costs nothing.
--
-- A sample's service mode holds until the next sample. known_ms / normal_ms: time between first_at and last_at in a known
-- mode / in mode 1, however long it holds; the believed_ columns: at most 120 s each (protocol §10, `samples`).

CREATE TABLE tiwei.rollup_hour (
    number             integer NOT NULL,
    hour               timestamptz NOT NULL,
    samples            integer NOT NULL,
    first_at           timestamptz NOT NULL,
    last_at            timestamptz NOT NULL,
    last_mode          smallint,
    known_ms           integer NOT NULL,
    normal_ms          integer NOT NULL,
    believed_known_ms  integer NOT NULL,
    believed_normal_ms integer NOT NULL,
    PRIMARY KEY (number, hour)
) PARTITION BY RANGE (hour);

-- Hours whose rollup is not up to date. Append-only: each batch marks what it touched, and who recomputes deletes exactly
-- the marks it saw, so that a batch committed meanwhile keeps its own. `numbers` NULL: every equipment.
CREATE TABLE tiwei.dirty_bucket (
    mark_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hour    timestamptz NOT NULL,
    numbers integer[]
);
CREATE INDEX dirty_bucket_by_hour ON tiwei.dirty_bucket (hour);

-- Mode 7 says of itself that the mode is unknown, as a missing one does.
CREATE FUNCTION tiwei.known_mode(mode smallint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT mode IS NOT NULL AND mode <> 7';

-- The rollup rows of [from_at, to_at), for the given equipment, from the samples themselves.
CREATE FUNCTION tiwei.summarise(from_at timestamptz, to_at timestamptz, of_numbers integer[])
RETURNS SETOF tiwei.rollup_hour
LANGUAGE sql STABLE PARALLEL SAFE
AS $body$
    SELECT s.number,
           s.hour,
           count(*)::integer,
           min(s.sampled_at),
           max(s.sampled_at),
           max(s.service_mode) FILTER (WHERE s.held_ms IS NULL),
           coalesce(sum(s.held_ms) FILTER (WHERE s.held_ms > 0 AND tiwei.known_mode(s.service_mode)), 0)::integer,
           coalesce(sum(s.held_ms) FILTER (WHERE s.held_ms > 0 AND s.service_mode = 1), 0)::integer,
           -- least() passes NULL over: the last sample must be left out by the filter
           coalesce(sum(least(s.held_ms, 120000))
               FILTER (WHERE s.held_ms > 0 AND tiwei.known_mode(s.service_mode)), 0)::integer,
           coalesce(sum(least(s.held_ms, 120000))
               FILTER (WHERE s.held_ms > 0 AND s.service_mode = 1), 0)::integer
    FROM (
        SELECT r.number, r.sampled_at, r.service_mode, date_bin('1 hour', r.sampled_at, '2000-01-01Z') AS hour,
               (extract(epoch FROM lead(r.sampled_at) OVER same_hour - r.sampled_at) * 1000)::integer AS held_ms
        FROM unnest(of_numbers) AS wanted (number)
        CROSS JOIN LATERAL (
            SELECT t.number, t.sampled_at, t.ts, t.seq, t.service_mode
            FROM tiwei.reading t
            WHERE t.number = wanted.number AND t.sampled_at >= from_at AND t.sampled_at < to_at
        ) r
        WINDOW same_hour AS (
            PARTITION BY r.number, date_bin('1 hour', r.sampled_at, '2000-01-01Z')
            ORDER BY r.sampled_at, r.ts, r.seq
        )
    ) s
    GROUP BY s.number, s.hour
$body$;
