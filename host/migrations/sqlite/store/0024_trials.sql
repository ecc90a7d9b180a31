-- Plugin versions that serve one connection before they serve all, and what
-- operators ask for and did for one connection alone.

CREATE TABLE plugin_trials (
    connection INTEGER PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    by TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- Why the host cannot run it, where it cannot: the active version serves then.
    problem TEXT
) WITHOUT ROWID;

ALTER TABLE plugin_requests ADD COLUMN connection INTEGER;
ALTER TABLE plugin_activations ADD COLUMN connection INTEGER;
