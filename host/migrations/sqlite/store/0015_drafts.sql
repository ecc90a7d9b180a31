-- How somebody is about to map a connection: what they have not saved yet, by the
-- browser session that it is of. `version` is that of the mappings it began from.
CREATE TABLE mapping_drafts (
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    session BLOB NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (connection, session)
) WITHOUT ROWID;
CREATE INDEX mapping_drafts_changed ON mapping_drafts (changed_at);
