-- Whether the last answer to a look-up said that all of its batch is missing: to
-- be believed when it repeats, as in `reads`.
ALTER TABLE lookups ADD COLUMN all_missing INTEGER NOT NULL DEFAULT 0;
