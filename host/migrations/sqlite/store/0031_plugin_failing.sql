-- What the version that runs fails at, where it fails too often and there is none to go
-- back to: beside `problem`, for it is the one that was chosen.
ALTER TABLE plugin_running ADD COLUMN failing TEXT;
