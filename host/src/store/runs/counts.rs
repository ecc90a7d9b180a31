//! How much a run did, by name.

use std::collections::BTreeMap;

use rusqlite::params;

use super::super::{Error, Tx, reads::Wanted};
use crate::model::RunId;

/// What a dry run counts under of users, each once, who would show something else.
pub const USERS: &str = "users";

/// What could not be read is counted under.
const FAILED: &str = "failed";

/// What a run counts a read under that could not be made: of a record by itself, or of
/// its associations to a type.
pub fn failed(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Record => FAILED.to_owned(),
        Wanted::Associations(to_type) => format!("{FAILED}.{to_type}"),
    }
}

/// How much a run did, by name.
pub type Counts = BTreeMap<String, i64>;

impl Tx<'_> {
    /// Adds to what a run did.
    pub fn add_run_counts(&self, run: RunId, counts: &Counts) -> Result<(), Error> {
        for (name, count) in counts.iter().filter(|(_, count)| **count != 0) {
            self.statement(
                "INSERT INTO run_counts (run, name, count) SELECT ?1, ?2, ?3
                 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1)
                 ON CONFLICT (run, name) DO UPDATE SET count = count + excluded.count",
            )?
            .execute(params![run.0, name, count])?;
        }
        Ok(())
    }

    /// What a run did.
    pub fn run_counts(&self, run: RunId) -> Result<Counts, Error> {
        let mut statement = self.statement("SELECT name, count FROM run_counts WHERE run = ?1")?;
        let rows = statement.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
