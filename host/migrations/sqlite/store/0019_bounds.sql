-- A link by which somebody chooses a new password; the newest alone is good, and
-- as long as who made it may make one. In no project, and by nobody, an operator
-- made it; in a project by nobody, a session of no person. Links from before name
-- nobody who may be asked: they are void.
DROP TABLE password_resets;
CREATE TABLE password_resets (
    person INTEGER PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE,
    project INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    made_by INTEGER REFERENCES people (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    CHECK (made_by IS NULL OR project IS NOT NULL)
);
CREATE INDEX password_resets_project ON password_resets (project);
CREATE INDEX password_resets_made_by ON password_resets (made_by);

-- What is looked at again and again: how long changes wait that were told, and
-- what asks before it goes on.
CREATE INDEX reads_awaited ON reads (account, expected_at, not_before)
    WHERE priority = 0 AND expected_at > 0;
CREATE INDEX runs_braked ON runs (connection) WHERE status = 'braked';

-- When somebody last had a test sent.
ALTER TABLE alert_channels ADD COLUMN tested_at INTEGER;

-- What the host runs, and the version that its release has built in. Each start
-- says it anew.
DROP TABLE plugin_running;
CREATE TABLE plugin_running (
    connector TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    built_in TEXT NOT NULL,
    problem TEXT
) WITHOUT ROWID;

-- The number of the newest read that had begun when something was set aside: a
-- later one knows of all that it says.
ALTER TABLE set_aside ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
CREATE INDEX set_aside_account ON set_aside (account, id);

-- Which replay something waits for that was set aside: beside it, for a row with
-- its body would be written anew to say so.
CREATE TABLE waiting_replays (
    replay INTEGER NOT NULL,
    aside INTEGER NOT NULL UNIQUE REFERENCES set_aside (id) ON DELETE CASCADE,
    PRIMARY KEY (replay, aside)
) WITHOUT ROWID;
INSERT INTO waiting_replays (replay, aside)
    SELECT replay, id FROM set_aside WHERE replay IS NOT NULL;
DROP INDEX set_aside_replay;
ALTER TABLE set_aside DROP COLUMN replay;
