-- What holds for everything in this database: one row. `timezone` (IANA) is that of the recorded data's months and days
-- where `replay --store --timezone` gave it; NULL: the setting's.

CREATE TABLE tiwei.centre (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    timezone text
);
INSERT INTO tiwei.centre DEFAULT VALUES;
