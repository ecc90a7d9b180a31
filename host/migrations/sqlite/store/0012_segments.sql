-- Segments: conditions on users, evaluated when they are asked for.

CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- The name without its case: no two segments of a project look the same.
    name_key TEXT NOT NULL,
    description TEXT,
    -- As JSON, with variables and segments by their numbers.
    conditions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (project, name_key)
);

-- The variables that a segment names.
CREATE TABLE segment_variables (
    segment INTEGER NOT NULL REFERENCES segments (id) ON DELETE CASCADE,
    variable INTEGER NOT NULL REFERENCES variables (id),
    PRIMARY KEY (segment, variable)
) WITHOUT ROWID;
CREATE INDEX segment_variables_variable ON segment_variables (variable);

-- The segments that a segment names.
CREATE TABLE segment_uses (
    segment INTEGER NOT NULL REFERENCES segments (id) ON DELETE CASCADE,
    used INTEGER NOT NULL REFERENCES segments (id),
    PRIMARY KEY (segment, used)
) WITHOUT ROWID;
CREATE INDEX segment_uses_used ON segment_uses (used);

-- The users by their values, of the variables that segments name: of no others,
-- for each row is one more page to write when a value changes. `key`: the value
-- as it is compared; of a list there is a row for each of its items.
CREATE TABLE sought_values (
    variable INTEGER NOT NULL,
    key NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (variable, key, user)
) WITHOUT ROWID;
