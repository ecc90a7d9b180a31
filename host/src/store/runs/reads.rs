//! The reads and look-ups that a run waits for.

use rusqlite::params;

use super::super::{Error, Tx, encode, reads::DueRead};
use crate::model::{RunId, Timestamp};

impl Tx<'_> {
    /// How many reads and look-ups a run waits for.
    pub fn waiting_of_run(&self, run: RunId) -> Result<u64, Error> {
        let waiting: i64 = self
            .statement(
                "SELECT (SELECT count(*) FROM reads WHERE run = ?1)
                      + (SELECT count(*) FROM lookups WHERE run = ?1)",
            )?
            .query_one([run.0], |row| row.get(0))?;
        Ok(waiting.unsigned_abs())
    }

    /// A read waits for long now: it is not counted for a run any more.
    pub fn let_go_of_read(&self, read: &DueRead) -> Result<(), Error> {
        self.statement(
            "UPDATE reads SET run = NULL WHERE account = ?1 AND object_type = ?2 AND to_type = ?3
                    AND record = ?4",
        )?
        .execute(params![
            read.key.account.0,
            self.object_type_id(&read.key.object_type)?,
            self.wanted_id(&read.key.wanted)?,
            encode::record_id(&read.key.record)
        ])?;
        Ok(())
    }

    /// Drops the reads and look-ups of a run that nothing else asked for.
    pub fn drop_run_reads(&self, run: RunId, now: Timestamp) -> Result<(), Error> {
        self.free_held_reads(run, now)?;
        for sql in [
            "DELETE FROM reads WHERE run = ?1 AND refresh AND priority > 1",
            "UPDATE reads SET run = NULL WHERE run = ?1",
            "DELETE FROM lookups WHERE run = ?1 AND priority > 1",
            "UPDATE lookups SET run = NULL WHERE run = ?1",
        ] {
            self.execute_by_id(sql, run.0)?;
        }
        Ok(())
    }
}
