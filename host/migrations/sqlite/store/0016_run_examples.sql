-- Some of what a run counted under a name, such as `skipped.no_match`: records, or
-- users of whom there is no record. What does not apply is 0 or empty.
CREATE TABLE run_examples (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    object_type INTEGER NOT NULL,
    record NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (run, name, object_type, record, user)
) WITHOUT ROWID;
-- What is erased is forgotten here, too.
CREATE INDEX run_examples_record ON run_examples (object_type, record);
CREATE INDEX run_examples_user ON run_examples (user) WHERE user <> 0;
