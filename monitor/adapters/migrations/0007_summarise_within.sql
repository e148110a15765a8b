-- summarise() may be asked for many pieces of time in one statement. Where each begins is then known only row by row,
-- too late for the planner to leave out partitions and chunks: [within_from, within_to) tells it what all the pieces
-- lie in.

DROP FUNCTION tiwei.summarise(timestamptz, timestamptz, integer[]);

-- The rollup rows of [from_at, to_at), for the given equipment, from the samples themselves.
CREATE FUNCTION tiwei.summarise(
    from_at timestamptz, to_at timestamptz, of_numbers integer[], within_from timestamptz, within_to timestamptz
)
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
              AND t.sampled_at >= within_from AND t.sampled_at < within_to
        ) r
        WINDOW same_hour AS (
            PARTITION BY r.number, date_bin('1 hour', r.sampled_at, '2000-01-01Z')
            ORDER BY r.sampled_at, r.ts, r.seq
        )
    ) s
    GROUP BY s.number, s.hour
$body$;
