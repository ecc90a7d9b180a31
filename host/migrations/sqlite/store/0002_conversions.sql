-- Fields whose conversion changed, until all that is held of them is converted
-- again. `after`: the record up to which that is done; NULL at the start.
CREATE TABLE conversions (
    field INTEGER PRIMARY KEY REFERENCES fields (id) ON DELETE CASCADE,
    after
);
