-- How far entries were taken from other logs: moved in the transaction that
-- appends them.
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    place TEXT NOT NULL
) WITHOUT ROWID;
