//! Records that were seen: whether they exist, and what is let go of with them.

use rusqlite::{params, types::Value as Column};

use super::{Error, Tx, encode, optional_timestamp, timestamp};
use crate::model::{ConnectionId, Existence, ObjectType, RecordId, Timestamp, Version};

/// Records that are copied by one statement as they begin anew.
const COPIED_AT_ONCE: i64 = 10_000;

/// Removes what is kept of a record beside itself, so many rows of each.
const KEPT: [&str; 7] = [
    "DELETE FROM match_keys WHERE record = ?1 AND digest IN (
        SELECT digest FROM match_keys WHERE record = ?1 LIMIT ?2)",
    "DELETE FROM links WHERE record = ?1 AND user IN (
        SELECT user FROM links WHERE record = ?1 LIMIT ?2)",
    "DELETE FROM association_registers WHERE from_record = ?1 AND to_type IN (
        SELECT to_type FROM association_registers WHERE from_record = ?1 LIMIT ?2)",
    "DELETE FROM associations WHERE (from_record, to_type, to_record) IN (
        SELECT from_record, to_type, to_record FROM associations WHERE from_record = ?1 LIMIT ?2)",
    "DELETE FROM associations WHERE (from_record, to_type, to_record) IN (
        SELECT from_record, to_type, to_record FROM associations WHERE to_record = ?1 LIMIT ?2)",
    "DELETE FROM registers WHERE record = ?1 AND field IN (
        SELECT field FROM registers WHERE record = ?1 LIMIT ?2)",
    "DELETE FROM shadow_examples WHERE id IN (
        SELECT id FROM shadow_examples WHERE key = ?1 LIMIT ?2)",
];

/// Removes by whom a record feeds users, so many rows.
const FED: &str = "
    DELETE FROM feeds WHERE (mapping, user) IN (
        SELECT mapping, user FROM feeds WHERE record = ?1 LIMIT ?2)";

/// A record's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(pub i64);

/// What is held of a record, beside its properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordState {
    /// Its number.
    pub key: RecordKey,
    /// Whether it exists.
    pub existence: Existence,
    /// The stamp of that.
    pub existence_at: Timestamp,
    /// When it was created, where that is known.
    pub created_at: Option<Timestamp>,
    /// When it was last modified, where that is known.
    pub modified_at: Option<Timestamp>,
    /// The newest read of all its properties; no event from before it can say
    /// anything new.
    pub read: Version,
    /// Whether any user is reached by it.
    pub reached: bool,
    /// Whether a read filled its registers since then.
    pub filled: bool,
}

impl Tx<'_> {
    /// What is held of a record; none where it was never seen.
    pub fn find_record(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<Option<RecordState>, Error> {
        let mut statement = self.statement(
            "SELECT id, existence, existence_at, survivor, created_at, modified_at,
                    read_stamp, read_sequence, reached, filled
             FROM records WHERE connection = ?1 AND object_type = ?2 AND record = ?3",
        )?;
        let mut rows = statement.query(params![
            connection.0,
            self.object_type_id(object_type)?,
            encode::record_id(record)
        ])?;
        rows.next()?.map(read_state).transpose()
    }

    /// What is held of a record, which is known from now on.
    pub fn ensure_record(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<RecordState, Error> {
        self.statement(
            "INSERT INTO records (connection, object_type, record) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            connection.0,
            self.object_type_id(object_type)?,
            encode::record_id(record)
        ])?;
        self.find_record(connection, object_type, record)?
            .ok_or(Error::NotFound("record"))
    }

    /// The source's id of a record.
    pub fn record_id(&self, record: RecordKey) -> Result<Option<RecordId>, Error> {
        let mut statement = self.statement("SELECT record FROM records WHERE id = ?1")?;
        let mut rows = statement.query([record.0])?;
        match rows.next()? {
            Some(row) => encode::read_record_id(row.get_ref(0)?).map(Some),
            None => Ok(None),
        }
    }

    /// Writes what is held of a record, but for whether it reaches users.
    pub fn save_record(&self, state: &RecordState) -> Result<(), Error> {
        let (existence, survivor) = encode::existence(&state.existence);
        self.statement(
            "UPDATE records SET existence = ?2, existence_at = ?3, survivor = ?4,
                    created_at = ?5, modified_at = ?6, read_stamp = ?7, read_sequence = ?8,
                    filled = ?9
                 WHERE id = ?1",
        )?
        .execute(params![
            state.key.0,
            existence,
            state.existence_at.0,
            survivor,
            state.created_at.map(|moment| moment.0),
            state.modified_at.map(|moment| moment.0),
            state.read.stamp.0,
            state.read.sequence,
            state.filled
        ])?;
        Ok(())
    }

    /// Forgets all that is kept of a record but that it was there: its keys,
    /// links, associations and registers.
    pub fn forget_record(&self, record: RecordKey) -> Result<(), Error> {
        for sql in KEPT {
            self.remove_some(sql, record, usize::MAX)?;
        }
        self.execute_by_id(
            "UPDATE records SET reached = 0, filled = 0, created_at = NULL, modified_at = NULL
             WHERE id = ?1",
            record.0,
        )?;
        Ok(())
    }

    /// Begins anew with a connection's records of a type: of each its existence and
    /// moments are kept, and nothing of whom it reaches and what it says. Nor of when it
    /// was read, where it can be (`is_read`): of what is only pushed that alone tells what
    /// comes late. All that is with the records as they were, which are nobody's from here
    /// on, and purged behind ([`Tx::purge_records`]).
    pub(super) fn begin_records_anew(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        is_read: bool,
    ) -> Result<(), Error> {
        let object_type = self.object_type_id(object_type)?;
        self.forget_shadow_reached(connection)?;
        // A number that no connection ever has.
        let nobody: i64 = self
            .statement(
                "INSERT INTO purges (connection)
                 SELECT min(0, coalesce(min(connection), 0)) - 1 FROM purges
                 RETURNING connection",
            )?
            .query_one([], |row| row.get(0))?;
        self.statement(
            "UPDATE records SET connection = ?3 WHERE connection = ?1 AND object_type = ?2",
        )?
        .execute([connection.0, object_type, nobody])?;
        // Some at a time, for SQLite holds all of them that it is to write where it reads.
        // No record comes before the least number.
        let mut after = Column::Real(f64::NEG_INFINITY);
        loop {
            let last: Column = self
                .statement(
                    "SELECT max(record) FROM (
                        SELECT record FROM records
                        WHERE connection = ?1 AND object_type = ?2 AND record > ?3
                        ORDER BY record LIMIT ?4)",
                )?
                .query_one(params![nobody, object_type, after, COPIED_AT_ONCE], |row| {
                    row.get(0)
                })?;
            if last == Column::Null {
                return Ok(());
            }
            self.statement(
                "INSERT INTO records (connection, object_type, record, existence, existence_at,
                    survivor, created_at, modified_at, read_stamp, read_sequence)
                 SELECT ?1, object_type, record, existence, existence_at,
                    survivor, created_at, modified_at,
                    iif(?6, 0, read_stamp), iif(?6, 0, read_sequence)
                 FROM records WHERE connection = ?2 AND object_type = ?3
                    AND record > ?4 AND record <= ?5",
            )?
            .execute(params![
                connection.0,
                nobody,
                object_type,
                after,
                last,
                is_read
            ])?;
            after = last;
        }
    }

    /// Whether something is left of records that are nobody's any more.
    pub fn has_purges(&self) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT EXISTS (SELECT 1 FROM purges)")?
            .query_one([], |row| row.get(0))?)
    }

    /// Removes a part of what is kept of records that are nobody's any more: whose
    /// connection is gone, or which began anew. A record goes after all of its rows, of
    /// which there may be very many.
    /// Returns how many rows, at most `limit`; call again while it is not zero.
    pub fn purge_records(&self, limit: usize) -> Result<usize, Error> {
        let mut statement = self.statement(
            "SELECT r.id FROM purges p CROSS JOIN records r ON r.connection = p.connection LIMIT ?1",
        )?;
        let records = statement
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                row.get(0).map(RecordKey)
            })?
            .collect::<Result<Vec<_>, _>>()?;
        if records.is_empty() {
            self.connection.execute("DELETE FROM purges", [])?;
        }
        let mut left = limit;
        for record in records {
            for sql in KEPT.into_iter().chain([FED]) {
                left -= self.remove_some(sql, record, left)?;
            }
            if left == 0 {
                break;
            }
            left -= self.execute_by_id("DELETE FROM records WHERE id = ?1", record.0)?;
        }
        Ok(limit - left)
    }

    fn remove_some(
        &self,
        sql: &'static str,
        record: RecordKey,
        limit: usize,
    ) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.statement(sql)?.execute([record.0, limit])?)
    }
}

fn read_state(row: &rusqlite::Row<'_>) -> Result<RecordState, Error> {
    Ok(RecordState {
        key: RecordKey(row.get(0)?),
        existence: encode::read_existence(row.get(1)?, row.get_ref(3)?)?,
        existence_at: timestamp(row, 2)?,
        created_at: optional_timestamp(row, 4)?,
        modified_at: optional_timestamp(row, 5)?,
        read: Version {
            stamp: timestamp(row, 6)?,
            sequence: row.get(7)?,
        },
        reached: row.get(8)?,
        filled: row.get(9)?,
    })
}
