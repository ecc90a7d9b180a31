-- Who signs in: people, the projects that they are members of, their browsers,
-- and the links by which they come in.

-- A person may be a member of several projects.
CREATE TABLE people (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- As it was typed, and in the one form that addresses are compared in.
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- Argon2id's hash, with its parameters and salt (a PHC string).
    password TEXT NOT NULL,
    -- The project that they looked at last.
    project INTEGER REFERENCES projects (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX people_project ON people (project);

CREATE TABLE memberships (
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    person INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (project, person)
) WITHOUT ROWID;
CREATE INDEX memberships_person ON memberships (person);

-- Signed-in browsers, by the hash of their token. A member's may do what their
-- membership says; one that signed in by a link of the command line's or the
-- demo's is of no person, and has a role of its own.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    person INTEGER REFERENCES people (id) ON DELETE CASCADE,
    role TEXT CHECK (role IN ('admin', 'viewer')),
    -- What the browser says it is, such as `Firefox on Linux`.
    browser TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK ((person IS NULL) <> (role IS NULL))
);
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_project ON sessions (project);

INSERT INTO sessions (hash, project, role, browser, created_at, used_at, expires_at)
SELECT hash, project, role, 'A browser', created_at, created_at, expires_at FROM tokens
WHERE purpose = 'session' AND project IS NOT NULL AND expires_at IS NOT NULL
    AND role IN ('admin', 'viewer');
DELETE FROM tokens WHERE purpose = 'session';

-- A link by which somebody becomes a member; one for each project and address.
CREATE TABLE invitations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
    made_by INTEGER REFERENCES people (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (project, email_key)
);

-- A link by which somebody chooses a new password; the newest alone is good.
CREATE TABLE password_resets (
    person INTEGER PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
);

-- The link by which the first member comes in; the newest alone is good.
CREATE TABLE owner_link (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    hash BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);

-- What people call an API token, who made it, and the last day it was used on
-- (the moment that the day's first use was at).
ALTER TABLE tokens ADD COLUMN name TEXT;
ALTER TABLE tokens ADD COLUMN made_by INTEGER REFERENCES people (id) ON DELETE SET NULL;
ALTER TABLE tokens ADD COLUMN used_at INTEGER;
CREATE INDEX tokens_made_by ON tokens (made_by);
CREATE INDEX invitations_made_by ON invitations (made_by);
