-- Whom a line of activity reached, where they are several: how many on the line, and
-- the first of them by name. A line of one user names them itself.
ALTER TABLE activity ADD COLUMN users INTEGER;
CREATE TABLE activity_users (
    activity INTEGER NOT NULL REFERENCES activity (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    PRIMARY KEY (activity, user)
) WITHOUT ROWID;
CREATE INDEX activity_users_user ON activity_users (user);

-- Records that reach users through others alone, while none of these was known to have
-- them.
ALTER TABLE hours ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
