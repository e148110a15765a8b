-- What is open now is asked for often, and lies scattered in years of what is over.

CREATE INDEX fault_still_open ON tiwei.fault (raised_at) WHERE cleared_at IS NULL;
