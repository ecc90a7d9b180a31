-- Users whose records are to be selected anew: a saved mapping selects otherwise,
-- or may take nothing any more from those of whom it was held.
CREATE TABLE reselections (
    mapping INTEGER NOT NULL REFERENCES object_mappings (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    PRIMARY KEY (mapping, user)
) WITHOUT ROWID;
CREATE INDEX reselections_user ON reselections (user);
