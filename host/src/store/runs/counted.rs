//! What a dry run counted of the records and users that several of its steps may lead
//! to, so that each is counted once.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::{
    super::{Error, Tx, encode},
    Counts, USERS,
};
use crate::model::{ConnectionId, ObjectType, RecordId, RunId, UserId};

/// What was counted of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The name that it was counted under.
    pub outcome: String,
    /// Whether it was counted as read.
    pub was_read: bool,
    /// Whether it was counted as matched.
    pub matched: bool,
}

impl Tx<'_> {
    /// What a run keeps of what it counted of a record.
    pub fn counted(
        &self,
        run: RunId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<Option<Counted>, Error> {
        Ok(self
            .statement(
                "SELECT outcome, was_read, matched FROM run_counted
                 WHERE run = ?1 AND object_type = ?2 AND record = ?3",
            )?
            .query_row(
                params![
                    run.0,
                    self.object_type_id(object_type)?,
                    encode::record_id(record)
                ],
                |row| {
                    Ok(Counted {
                        outcome: row.get(0)?,
                        was_read: row.get(1)?,
                        matched: row.get(2)?,
                    })
                },
            )
            .optional()?)
    }

    /// Keeps what a run counted of a record. A run that is gone keeps nothing.
    pub fn keep_counted(
        &self,
        run: RunId,
        object_type: &ObjectType,
        record: &RecordId,
        counted: &Counted,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT OR REPLACE INTO run_counted
                (run, object_type, record, outcome, was_read, matched)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1)",
        )?
        .execute(params![
            run.0,
            self.object_type_id(object_type)?,
            encode::record_id(record),
            counted.outcome,
            counted.was_read,
            counted.matched
        ])?;
        Ok(())
    }

    /// Counts users for a run, those of whom it has not counted yet.
    pub fn count_run_users(&self, run: RunId, users: &BTreeSet<UserId>) -> Result<(), Error> {
        let mut statement = self.statement(
            "INSERT OR IGNORE INTO run_users (run, user)
             SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1)",
        )?;
        let mut new = 0;
        for user in users {
            new += statement.execute(params![run.0, user.0])?;
        }
        let new = i64::try_from(new).unwrap_or(i64::MAX);
        self.add_run_counts(run, &Counts::from([(USERS.to_owned(), new)]))
    }

    /// Forgets some of the users whom runs counted that are over. Returns how many.
    pub fn trim_run_users(&self, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(
            "DELETE FROM run_users WHERE (run, user) IN (
                SELECT u.run, u.user FROM runs r CROSS JOIN run_users u ON u.run = r.id
                WHERE r.status NOT IN ('running', 'braked') LIMIT ?1)",
        )?;
        Ok(statement.execute([limit])?)
    }

    /// Forgets some of what runs counted that are over. Returns how many records'.
    pub fn trim_counted(&self, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(
            "DELETE FROM run_counted WHERE (run, object_type, record) IN (
                SELECT c.run, c.object_type, c.record
                FROM runs r CROSS JOIN run_counted c ON c.run = r.id
                WHERE r.status NOT IN ('running', 'braked') LIMIT ?1)",
        )?;
        Ok(statement.execute([limit])?)
    }

    /// Forgets what a connection's runs counted of a record.
    pub(in crate::store) fn forget_counted(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.statement(
            "DELETE FROM run_counted WHERE object_type = ?2 AND record = ?3
                    AND run IN (SELECT id FROM runs WHERE connection = ?1)",
        )?
        .execute(params![
            connection.0,
            self.object_type_id(object_type)?,
            encode::record_id(record)
        ])?;
        Ok(())
    }
}
