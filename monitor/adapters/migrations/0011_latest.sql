-- What is shown of each equipment now: written by the monitor at most once a second for each, beside its batches and
-- behind them. Columns as in tiwei.reading, NULL is *unknown*; `quantities` of `values` kinds alone. `received_at`: when
-- the last sample came, up to a minute behind where nothing but that changed. `silent`: no sample within the time that
-- one is believed (never of a source that sends changes only): what is shown is unknown since `received_at`.

CREATE TABLE tiwei.latest (
    number        integer PRIMARY KEY,
    sampled_at    timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    silent        boolean NOT NULL,
    run_count     bigint,
    car_position  integer,
    speed_mps     real,
    position_m    real,
    load_kg       real,
    service_mode  smallint,
    car_status    smallint,
    car_direction smallint,
    door_zone     smallint,
    door_closed   smallint,
    passenger     smallint,
    power         smallint,
    quantities    jsonb
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.2);

-- How the monitor itself does, every few seconds; the keys of `body` are told in monitor/services/vitals.py.
CREATE TABLE tiwei.monitor_figures (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    at     timestamptz NOT NULL,
    body   jsonb NOT NULL
) WITH (fillfactor = 50);
