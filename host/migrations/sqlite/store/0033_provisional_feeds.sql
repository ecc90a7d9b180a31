-- Whether a record feeds a user only until all that could feed them are read: it began
-- to before that.
ALTER TABLE feeds ADD COLUMN provisional INTEGER NOT NULL DEFAULT FALSE;
