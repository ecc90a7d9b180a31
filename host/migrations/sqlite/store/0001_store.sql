-- The user store, and what the sync keeps beside it.
--
-- Moments are milliseconds since 1970. Tables on the hot path are keyed by
-- integers and WITHOUT ROWID: a batch is sorted by key, so that each page is
-- touched once.

-- One row: where the pipeline stands, and the counters that only grow.
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- The log that this store goes with, and the place in it.
    log_identity TEXT,
    -- Tells the secret key that tokens are sealed with from any other.
    keys_check BLOB,
    log_position INTEGER NOT NULL DEFAULT 0,
    -- Moves with every change of connections, mappings or option tables; work
    -- that was prepared under another number is done again.
    configuration INTEGER NOT NULL DEFAULT 0,
    -- Numbers requests and reads, so that a read is known to have begun before
    -- or after a request.
    sequence INTEGER NOT NULL DEFAULT 0
);
INSERT INTO state (one) VALUES (1);

-- Jimo's own side -----------------------------------------------------------

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- API tokens and browser sessions, by hash alone. No project: the whole host.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    project INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('admin', 'viewer', 'operator')),
    purpose TEXT NOT NULL CHECK (purpose IN ('api', 'session', 'sign_in')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER
);

CREATE TABLE variables (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    label TEXT,
    type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (project, name)
);

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    external_id TEXT,
    email TEXT,
    name TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_external_id ON users (project, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX users_project ON users (project, id);

-- Every form in which a user can be matched. `identifier` is 0 for the email,
-- -1 for the external id, else the variable; `kind` as in `KeyKind`.
CREATE TABLE user_keys (
    project INTEGER NOT NULL,
    identifier INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (project, identifier, kind, key, user)
) WITHOUT ROWID;
CREATE INDEX user_keys_user ON user_keys (user);

-- `field` and `record` say where a value comes from; none is Jimo itself.
CREATE TABLE user_values (
    user INTEGER NOT NULL,
    variable INTEGER NOT NULL,
    value NOT NULL,
    field INTEGER,
    record INTEGER,
    changed_at INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (user, variable)
) WITHOUT ROWID;

-- Connections ---------------------------------------------------------------

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL,
    key TEXT NOT NULL,
    domain TEXT,
    region TEXT,
    time_zone TEXT,
    -- The grant belongs to the account: sealed tokens, and what they allow.
    sealed_grant BLOB,
    grant_expires_at INTEGER,
    scopes TEXT NOT NULL DEFAULT '[]',
    UNIQUE (connector, key)
);

CREATE TABLE connections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    connector TEXT NOT NULL,
    account INTEGER REFERENCES accounts (id),
    status TEXT NOT NULL,
    problem TEXT,
    created_at INTEGER NOT NULL,
    mappings_version INTEGER NOT NULL DEFAULT 0,
    last_delivery_at INTEGER,
    UNIQUE (project, account)
);
CREATE INDEX connections_account ON connections (account);

-- A consent under way: from the authorize address to the callback, and from
-- the callback to the confirmation.
CREATE TABLE consents (
    hash BLOB PRIMARY KEY,
    step TEXT NOT NULL CHECK (step IN ('authorize', 'confirm')),
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    session BLOB,
    sealed BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Grants whose revocation HubSpot has not confirmed yet.
CREATE TABLE revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    sealed_grant BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);

-- Connections that are gone, and of whose records something is left.
CREATE TABLE purges (
    connection INTEGER PRIMARY KEY
);

-- Object types by a small number, so that hot keys are integers.
CREATE TABLE object_types (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE object_mappings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    object_type INTEGER NOT NULL REFERENCES object_types (id),
    matching TEXT,
    through INTEGER REFERENCES object_types (id),
    selection TEXT,
    matching_properties TEXT NOT NULL,
    selection_properties TEXT NOT NULL,
    bookkeeping_properties TEXT NOT NULL,
    UNIQUE (connection, object_type)
);

-- A property that feeds a variable, or (no variable) that a selection ranks by.
CREATE TABLE fields (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mapping INTEGER NOT NULL REFERENCES object_mappings (id) ON DELETE CASCADE,
    property TEXT NOT NULL,
    property_type TEXT NOT NULL,
    field_type TEXT NOT NULL,
    variable INTEGER UNIQUE REFERENCES variables (id),
    target TEXT NOT NULL,
    show TEXT NOT NULL,
    saved_at INTEGER NOT NULL,
    UNIQUE (mapping, property, variable)
);

CREATE TABLE option_tables (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    object_type INTEGER NOT NULL,
    property TEXT NOT NULL,
    choices TEXT NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (account, object_type, property)
) WITHOUT ROWID;

-- Records -------------------------------------------------------------------

-- A record that was seen: the match index's side of it, and its existence.
-- `record` holds an integer where the source's id is one.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    connection INTEGER NOT NULL,
    object_type INTEGER NOT NULL,
    record NOT NULL,
    -- 0 unknown, 1 exists, 2 deleted, 3 merged away, 4 erased; and since when.
    existence INTEGER NOT NULL DEFAULT 0,
    existence_at INTEGER NOT NULL DEFAULT 0,
    survivor,
    created_at INTEGER,
    modified_at INTEGER,
    -- The newest read of all its properties: its stamp, and its sequence. No
    -- event from before it can say anything new.
    read_stamp INTEGER NOT NULL DEFAULT 0,
    read_sequence INTEGER NOT NULL DEFAULT 0,
    -- Whether any user is reached; kept with links and associations.
    reached INTEGER NOT NULL DEFAULT 0,
    -- Whether a read filled its registers since it reaches users. Only then can
    -- it feed anybody, so that nobody's values vanish while it is read.
    filled INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connection, object_type, record)
);

-- The match index: keyed digests of match keys, nothing readable.
CREATE TABLE match_keys (
    connection INTEGER NOT NULL,
    digest BLOB NOT NULL,
    record INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    PRIMARY KEY (connection, digest, record)
) WITHOUT ROWID;
CREATE INDEX match_keys_record ON match_keys (record);

CREATE TABLE links (
    record INTEGER NOT NULL,
    user INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    PRIMARY KEY (record, user)
) WITHOUT ROWID;
CREATE INDEX links_user ON links (user, record);

-- The associations of a record to one type: one register, replaced whole.
CREATE TABLE association_registers (
    from_record INTEGER NOT NULL,
    to_type INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (from_record, to_type)
) WITHOUT ROWID;

CREATE TABLE associations (
    from_record INTEGER NOT NULL,
    to_type INTEGER NOT NULL,
    to_record INTEGER NOT NULL,
    is_primary INTEGER NOT NULL,
    labels TEXT NOT NULL,
    PRIMARY KEY (from_record, to_type, to_record)
) WITHOUT ROWID;
CREATE INDEX associations_to ON associations (to_record, from_record);

-- For each user and object mapping, the record that was selected to feed it.
CREATE TABLE feeds (
    mapping INTEGER NOT NULL,
    user INTEGER NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY (mapping, user)
) WITHOUT ROWID;
CREATE INDEX feeds_record ON feeds (record, user);
CREATE INDEX feeds_user ON feeds (user);

-- Two slots: the newest text, and the newest that could be read. The second is
-- kept apart only while the two differ.
CREATE TABLE registers (
    record INTEGER NOT NULL,
    field INTEGER NOT NULL,
    text TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    unreadable TEXT,
    -- NULL where nothing could be read yet; {"text", "stamp", "sequence"} where
    -- it is not the newest.
    readable_text TEXT,
    readable_stamp INTEGER,
    readable_sequence INTEGER,
    -- The readable slot's typed value; NULL where it is empty.
    value,
    PRIMARY KEY (record, field)
) WITHOUT ROWID;

-- Work and history ----------------------------------------------------------

-- What has to be read from the source. `to_type` 0: the record itself, else
-- its associations to that type.
CREATE TABLE reads (
    account INTEGER NOT NULL,
    object_type INTEGER NOT NULL,
    to_type INTEGER NOT NULL,
    record NOT NULL,
    requested INTEGER NOT NULL,
    -- The newest moment the answer has to know of.
    expected_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, object_type, to_type, record)
) WITHOUT ROWID;
CREATE INDEX reads_due ON reads (account, not_before);

CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    position INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    account TEXT,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    plugin TEXT,
    body BLOB NOT NULL
);

CREATE TABLE activity (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection INTEGER NOT NULL,
    at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    object_type INTEGER,
    record,
    outcome TEXT NOT NULL,
    reason TEXT,
    user INTEGER,
    variables TEXT,
    plugin TEXT
);
CREATE INDEX activity_connection ON activity (connection, id);
CREATE INDEX activity_user ON activity (user) WHERE user IS NOT NULL;

CREATE TABLE counts (
    connection INTEGER NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (connection, name)
) WITHOUT ROWID;

-- How long HubSpot's changes took to reach users: by the hour, in doubling
-- buckets of milliseconds.
CREATE TABLE freshness (
    connection INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (connection, hour, bucket)
) WITHOUT ROWID;
