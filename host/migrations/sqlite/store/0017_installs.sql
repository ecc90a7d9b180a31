-- A consent that HubSpot's marketplace began is of no connection yet. All that are
-- under way are begun again: they last ten minutes.
DROP TABLE consents;
CREATE TABLE consents (
    hash BLOB PRIMARY KEY,
    step TEXT NOT NULL CHECK (step IN ('authorize', 'confirm')),
    connection INTEGER REFERENCES connections (id) ON DELETE CASCADE,
    session BLOB,
    sealed BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
