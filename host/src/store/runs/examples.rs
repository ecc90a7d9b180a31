//! Some of what a run counted, so that each count leads to what it counts.

use std::collections::BTreeMap;

use rusqlite::params;

use super::super::{Error, Tx, encode};
use crate::model::{ConnectionId, ObjectType, RecordId, RunId, Timestamp, UserId};

/// Examples kept of each name that a run counts under.
pub const EXAMPLES_MAX: usize = 100;

/// Something that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// A record.
    Record(ObjectType, RecordId),
    /// A user of whom there is no record.
    User(UserId),
}

/// What was counted, by the name that it was counted under.
pub type Examples = BTreeMap<String, Vec<Example>>;

impl Tx<'_> {
    /// Adds to what is kept of what a run counted; what is beyond its bound is
    /// not kept.
    pub fn add_run_examples(&self, run: RunId, examples: &Examples) -> Result<(), Error> {
        for (name, some) in examples {
            let kept: i64 = self
                .statement("SELECT count(*) FROM run_examples WHERE run = ?1 AND name = ?2")?
                .query_one(params![run.0, name], |row| row.get(0))?;
            let room = EXAMPLES_MAX.saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
            for example in some.iter().take(room) {
                self.add_run_example(run, name, example)?;
            }
        }
        Ok(())
    }

    fn add_run_example(&self, run: RunId, name: &str, example: &Example) -> Result<(), Error> {
        let mut statement = self.statement(
            "INSERT OR IGNORE INTO run_examples (run, name, object_type, record, user)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1)",
        )?;
        match example {
            Example::Record(object_type, record) => statement.execute(params![
                run.0,
                name,
                self.object_type_id(object_type)?,
                encode::record_id(record),
                0
            ])?,
            Example::User(user) => statement.execute(params![run.0, name, 0, "", user.0])?,
        };
        Ok(())
    }

    /// What is kept of what a run counted under a name.
    pub fn run_examples(&self, run: RunId, name: &str) -> Result<Vec<Example>, Error> {
        let mut statement = self.statement(
            "SELECT t.name, e.record, e.user FROM run_examples e
             LEFT JOIN object_types t ON t.id = e.object_type WHERE e.run = ?1 AND e.name = ?2",
        )?;
        let mut rows = statement.query(params![run.0, name])?;
        let mut examples = Vec::new();
        while let Some(row) = rows.next()? {
            examples.push(match row.get::<_, Option<String>>(0)? {
                Some(object_type) => Example::Record(
                    ObjectType::from(object_type),
                    encode::read_record_id(row.get_ref(1)?)?,
                ),
                None => Example::User(UserId(row.get(2)?)),
            });
        }
        Ok(examples)
    }

    /// Forgets examples of runs that were asked for before a moment: of strangers
    /// nothing is kept for long.
    pub fn trim_run_examples(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(
            "DELETE FROM run_examples WHERE (run, name, object_type, record, user) IN (
                SELECT e.run, e.name, e.object_type, e.record, e.user
                FROM runs r JOIN run_examples e ON e.run = r.id
                WHERE r.requested_at < ?1 LIMIT ?2)",
        )?;
        Ok(statement.execute(params![before.0, limit])?)
    }

    /// A record is none of what a run counted under a name.
    pub fn remove_run_example(
        &self,
        run: RunId,
        name: &str,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.statement(
            "DELETE FROM run_examples
             WHERE run = ?1 AND name = ?2 AND object_type = ?3 AND record = ?4",
        )?
        .execute(params![
            run.0,
            name,
            self.object_type_id(object_type)?,
            encode::record_id(record)
        ])?;
        Ok(())
    }

    /// Forgets a record of a connection's examples.
    pub(in crate::store) fn forget_run_examples(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.statement(
            "DELETE FROM run_examples WHERE object_type = ?2 AND record = ?3
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
