-- Users for whom a dry run counted a value that would be set, changed or cleared, so
-- that each is counted once.
CREATE TABLE run_users (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    PRIMARY KEY (run, user)
) WITHOUT ROWID;
-- Who is deleted is forgotten here, too.
CREATE INDEX run_users_user ON run_users (user);
