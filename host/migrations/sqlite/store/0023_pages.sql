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

-- How far users are found by the values of a variable that segments name: while it
-- is `building`, those with ids up to `up_to`; while it is `clearing`, segments name
-- it no more, and its keys are let go of.
CREATE TABLE sought_variables (
    variable INTEGER PRIMARY KEY,
    stage TEXT NOT NULL CHECK (stage IN ('building', 'complete', 'clearing')),
    up_to INTEGER NOT NULL DEFAULT 0
);
INSERT INTO sought_variables (variable, stage)
    SELECT DISTINCT variable, 'complete' FROM segment_variables;
CREATE INDEX sought_variables_waiting ON sought_variables (variable) WHERE stage <> 'complete';

-- Fields that are gone, of whose values and registers something is left. Their
-- values are ordinary Jimo values from then on (`keep`), or are not there; the rows
-- follow behind. `users_up_to`: whose values are done; NULL when all are. Then come
-- the registers of `connection` and `object_type`, where these are not NULL, up to
-- `records_up_to`.
CREATE TABLE releases (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    keep INTEGER NOT NULL,
    connection INTEGER,
    object_type INTEGER,
    users_up_to INTEGER DEFAULT 0,
    records_up_to
);
CREATE TABLE released_fields (
    field INTEGER PRIMARY KEY,
    release INTEGER NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
    variable INTEGER,
    keep INTEGER NOT NULL
);
CREATE INDEX released_fields_release ON released_fields (release);
CREATE INDEX released_fields_variable ON released_fields (variable);

-- What users show. Whoever reads values reads them here.
CREATE VIEW shown_values AS
SELECT v.user, v.variable, v.value,
    CASE WHEN EXISTS (SELECT 1 FROM released_fields r WHERE r.field = v.field)
        THEN NULL ELSE v.field END AS field,
    CASE WHEN EXISTS (SELECT 1 FROM released_fields r WHERE r.field = v.field)
        THEN NULL ELSE v.record END AS record,
    v.changed_at, v.written_at
FROM user_values v
WHERE NOT EXISTS (SELECT 1 FROM released_fields r WHERE r.field = v.field AND NOT r.keep);
