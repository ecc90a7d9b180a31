-- The number of the configuration in which what an account's connections want changed
-- last.
ALTER TABLE accounts ADD COLUMN configuration INTEGER NOT NULL DEFAULT 0;
