-- Who may ask, and what they did. Of every secret only a hash is kept: argon2 of passwords, SHA-256 of what is made of
-- 256 random bits anyway. `division` and `firm_id` bound what is in sight; NULL: everything.

CREATE TABLE tiwei.account (
    name          text PRIMARY KEY,
    role          text NOT NULL,
    division      text,
    firm_id       text,
    password_hash text NOT NULL,
    failed        integer NOT NULL DEFAULT 0,
    locked_until  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz,
    CHECK (role <> 'firm' OR firm_id IS NOT NULL)
);

-- `seen_at`: the last request, written down at most twice a minute.
CREATE TABLE tiwei.session (
    token_hash bytea PRIMARY KEY,
    name       text NOT NULL REFERENCES tiwei.account ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_by_name ON tiwei.session (name);
CREATE INDEX session_by_end ON tiwei.session (expires_at);

CREATE TABLE tiwei.token (
    token_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    label      text NOT NULL,
    role       text NOT NULL,
    division   text,
    firm_id    text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CHECK (role <> 'firm' OR firm_id IS NOT NULL)
);

-- One-time tickets for the WebSocket; `kind` and `credential` say by whose right.
CREATE TABLE tiwei.live_ticket (
    ticket_hash bytea PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('session', 'token')),
    credential  bytea NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX live_ticket_by_end ON tiwei.live_ticket (expires_at);

-- What people and programs did, for ever. `division` and `firm_id` are the actor's.
CREATE TABLE tiwei.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text,
    role     text,
    division text,
    firm_id  text,
    origin   text NOT NULL,
    action   text NOT NULL,
    outcome  text NOT NULL,
    subject  text,
    detail   jsonb NOT NULL DEFAULT '{}'
);

CREATE FUNCTION tiwei.refuse_change() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'tiwei.% is only added to', TG_TABLE_NAME; END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tiwei.audit
    FOR EACH STATEMENT EXECUTE FUNCTION tiwei.refuse_change();
