-- Users of whom the source is asked whether it has a record for them.
-- `priority` and `run` as in `reads`; the key to ask by is the user's present
-- one, so it is not kept here.
CREATE TABLE lookups (
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    object_type INTEGER NOT NULL,
    user INTEGER NOT NULL,
    requested INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL,
    run INTEGER,
    PRIMARY KEY (connection, object_type, user)
) WITHOUT ROWID;
CREATE INDEX lookups_due ON lookups (connection, object_type, priority, not_before, requested);
CREATE INDEX lookups_run ON lookups (run) WHERE run IS NOT NULL;
