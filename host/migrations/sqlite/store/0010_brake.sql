-- The brake of what comes live: whose values a connection lost lately, and
-- what it does not do until somebody lets it go on.

CREATE TABLE brakes (
    connection INTEGER PRIMARY KEY REFERENCES connections (id) ON DELETE CASCADE,
    -- How many users may lose values, by the users that were counted then.
    losses_max INTEGER NOT NULL DEFAULT 0,
    counted_at INTEGER NOT NULL DEFAULT 0,
    -- What is lost up to this moment is not counted.
    losses_from INTEGER NOT NULL DEFAULT 0,
    -- Since when it is held; none where it is not. Whether anything was, since.
    held_at INTEGER,
    has_held INTEGER NOT NULL DEFAULT 0
);

-- The users whose values were cleared or moved, and when that was last.
CREATE TABLE losses (
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (connection, user)
) WITHOUT ROWID;
CREATE INDEX losses_at ON losses (connection, at);
CREATE INDEX losses_user ON losses (user);

-- Users whose values would be cleared or moved: what feeds them is selected
-- anew once their connection is held no more.
CREATE TABLE held_selections (
    mapping INTEGER NOT NULL REFERENCES object_mappings (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    PRIMARY KEY (mapping, user)
) WITHOUT ROWID;
CREATE INDEX held_selections_user ON held_selections (user);
