//! The read queue: what has to be read from the source, and why no sooner.
//!
//! A request for what waits already is the same request; it moves on in number,
//! so that a read that began before it does not answer it.

mod due;

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode};
use crate::model::{AccountId, Cause, ConnectionId, ObjectType, Priority, RecordId, Timestamp};

/// Whoever is linked is reached: strangers, of whom there may be far more, are not looked
/// at.
const ASSOCIATIONS_OF_LINKED: &str = "
    INSERT INTO reads (account, object_type, to_type, record, requested, expected_at, not_before)
    SELECT ?2, r.object_type, ?4, r.record, ?5, 0, ?6 FROM records r
    WHERE r.connection = ?1 AND r.object_type = ?3 AND r.reached
      AND EXISTS (SELECT 1 FROM links l WHERE l.record = r.id)
    ON CONFLICT (account, object_type, to_type, record) DO UPDATE SET
        requested = excluded.requested,
        not_before = min(not_before, excluded.not_before),
        priority = min(priority, excluded.priority),
        attempts = 0, all_missing = 0";

/// What is to be read of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// Its properties.
    Record,
    /// Its associations to records of this type.
    Associations(ObjectType),
}

/// What reads that one call can make have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadKind {
    /// The records' type.
    pub object_type: ObjectType,
    /// What of them.
    pub wanted: Wanted,
    /// How urgently.
    pub priority: Priority,
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
    /// Why.
    pub cause: Cause,
    /// The number of the newest request for it.
    pub requested: i64,
    /// The newest moment that the answer has to know of.
    pub expected_at: Timestamp,
    /// How often it was put off.
    pub attempts: u32,
    /// Whether the last answer said that all of its batch is missing.
    pub all_missing: bool,
}

/// Of those that are not put off, nor of a kind that is barred, beyond a moment.
const AWAITED: &str = "
    SELECT expected_at FROM reads r
    WHERE account = ?1 AND priority = 0 AND expected_at > 0 AND not_before <= ?2
      AND NOT EXISTS (
        SELECT 1 FROM barred_reads b
        WHERE b.account = r.account AND b.object_type = r.object_type
          AND b.to_type = r.to_type AND b.until > ?2)
    ORDER BY expected_at LIMIT 1";

/// Of whatever kind, each found by the whole key.
const DROP_OF_RECORD: &str = "
    DELETE FROM reads WHERE account = ?1 AND object_type = ?2 AND record = ?3
        AND to_type IN (SELECT 0 UNION ALL SELECT id FROM object_types)";

impl Tx<'_> {
    /// Asks for a read that knows of everything up to `expected_at`. What waits
    /// already becomes as urgent as the more urgent of both, and stays a refresh
    /// only where both are; the run that asked last counts it.
    pub fn request_read(
        &self,
        key: &ReadKey,
        cause: Cause,
        expected_at: Timestamp,
        not_before: Timestamp,
    ) -> Result<(), Error> {
        let requested = self.next_sequence()?;
        self.statement(
            "INSERT INTO reads
                    (account, object_type, to_type, record, requested, expected_at, not_before,
                     priority, run, refresh)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (account, object_type, to_type, record) DO UPDATE SET
                    requested = excluded.requested,
                    expected_at = max(expected_at, excluded.expected_at),
                    not_before = min(not_before, excluded.not_before),
                    priority = min(priority, excluded.priority),
                    run = coalesce(excluded.run, run),
                    refresh = min(refresh, excluded.refresh),
                    attempts = 0, all_missing = 0",
        )?
        .execute(params![
            key.account.0,
            self.object_type_id(&key.object_type)?,
            self.wanted_id(&key.wanted)?,
            encode::record_id(&key.record),
            requested,
            expected_at.0,
            not_before.0,
            cause.priority as i64,
            cause.run.map(|run| run.0),
            cause.refresh
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
        self.statement(ASSOCIATIONS_OF_LINKED)?.execute(params![
            connection.0,
            account.0,
            self.object_type_id(from_type)?,
            self.object_type_id(to_type)?,
            requested,
            not_before.0
        ])?;
        Ok(())
    }

    /// Whether a read of a record waits: when it is made at the earliest, and how
    /// often it was put off.
    pub fn waiting_read(&self, key: &ReadKey) -> Result<Option<(Timestamp, u32)>, Error> {
        let mut statement = self.statement(
            "SELECT not_before, attempts FROM reads
             WHERE account = ?1 AND object_type = ?2 AND to_type = ?3 AND record = ?4",
        )?;
        let mut rows = statement.query(params![
            key.account.0,
            self.object_type_id(&key.object_type)?,
            self.wanted_id(&key.wanted)?,
            encode::record_id(&key.record)
        ])?;
        match rows.next()? {
            Some(row) => Ok(Some((Timestamp(row.get(0)?), row.get(1)?))),
            None => Ok(None),
        }
    }

    /// The oldest change of an account that a read waits to bring, by the source's
    /// stamp; none where none waits. What was put off, or may not be read, beyond
    /// `until` is told by itself, and does not count.
    pub fn oldest_awaited(
        &self,
        account: AccountId,
        until: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let oldest: Option<i64> = self
            .statement(AWAITED)?
            .query_row([account.0, until.0], |row| row.get(0))
            .optional()?;
        Ok(oldest.map(Timestamp))
    }

    /// How many reads wait for an account.
    pub fn waiting_reads(&self, account: AccountId) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT count(*) FROM reads WHERE account = ?1")?
            .query_one([account.0], |row| row.get(0))?)
    }

    /// Ends a read that was answered, unless it was asked for again meanwhile.
    /// Returns whether it did.
    pub fn finish_read(&self, read: &DueRead) -> Result<bool, Error> {
        let ended = self
            .statement(
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
        Ok(ended > 0)
    }

    /// Puts off a read whose answer did not know enough, unless it was asked
    /// for again meanwhile. `all_missing`: the answer said that all of its batch
    /// is missing.
    pub fn put_off_read(
        &self,
        read: &DueRead,
        not_before: Timestamp,
        all_missing: bool,
    ) -> Result<(), Error> {
        self.statement(
            "UPDATE reads SET not_before = ?6, attempts = attempts + 1, all_missing = ?7
                 WHERE account = ?1 AND object_type = ?2 AND to_type = ?3 AND record = ?4
                    AND requested = ?5",
        )?
        .execute(params![
            read.key.account.0,
            self.object_type_id(&read.key.object_type)?,
            self.wanted_id(&read.key.wanted)?,
            encode::record_id(&read.key.record),
            read.requested,
            not_before.0,
            all_missing
        ])?;
        Ok(())
    }

    /// A read that is put off need know of nothing new any more, unless it was asked for
    /// again meanwhile.
    pub fn expect_no_more(&self, read: &DueRead) -> Result<(), Error> {
        self.statement(
            "UPDATE reads SET expected_at = 0
                 WHERE account = ?1 AND object_type = ?2 AND to_type = ?3 AND record = ?4
                    AND requested = ?5",
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

    /// Drops all reads of a record that nothing may be known of any more.
    pub fn drop_reads_of(
        &self,
        account: AccountId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.statement(DROP_OF_RECORD)?.execute(params![
            account.0,
            self.object_type_id(object_type)?,
            encode::record_id(record)
        ])?;
        Ok(())
    }

    /// Makes no read of a kind before a moment: the account's grant does not
    /// allow it.
    pub fn bar_reads(
        &self,
        account: AccountId,
        kind: &ReadKind,
        until: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO barred_reads (account, object_type, to_type, until)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (account, object_type, to_type) DO UPDATE SET until = excluded.until",
        )?
        .execute(params![
            account.0,
            self.object_type_id(&kind.object_type)?,
            self.wanted_id(&kind.wanted)?,
            until.0
        ])?;
        Ok(())
    }

    /// Makes reads of every kind again: an admin did something about it.
    pub fn allow_reads(&self, account: AccountId) -> Result<(), Error> {
        self.execute_by_id("DELETE FROM barred_reads WHERE account = ?1", account.0)?;
        Ok(())
    }

    /// Drops all reads of an account that no connection uses any more.
    pub fn drop_reads(&self, account: AccountId) -> Result<(), Error> {
        self.allow_reads(account)?;
        self.execute_by_id("DELETE FROM reads WHERE account = ?1", account.0)?;
        Ok(())
    }

    pub(super) fn wanted_id(&self, wanted: &Wanted) -> Result<i64, Error> {
        match wanted {
            Wanted::Record => Ok(0),
            Wanted::Associations(to_type) => self.object_type_id(to_type),
        }
    }
}

pub(super) fn priority(number: i64) -> Result<Priority, Error> {
    let found = Priority::ALL.into_iter().find(|one| *one as i64 == number);
    found.ok_or(Error::Undecodable("priority"))
}

#[cfg(test)]
mod tests {
    use super::{super::query_plan, *};

    /// However many reads wait, only those that are asked for are touched.
    #[test]
    fn what_waits_of_a_record_and_what_is_awaited_is_found_by_an_index() {
        let of_record = "SEARCH reads USING PRIMARY KEY \
                         (account=? AND object_type=? AND to_type=? AND record=?)";
        let dropping = query_plan(DROP_OF_RECORD);
        assert!(dropping.contains(&of_record.to_owned()), "{dropping:#?}");
        let awaited = "SEARCH r USING COVERING INDEX reads_awaited \
                       (account=? AND expected_at>?)";
        let looking = query_plan(AWAITED);
        assert_eq!(looking.first().map(String::as_str), Some(awaited));
    }

    #[test]
    fn who_is_linked_is_found_among_what_is_reached() {
        let plan = query_plan(ASSOCIATIONS_OF_LINKED);
        let reached = "SEARCH r USING INDEX records_reached (connection=? AND object_type=?)";
        assert_eq!(plan.first().map(String::as_str), Some(reached), "{plan:#?}");
    }
}
