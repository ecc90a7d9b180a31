-- What is looked at again and again: of which accounts reads are due, as most that wait
-- are put off; and whether an earlier run of the same account is open, as most of a
-- connection's runs are over.
CREATE INDEX reads_moment ON reads (not_before, account);
CREATE INDEX runs_earlier ON runs (connection, id) WHERE status IN ('running', 'braked');
