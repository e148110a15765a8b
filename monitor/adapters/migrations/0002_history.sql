-- What was measured and reported. Partitioned by the corrected time: hypertables on TimescaleDB (which is why
-- the schema step takes the PARTITION BY clause away there), native partitions elsewhere.
-- `ts` and `seq` are as the device sent them, `ts` in ms since 1970 UTC; NULL is *unknown* (protocol §1).

CREATE TABLE tiwei.reading (
    sampled_at    timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    ts            bigint NOT NULL,
    seq           bigint NOT NULL,
    run_count     bigint,
    number        integer NOT NULL,
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
    flags         smallint NOT NULL,
    PRIMARY KEY (number, sampled_at, ts, seq)
) PARTITION BY RANGE (sampled_at);

CREATE TABLE tiwei.measurement (
    sampled_at   timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    ts           bigint NOT NULL,
    seq          bigint NOT NULL,
    number       integer NOT NULL,
    broken_clock boolean NOT NULL,
    quantities   jsonb NOT NULL,
    PRIMARY KEY (number, sampled_at, ts, seq)
) PARTITION BY RANGE (sampled_at);

CREATE TABLE tiwei.event (
    happened_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    ts          bigint NOT NULL,
    seq         bigint NOT NULL,
    code        bigint NOT NULL,
    number      integer NOT NULL,
    vendor_code text NOT NULL,
    state       text NOT NULL,
    kind        text NOT NULL,
    message     text,
    test        boolean NOT NULL,
    PRIMARY KEY (number, happened_at, ts, seq, code, vendor_code, state)
) PARTITION BY RANGE (happened_at);

-- x, y, z: float32 little-endian, m/s², gravity removed.
CREATE TABLE tiwei.ride (
    started_at  timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    ts          bigint NOT NULL,
    number      integer NOT NULL,
    rate_hz     double precision NOT NULL,
    x           bytea NOT NULL,
    y           bytea NOT NULL,
    z           bytea NOT NULL,
    PRIMARY KEY (number, started_at, ts)
) PARTITION BY RANGE (started_at);

-- The smallest and the largest `sampled_at - ts` seen of an equipment, ms, widened to whole minutes: bounds the search
-- for a repeated (number, ts, seq) to the few rows where it can be.
CREATE TABLE tiwei.clock_span (
    number  integer PRIMARY KEY,
    low_ms  bigint NOT NULL,
    high_ms bigint NOT NULL
);

CREATE TABLE tiwei.call_event (
    call_id     text NOT NULL,
    event       text NOT NULL,
    ts          bigint NOT NULL,
    division    text NOT NULL,
    received_at timestamptz NOT NULL,
    payload     jsonb NOT NULL,
    PRIMARY KEY (call_id, event, ts)
);

CREATE TABLE tiwei.firm_action (
    firm_id      text NOT NULL,
    key          text NOT NULL,
    ts           bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    action       text NOT NULL,
    equipment_id text,
    incident_id  text,
    payload      jsonb NOT NULL,
    PRIMARY KEY (firm_id, key)
);
