-- Lanes of the log of which more is done than `state.log_position` says, and up
-- to where.
CREATE TABLE lanes (
    lane INTEGER PRIMARY KEY,
    position INTEGER NOT NULL
);
