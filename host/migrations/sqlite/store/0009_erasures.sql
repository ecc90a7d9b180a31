-- Records that were deleted for privacy: the event log and what was set aside
-- are rewritten without them, and so is for a while what comes late.

-- `account` and `record` as the source names them. What is in the log up to
-- `last` was applied by those who did not know of it yet: it is searched, and
-- was up to `searched`. `done`: nothing of it is left there, nor in any
-- write-ahead log.
CREATE TABLE erasures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    record NOT NULL,
    at INTEGER NOT NULL,
    last INTEGER NOT NULL,
    searched INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, record)
);
CREATE INDEX erasures_open ON erasures (id) WHERE NOT done;

-- Entries of the log that named an erased record when they were applied.
CREATE TABLE late_entries (
    position INTEGER PRIMARY KEY,
    rewritten INTEGER NOT NULL DEFAULT 0
);

-- What became part of a record goes with it.
CREATE INDEX records_survivor ON records (connection, object_type, survivor)
    WHERE survivor IS NOT NULL;
