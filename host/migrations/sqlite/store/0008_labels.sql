-- Accounts of which a choice was met that is not known, so that what people
-- read of choices is to be read anew.
CREATE TABLE label_reads (
    account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    -- The number of the newest request; NULL where none waits.
    requested INTEGER,
    not_before INTEGER NOT NULL DEFAULT 0,
    -- How many reads in a row found nothing new, or failed.
    in_vain INTEGER NOT NULL DEFAULT 0
);
