-- The CRC-32 of what is stored of a body. None: it is of before there were any.
ALTER TABLE entries ADD COLUMN checksum INTEGER;
