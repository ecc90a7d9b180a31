-- The plugin versions that operators install, which was active when, and what
-- operators ask of a running host.

CREATE TABLE plugin_versions (
    digest TEXT PRIMARY KEY,
    connector TEXT NOT NULL,
    label TEXT NOT NULL,
    version TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    -- The name of the file that it came in; none where a release has it built in,
    -- and the data directory does not keep it.
    file TEXT,
    installed_by TEXT NOT NULL,
    installed_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Every switch, in order. It outlives the versions that it names.
CREATE TABLE plugin_activations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL,
    digest TEXT NOT NULL,
    before TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL CHECK (why IN ('operator', 'rollback', 'automatic')),
    reason TEXT
);
CREATE INDEX plugin_activations_connector ON plugin_activations (connector, id);

-- Switches that are asked for. The outcome is none while one waits, empty where
-- it was made, else why it was not.
CREATE TABLE plugin_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL,
    digest TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    reason TEXT,
    outcome TEXT
);
CREATE INDEX plugin_requests_waiting ON plugin_requests (id) WHERE outcome IS NULL;

-- What the host last said that it runs, and why that is not what was chosen.
CREATE TABLE plugin_running (
    connector TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    problem TEXT
) WITHOUT ROWID;

-- Which replay something waits for that was set aside, and when the last one of
-- it failed.
ALTER TABLE set_aside ADD COLUMN replay INTEGER;
ALTER TABLE set_aside ADD COLUMN replayed_at INTEGER;
CREATE INDEX set_aside_replay ON set_aside (replay, id) WHERE replay IS NOT NULL;

-- What operators, or the host itself, asked to be worked on again.
CREATE TABLE replays (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    asked INTEGER NOT NULL,
    -- How many of these could not be worked on again.
    stayed INTEGER NOT NULL DEFAULT 0
);
