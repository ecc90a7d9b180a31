-- Who operates the host on its pages.

CREATE TABLE operators (
    person INTEGER PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    granted_at INTEGER NOT NULL
);

-- Whether a browser that signed in by a link operates the host: by the demo's alone.
-- A member's does where they are in `operators`.
ALTER TABLE sessions ADD COLUMN operates INTEGER NOT NULL DEFAULT 0;

-- The version of the contract that a component exports; none of one that was
-- installed before this was kept.
ALTER TABLE plugin_versions ADD COLUMN contract TEXT;
