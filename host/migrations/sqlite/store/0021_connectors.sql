-- Accounts of two connectors may have the same key: what names an account by it
-- says the connector, too. What is from before is the first connector's.

ALTER TABLE set_aside ADD COLUMN connector TEXT NOT NULL DEFAULT 'hubspot';
DROP INDEX set_aside_account;
CREATE INDEX set_aside_account ON set_aside (connector, account, id);

CREATE TABLE erasures_by_connector (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL,
    account TEXT NOT NULL,
    record NOT NULL,
    at INTEGER NOT NULL,
    last INTEGER NOT NULL,
    searched INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connector, account, record)
);
INSERT INTO erasures_by_connector (id, connector, account, record, at, last, searched, done)
    SELECT id, 'hubspot', account, record, at, last, searched, done FROM erasures ORDER BY id;
DROP TABLE erasures;
ALTER TABLE erasures_by_connector RENAME TO erasures;
CREATE INDEX erasures_open ON erasures (id) WHERE NOT done;
