-- How somebody is about to map a connection: what they have not saved yet. It is
-- its person's, whichever browser they change it in; or the session's, where a link
-- signed in and nobody knows whose it is. It goes with either. `version` is that of
-- the mappings it began from.
ALTER TABLE mapping_drafts RENAME TO drafts_of_sessions;
DROP INDEX mapping_drafts_changed;
CREATE TABLE mapping_drafts (
    id INTEGER PRIMARY KEY,
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    person INTEGER REFERENCES people (id) ON DELETE CASCADE,
    session INTEGER REFERENCES sessions (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    CHECK ((person IS NULL) <> (session IS NULL))
);
CREATE UNIQUE INDEX mapping_drafts_person ON mapping_drafts (person, connection)
    WHERE person IS NOT NULL;
CREATE UNIQUE INDEX mapping_drafts_session ON mapping_drafts (session, connection)
    WHERE session IS NOT NULL;
CREATE INDEX mapping_drafts_connection ON mapping_drafts (connection);
CREATE INDEX mapping_drafts_changed ON mapping_drafts (changed_at);
-- The newest of a person's, where several of their browsers had one.
INSERT OR IGNORE INTO mapping_drafts
    (connection, person, session, version, document, changed_at)
SELECT d.connection, s.person, CASE WHEN s.person IS NULL THEN s.id END,
    d.version, d.document, d.changed_at
FROM drafts_of_sessions d JOIN sessions s ON s.hash = d.session
ORDER BY d.changed_at DESC;
DROP TABLE drafts_of_sessions;

-- What a dry run counted of the records that several of its steps may lead to, so
-- that each is counted once: under which name, and whether as read and as matched.
CREATE TABLE run_counted (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    object_type INTEGER NOT NULL,
    record NOT NULL,
    outcome TEXT NOT NULL,
    was_read INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    PRIMARY KEY (run, object_type, record)
) WITHOUT ROWID;
-- What is erased is forgotten here, too.
CREATE INDEX run_counted_record ON run_counted (object_type, record);
