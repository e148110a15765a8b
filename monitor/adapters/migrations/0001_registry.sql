-- The registry of equipment. `number` is the dense row number used in every other table.

CREATE SEQUENCE tiwei.equipment_number AS integer;

-- Counts every change of the registry. Importers hold an advisory lock, so that changes become visible in this order and
-- readers can use it as a cursor; what a monitor met on the wire itself has revision 0.
CREATE SEQUENCE tiwei.equipment_revision;

CREATE TABLE tiwei.equipment (
    number          integer PRIMARY KEY DEFAULT nextval('tiwei.equipment_number'),
    equipment_id    text NOT NULL UNIQUE,
    division        text NOT NULL,
    kind            text NOT NULL,
    registered      boolean NOT NULL,
    rescue_code     text,
    bottom_floor    integer,
    top_floor       integer,
    floor_height_m  double precision,
    rated_speed_mps double precision,
    firm_id         text,
    reports         text NOT NULL DEFAULT 'samples' CHECK (reports IN ('samples', 'changes')),
    profile         text,
    limits          jsonb NOT NULL DEFAULT '[]',
    overrides       jsonb NOT NULL DEFAULT '{}',
    place           jsonb NOT NULL DEFAULT '{}',
    first_seen_at   timestamptz,
    last_seen_at    timestamptz,
    revision        bigint NOT NULL DEFAULT nextval('tiwei.equipment_revision')
);

CREATE INDEX equipment_unregistered ON tiwei.equipment (number) WHERE NOT registered;
CREATE INDEX equipment_by_revision ON tiwei.equipment (revision);
CREATE INDEX equipment_by_division ON tiwei.equipment (division);

-- The last link message of an equipment (protocol §2: the last received counts).
CREATE TABLE tiwei.link_state (
    number      integer PRIMARY KEY,
    online      boolean NOT NULL,
    retained    boolean NOT NULL,
    received_at timestamptz NOT NULL
);
