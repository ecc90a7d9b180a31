-- Plugin versions that read the log beside the active one, to see what they would
-- change: one a connector. Nothing of a body is kept here.

CREATE TABLE shadows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL REFERENCES plugin_versions (digest) ON DELETE CASCADE,
    -- The version that it is compared with; none until the host has begun.
    against TEXT,
    by TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- It reads what was received since then; none: all that the log keeps.
    since INTEGER,
    -- What it is at, in this order, and up to where: a connection, a position in the
    -- log.
    step TEXT NOT NULL DEFAULT 'mappings' CHECK (step IN ('mappings', 'log')),
    connection INTEGER NOT NULL DEFAULT 0,
    position INTEGER NOT NULL DEFAULT 0,
    -- How many entries were behind that when it last looked, and when last none was.
    waiting INTEGER NOT NULL DEFAULT 0,
    caught_up_at INTEGER,
    -- Why it does not go on.
    problem TEXT,
    mappings INTEGER NOT NULL DEFAULT 0,
    texts INTEGER NOT NULL DEFAULT 0,
    entries INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    events INTEGER NOT NULL DEFAULT 0,
    compared INTEGER NOT NULL DEFAULT 0,
    passes INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    active_faults INTEGER NOT NULL DEFAULT 0,
    worked_microseconds INTEGER NOT NULL DEFAULT 0
);

-- How often the two differed, by how and where: an object type, and a property or
-- what happened. What does not apply is empty.
CREATE TABLE shadow_differences (
    shadow INTEGER NOT NULL REFERENCES shadows (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    object_type TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (shadow, kind, object_type, name)
) WITHOUT ROWID;

-- Some of them. What was made of a user's property is kept only of a record that
-- reaches a user, by its number (`key`), and goes with that.
CREATE TABLE shadow_examples (
    id INTEGER PRIMARY KEY,
    shadow INTEGER NOT NULL REFERENCES shadows (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    object_type TEXT NOT NULL,
    name TEXT NOT NULL,
    connection INTEGER REFERENCES connections (id) ON DELETE CASCADE,
    field INTEGER REFERENCES fields (id) ON DELETE CASCADE,
    record,
    key INTEGER,
    position INTEGER,
    -- What the active version says, and what the other one, as JSON.
    active TEXT,
    candidate TEXT
);

-- The version that has to be active for a switch to be made; none: any may be.
ALTER TABLE plugin_requests ADD COLUMN compared_with TEXT;
