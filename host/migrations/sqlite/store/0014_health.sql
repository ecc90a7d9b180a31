-- How connections fare: what they did hour by hour, who did what to them, and
-- whom that is told to.

-- What came of a connection, and what it did. Hours are counted from 1970.
CREATE TABLE hours (
    connection INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    -- Changes that webhooks and the journal told, and records that were read.
    webhooks INTEGER NOT NULL,
    journal INTEGER NOT NULL,
    reads INTEGER NOT NULL,
    -- Records, by what they did.
    updated INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    no_match INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    -- Records of which a value could not be read, whatever else they did.
    unreadable INTEGER NOT NULL,
    -- Values that users show since.
    values_written INTEGER NOT NULL,
    PRIMARY KEY (connection, hour)
) WITHOUT ROWID;

-- Who did it, and what of the mappings changed, as JSON.
ALTER TABLE activity ADD COLUMN actor TEXT;
ALTER TABLE activity ADD COLUMN changes TEXT;

-- What is looked at again and again: how long changes wait that were told, and
-- what asks before it goes on.
CREATE INDEX reads_awaited ON reads (account, expected_at, not_before)
    WHERE priority = 0 AND expected_at > 0;
CREATE INDEX runs_braked ON runs (connection) WHERE status = 'braked';

-- Where a connection's alerts go. `sealed`: the address, and the secret that
-- messages are signed with; `shown`: what may be read of it.
CREATE TABLE alert_channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('webhook', 'email', 'slack')),
    shown TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    -- When somebody last had a test sent.
    tested_at INTEGER,
    -- What came of the last message.
    last_at INTEGER,
    last_sent INTEGER,
    last_answer TEXT
);
CREATE INDEX alert_channels_connection ON alert_channels (connection);

-- What is wrong with a connection, as it was last told.
CREATE TABLE alerts (
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    code TEXT NOT NULL,
    problem TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (connection, code)
) WITHOUT ROWID;

-- Messages that are still to be sent, those of one channel one after the other.
CREATE TABLE alert_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES alert_channels (id) ON DELETE CASCADE,
    message TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX alert_messages_channel ON alert_messages (channel, id);
