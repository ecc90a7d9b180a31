-- Until when at most a record feeds a user only until all that could are read; what is
-- provisional by the flag that this was is not any more.
ALTER TABLE feeds RENAME COLUMN provisional TO provisional_until;
