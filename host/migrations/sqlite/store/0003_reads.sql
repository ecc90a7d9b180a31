-- Reads are picked kind by kind, and kept from being made where the grant does
-- not allow them.

-- Whether the last answer said, without naming it, that it does not exist.
ALTER TABLE reads ADD COLUMN all_missing INTEGER NOT NULL DEFAULT 0;

DROP INDEX reads_due;
CREATE INDEX reads_due ON reads (account, object_type, to_type, not_before, requested);

-- Kinds of reads that an account's grant does not allow: none of them is made
-- before that moment.
CREATE TABLE barred_reads (
    account INTEGER NOT NULL,
    object_type INTEGER NOT NULL,
    to_type INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (account, object_type, to_type)
) WITHOUT ROWID;
