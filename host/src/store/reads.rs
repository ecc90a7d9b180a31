//! The read queue: what has to be read from the source, and why no sooner.
//!
//! A request for what waits already is the same request; it moves on in number,
//! so that a read that began before it does not answer it.

use rusqlite::params;

use super::{Error, Tx, encode};
use crate::model::{AccountId, ConnectionId, ObjectType, RecordId, Timestamp};

/// What is to be read of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// Its properties.
    Record,
    /// Its associations to records of this type.
    Associations(ObjectType),
}

/// Something to be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadKey {
    /// The account.
    pub account: AccountId,
    /// The record's type.
    pub object_type: ObjectType,
    /// What of it.
    pub wanted: Wanted,
    /// The record.
    pub record: RecordId,
}

/// A read that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRead {
    /// What.
    pub key: ReadKey,
    /// The number of the newest request for it.
    pub requested: i64,
    /// The newest moment that the answer has to know of.
    pub expected_at: Timestamp,
    /// How often it was answered by less than that.
    pub attempts: u32,
}

impl Tx<'_> {
    /// Asks for a read that knows of everything up to `expected_at`.
    pub fn request_read(
        &self,
        key: &ReadKey,
        expected_at: Timestamp,
        not_before: Timestamp,
    ) -> Result<(), Error> {
        let requested = self.next_sequence()?;
        self.connection
            .prepare_cached(
                "INSERT INTO reads
                    (account, object_type, to_type, record, requested, expected_at, not_before)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (account, object_type, to_type, record) DO UPDATE SET
                    requested = excluded.requested,
                    expected_at = max(expected_at, excluded.expected_at),
                    not_before = min(not_before, excluded.not_before),
                    attempts = 0",
            )?
            .execute(params![
                key.account.0,
                self.object_type_id(&key.object_type)?,
                self.wanted_id(&key.wanted)?,
                encode::record_id(&key.record),
                requested,
                expected_at.0,
                not_before.0
            ])?;
        Ok(())
    }

    /// Asks for the associations to a type of all records of another type that
    /// have a link.
    pub fn request_associations_of_linked(
        &self,
        connection: ConnectionId,
        account: AccountId,
        (from_type, to_type): (&ObjectType, &ObjectType),
        not_before: Timestamp,
    ) -> Result<(), Error> {
        let requested = self.next_sequence()?;
        self.connection
            .prepare_cached(
                "INSERT INTO reads
                    (account, object_type, to_type, record, requested, expected_at, not_before)
                 SELECT ?2, r.object_type, ?4, r.record, ?5, 0, ?6 FROM records r
                 WHERE r.connection = ?1 AND r.object_type = ?3
                    AND EXISTS (SELECT 1 FROM links l WHERE l.record = r.id)
                 ON CONFLICT (account, object_type, to_type, record) DO UPDATE SET
                    requested = excluded.requested,
                    not_before = min(not_before, excluded.not_before),
                    attempts = 0",
            )?
            .execute(params![
                connection.0,
                account.0,
                self.object_type_id(from_type)?,
                self.object_type_id(to_type)?,
                requested,
                not_before.0
            ])?;
        Ok(())
    }

    /// The reads of an account that are due, those that wait longest first, all
    /// of one object type and kind, at most `limit`.
    pub fn due_reads(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueRead>, Error> {
        let mut statement = self.connection.prepare_cached(
            "WITH first AS (
                SELECT object_type, to_type FROM reads
                WHERE account = ?1 AND not_before <= ?2 ORDER BY not_before, requested LIMIT 1)
             SELECT t.name, u.name, r.record, r.requested, r.expected_at, r.attempts
             FROM first
             JOIN reads r ON r.account = ?1 AND r.object_type = first.object_type
                AND r.to_type = first.to_type AND r.not_before <= ?2
             JOIN object_types t ON t.id = r.object_type
             LEFT JOIN object_types u ON u.id = r.to_type
             ORDER BY r.not_before, r.requested LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![account.0, now.0, limit])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            let wanted = match row.get::<_, Option<String>>(1)? {
                None => Wanted::Record,
                Some(to_type) => Wanted::Associations(to_type.into()),
            };
            due.push(DueRead {
                key: ReadKey {
                    account,
                    object_type: row.get::<_, String>(0)?.into(),
                    wanted,
                    record: encode::read_record_id(row.get_ref(2)?)?,
                },
                requested: row.get(3)?,
                expected_at: Timestamp(row.get(4)?),
                attempts: row.get(5)?,
            });
        }
        Ok(due)
    }

    /// When the account's next read is due; none where none waits.
    pub fn next_read_at(&self, account: AccountId) -> Result<Option<Timestamp>, Error> {
        Ok(self
            .connection
            .prepare_cached("SELECT min(not_before) FROM reads WHERE account = ?1")?
            .query_one([account.0], |row| super::optional_timestamp(row, 0))?)
    }

    /// How many reads wait for an account.
    pub fn waiting_reads(&self, account: AccountId) -> Result<i64, Error> {
        Ok(self
            .connection
            .prepare_cached("SELECT count(*) FROM reads WHERE account = ?1")?
            .query_one([account.0], |row| row.get(0))?)
    }

    /// Ends a read that was answered, unless it was asked for again meanwhile.
    pub fn finish_read(&self, read: &DueRead) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "DELETE FROM reads WHERE account = ?1 AND object_type = ?2 AND to_type = ?3
                    AND record = ?4 AND requested = ?5",
            )?
            .execute(params![
                read.key.account.0,
                self.object_type_id(&read.key.object_type)?,
                self.wanted_id(&read.key.wanted)?,
                encode::record_id(&read.key.record),
                read.requested
            ])?;
        Ok(())
    }

    /// Puts off a read whose answer did not know enough yet, unless it was
    /// asked for again meanwhile.
    pub fn put_off_read(&self, read: &DueRead, not_before: Timestamp) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "UPDATE reads SET not_before = ?6, attempts = attempts + 1
                 WHERE account = ?1 AND object_type = ?2 AND to_type = ?3 AND record = ?4
                    AND requested = ?5",
            )?
            .execute(params![
                read.key.account.0,
                self.object_type_id(&read.key.object_type)?,
                self.wanted_id(&read.key.wanted)?,
                encode::record_id(&read.key.record),
                read.requested,
                not_before.0
            ])?;
        Ok(())
    }

    /// Drops all reads of a record that nothing may be known of any more.
    pub fn drop_reads_of(
        &self,
        account: AccountId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "DELETE FROM reads WHERE account = ?1 AND object_type = ?2 AND record = ?3",
            )?
            .execute(params![
                account.0,
                self.object_type_id(object_type)?,
                encode::record_id(record)
            ])?;
        Ok(())
    }

    /// Drops all reads of an account that no connection uses any more.
    pub fn drop_reads(&self, account: AccountId) -> Result<(), Error> {
        super::delete(self, "DELETE FROM reads WHERE account = ?1", account.0)?;
        Ok(())
    }

    fn wanted_id(&self, wanted: &Wanted) -> Result<i64, Error> {
        match wanted {
            Wanted::Record => Ok(0),
            Wanted::Associations(to_type) => self.object_type_id(to_type),
        }
    }
}
