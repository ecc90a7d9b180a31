//! What a run waits for, and the account's grant does not allow to be read.

use rusqlite::params;

use super::{
    super::{Error, Tx, encode, reads::Wanted},
    Counts, EXAMPLES_MAX, Example, Examples, failed,
};
use crate::model::{ObjectType, RunId, Timestamp, UserId};

impl Tx<'_> {
    /// How many of the reads and look-ups that a run waits for cannot be made for
    /// long, for the account's grant does not allow them.
    pub fn barred_of_run(&self, run: RunId, now: Timestamp) -> Result<u64, Error> {
        let counts = self.barred_counts(run, now)?;
        Ok(counts.values().map(|count| count.unsigned_abs()).sum())
    }

    /// What cannot be made for long does not hold up a run: it counts as failed.
    pub fn let_go_of_barred(&self, run: RunId, now: Timestamp) -> Result<(), Error> {
        let counts = self.barred_counts(run, now)?;
        self.add_barred_examples(run, now)?;
        let mut done = 0;
        for sql in [
            "UPDATE reads SET run = NULL WHERE run = ?1 AND EXISTS (
                SELECT 1 FROM barred_reads b WHERE b.account = reads.account
                AND b.object_type = reads.object_type AND b.to_type = reads.to_type
                AND b.until > ?2)",
            "UPDATE lookups SET run = NULL WHERE run = ?1 AND EXISTS (
                SELECT 1 FROM connections c JOIN barred_reads b ON b.account = c.account
                WHERE c.id = lookups.connection AND b.object_type = lookups.object_type
                AND b.to_type = 0 AND b.until > ?2)",
        ] {
            done += self.statement(sql)?.execute(params![run.0, now.0])?;
        }
        self.advance_run(run, done)?;
        self.add_run_counts(run, &counts)
    }

    /// What a run waits for and cannot be made, by the names that it is counted under.
    fn barred_counts(&self, run: RunId, now: Timestamp) -> Result<Counts, Error> {
        let mut counts = Counts::new();
        for sql in [
            "SELECT t.name, count(*) FROM reads r JOIN barred_reads b
                ON b.account = r.account AND b.object_type = r.object_type
                AND b.to_type = r.to_type AND b.until > ?2
             LEFT JOIN object_types t ON t.id = r.to_type
             WHERE r.run = ?1 GROUP BY r.to_type",
            "SELECT NULL, count(*) FROM lookups l JOIN connections c ON c.id = l.connection
             JOIN barred_reads b ON b.account = c.account AND b.object_type = l.object_type
                AND b.to_type = 0 AND b.until > ?2
             WHERE l.run = ?1",
        ] {
            let mut statement = self.statement(sql)?;
            let mut rows = statement.query(params![run.0, now.0])?;
            while let Some(row) = rows.next()? {
                let wanted = wanted(row.get(0)?);
                *counts.entry(failed(&wanted)).or_default() += row.get::<_, i64>(1)?;
            }
        }
        Ok(counts)
    }

    /// Keeps some of what a run cannot read, for the account's grant does not allow it.
    fn add_barred_examples(&self, run: RunId, now: Timestamp) -> Result<(), Error> {
        let limit = i64::try_from(EXAMPLES_MAX).unwrap_or(i64::MAX);
        let mut barred = Examples::new();
        // So many of each kind.
        let mut statement = self.statement(
            "SELECT type, record, wanted FROM (
                SELECT t.name AS type, r.record, w.name AS wanted,
                       row_number() OVER (PARTITION BY r.to_type) AS place
                FROM reads r JOIN barred_reads b
                    ON b.account = r.account AND b.object_type = r.object_type
                    AND b.to_type = r.to_type AND b.until > ?2
                JOIN object_types t ON t.id = r.object_type
                LEFT JOIN object_types w ON w.id = r.to_type
                WHERE r.run = ?1)
             WHERE place <= ?3",
        )?;
        let mut rows = statement.query(params![run.0, now.0, limit])?;
        while let Some(row) = rows.next()? {
            let object_type = ObjectType::from(row.get::<_, String>(0)?);
            let record = encode::read_record_id(row.get_ref(1)?)?;
            let of = barred.entry(failed(&wanted(row.get(2)?))).or_default();
            of.push(Example::Record(object_type, record));
        }
        let mut statement = self.statement(
            "SELECT DISTINCT l.user FROM lookups l JOIN connections c ON c.id = l.connection
             JOIN barred_reads b ON b.account = c.account AND b.object_type = l.object_type
                AND b.to_type = 0 AND b.until > ?2
             WHERE l.run = ?1 LIMIT ?3",
        )?;
        let mut rows = statement.query(params![run.0, now.0, limit])?;
        while let Some(row) = rows.next()? {
            let of = barred.entry(failed(&Wanted::Record)).or_default();
            of.push(Example::User(UserId(row.get(0)?)));
        }
        self.add_run_examples(run, &barred)
    }
}

/// What was to be read, by the name of the type that associations lead to.
fn wanted(to_type: Option<String>) -> Wanted {
    to_type.map_or(Wanted::Record, |name| {
        Wanted::Associations(ObjectType::from(name))
    })
}
