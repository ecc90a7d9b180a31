-- Full syncs and catch-ups, and reads by how urgent they are.

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('full', 'catch_up')),
    -- Writes nothing.
    dry_run INTEGER NOT NULL,
    -- Looks at what changed alone, and not at whether all that is linked is still so.
    brief INTEGER NOT NULL,
    -- Who asked: `admin`, `operator` or `schedule`.
    origin TEXT NOT NULL,
    status TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    -- The number that it took when it began: what was read since is not read again.
    sequence INTEGER NOT NULL DEFAULT 0,
    -- Changes from this moment on are looked for.
    since INTEGER,
    -- How it goes about it, as JSON; and what is left of it, the stage it is in
    -- first. No stages before it is planned.
    plan TEXT NOT NULL DEFAULT '[]',
    stages TEXT,
    -- The brake: users of whom it may clear or move values; none where there is
    -- none, or somebody let it go on.
    losses_max INTEGER,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    -- What could not be done; and why the brake holds it, where it does.
    problem TEXT,
    held TEXT
);
CREATE INDEX runs_connection ON runs (connection, id);
CREATE INDEX runs_open ON runs (status) WHERE status IN ('running', 'braked');

CREATE TABLE run_counts (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;

-- The users whose values a run cleared or moved, as long as its brake is on.
CREATE TABLE run_losses (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    PRIMARY KEY (run, user)
) WITHOUT ROWID;

-- What came of comparing a sample of linked records, read again, with what their
-- users show. `differing`: what was not equal, as JSON.
CREATE TABLE proofs (
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    compared INTEGER NOT NULL,
    equal INTEGER NOT NULL,
    differing TEXT NOT NULL,
    PRIMARY KEY (connection, at)
) WITHOUT ROWID;

-- `priority`: 0 live, 1 arrival, 2 catch-up, 3 full sync. `run`: whom it is
-- counted for. `refresh`: nothing is known to have changed.
ALTER TABLE reads ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reads ADD COLUMN run INTEGER;
ALTER TABLE reads ADD COLUMN refresh INTEGER NOT NULL DEFAULT 0;

DROP INDEX reads_due;
CREATE INDEX reads_due ON reads (account, object_type, to_type, priority, not_before, requested);
CREATE INDEX reads_run ON reads (run) WHERE run IS NOT NULL;

-- Runs go through the records that reach users.
CREATE INDEX records_reached ON records (connection, object_type, id) WHERE reached;

-- When a host was last at work on this store.
ALTER TABLE state ADD COLUMN alive_at INTEGER;
