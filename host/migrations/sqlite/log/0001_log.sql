-- The event log: what was taken in, in order.

CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    identity TEXT NOT NULL
);

-- AUTOINCREMENT: a position is never used twice, not even after trimming.
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    body BLOB NOT NULL
);
