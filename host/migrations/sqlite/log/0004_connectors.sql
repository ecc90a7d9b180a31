-- The connector whose source an entry is of. Those from before are of the first.
ALTER TABLE entries ADD COLUMN connector TEXT NOT NULL DEFAULT 'hubspot';
