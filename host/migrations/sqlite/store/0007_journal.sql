-- What the host last found of HubSpot's webhooks journal, for the command line
-- beside it to tell. `subject`: 'reading', 'subscriptions', 'gap', or 'account/'
-- and HubSpot's id of one.
CREATE TABLE journal_findings (
    subject TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    reason TEXT,
    found_at INTEGER NOT NULL
) WITHOUT ROWID;

-- The properties whose changes the app's file asks HubSpot to push, as it was
-- last written. What was in it once stays in it, if only inactive: HubSpot
-- refuses a file that lacks it.
CREATE TABLE pushed_properties (
    object_type TEXT NOT NULL,
    property TEXT NOT NULL,
    active INTEGER NOT NULL,
    PRIMARY KEY (object_type, property)
) WITHOUT ROWID;
