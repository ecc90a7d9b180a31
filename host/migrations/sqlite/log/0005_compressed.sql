-- A body may be compressed, in LZ4's block format: how many bytes it has when it is not.
-- None: it is stored as it came.
ALTER TABLE entries ADD COLUMN uncompressed_bytes INTEGER;
