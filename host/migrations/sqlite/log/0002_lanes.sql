-- Whose an entry is, so that accounts are served in turn. Zero: not known.
ALTER TABLE entries ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
