//! Records that were seen: their existence, match keys, links, associations,
//! and whom they feed.

use rusqlite::params;

use super::{Error, Tx, encode, optional_timestamp, timestamp};
use crate::model::{ConnectionId, Existence, ObjectType, RecordId, Timestamp, UserId, Version};

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

    /// Finds out anew whether a record reaches any user. One that reaches none
    /// any more loses its registers. Returns whether it does now.
    pub fn refresh_reached(&self, record: RecordKey) -> Result<bool, Error> {
        let reached = self.is_reached(record)?;
        let changed = self
            .statement("UPDATE records SET reached = ?2 WHERE id = ?1 AND reached <> ?2")?
            .execute(params![record.0, reached])?;
        if changed > 0 && !reached {
            for sql in [
                "DELETE FROM registers WHERE record = ?1",
                "DELETE FROM shadow_examples WHERE key = ?1",
                "UPDATE records SET filled = 0 WHERE id = ?1",
            ] {
                super::delete(self, sql, record.0)?;
            }
        }
        Ok(reached)
    }

    /// Whether a record reaches any user.
    pub fn is_reached(&self, record: RecordKey) -> Result<bool, Error> {
        Ok(self
            .statement(
                "SELECT EXISTS (SELECT 1 FROM links WHERE record = ?1)
                     OR EXISTS (SELECT 1 FROM associations a JOIN links l ON l.record = a.from_record
                                WHERE a.to_record = ?1)",
            )?
            .query_one([record.0], |row| row.get(0))?)
    }

    /// Replaces the match keys of a record, as digests with ranks.
    pub fn set_match_keys(
        &self,
        connection: ConnectionId,
        record: RecordKey,
        keys: &[([u8; 16], i64)],
    ) -> Result<(), Error> {
        let mut statement = self
            .statement("SELECT digest, rank FROM match_keys WHERE record = ?1 ORDER BY digest")?;
        let held = statement
            .query_map([record.0], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<([u8; 16], i64)>, _>>()?;
        let mut wanted = keys.to_vec();
        // The lowest rank, where one key comes twice.
        wanted.sort();
        wanted.dedup_by_key(|(digest, _)| *digest);
        if held == wanted {
            return Ok(());
        }
        super::delete(self, "DELETE FROM match_keys WHERE record = ?1", record.0)?;
        let mut insert = self.statement(
            "INSERT INTO match_keys (connection, digest, record, rank) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (digest, rank) in wanted {
            insert.execute(params![connection.0, digest, record.0, rank])?;
        }
        Ok(())
    }

    /// How many match keys are held of a record.
    pub fn match_key_count(&self, record: RecordKey) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT count(*) FROM match_keys WHERE record = ?1")?
            .query_one([record.0], |row| row.get(0))?)
    }

    /// The existing records of one object type that have a match key.
    pub fn records_by_digest(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        digest: [u8; 16],
    ) -> Result<Vec<(RecordKey, RecordId, i64)>, Error> {
        let mut statement = self.statement(
            "SELECT r.id, r.record, k.rank FROM match_keys k JOIN records r ON r.id = k.record
             WHERE k.connection = ?1 AND k.digest = ?2 AND r.object_type = ?3 AND r.existence = 1
             ORDER BY r.id",
        )?;
        let mut rows = statement.query(params![
            connection.0,
            digest,
            self.object_type_id(object_type)?
        ])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push((
                RecordKey(row.get(0)?),
                encode::read_record_id(row.get_ref(1)?)?,
                row.get(2)?,
            ));
        }
        Ok(records)
    }

    /// The users linked to a record, with the rank of the key that did it.
    pub fn links_of_record(&self, record: RecordKey) -> Result<Vec<(UserId, i64)>, Error> {
        let mut statement =
            self.statement("SELECT user, rank FROM links WHERE record = ?1 ORDER BY user")?;
        let rows = statement.query_map([record.0], |row| Ok((UserId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The records of a connection's object type that a user is linked to.
    pub fn links_of_user(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        user: UserId,
    ) -> Result<Vec<(RecordKey, RecordId)>, Error> {
        let mut statement = self.statement(
            "SELECT r.id, r.record FROM links l CROSS JOIN records r ON r.id = l.record
             WHERE l.user = ?1 AND r.connection = ?2 AND r.object_type = ?3 ORDER BY r.id",
        )?;
        let mut rows = statement.query(params![
            user.0,
            connection.0,
            self.object_type_id(object_type)?
        ])?;
        let mut links = Vec::new();
        while let Some(row) = rows.next()? {
            links.push((
                RecordKey(row.get(0)?),
                encode::read_record_id(row.get_ref(1)?)?,
            ));
        }
        Ok(links)
    }

    /// Links a record and a user, or changes the rank of their link.
    pub fn link(&self, record: RecordKey, user: UserId, rank: i64) -> Result<(), Error> {
        self.statement(
            "INSERT INTO links (record, user, rank) VALUES (?1, ?2, ?3)
                 ON CONFLICT (record, user) DO UPDATE SET rank = excluded.rank
                 WHERE rank <> excluded.rank",
        )?
        .execute(params![record.0, user.0, rank])?;
        Ok(())
    }

    /// Ends the link of a record and a user.
    pub fn unlink(&self, record: RecordKey, user: UserId) -> Result<(), Error> {
        self.statement("DELETE FROM links WHERE record = ?1 AND user = ?2")?
            .execute(params![record.0, user.0])?;
        Ok(())
    }

    /// Forgets all that is kept of a record but that it was there: its keys,
    /// links, associations and registers.
    pub fn forget_record(&self, record: RecordKey) -> Result<(), Error> {
        for sql in [
            "DELETE FROM match_keys WHERE record = ?1",
            "DELETE FROM links WHERE record = ?1",
            "DELETE FROM association_registers WHERE from_record = ?1",
            "DELETE FROM associations WHERE from_record = ?1 OR to_record = ?1",
            "DELETE FROM registers WHERE record = ?1",
            "DELETE FROM shadow_examples WHERE key = ?1",
            "UPDATE records SET reached = 0, filled = 0, created_at = NULL, modified_at = NULL
             WHERE id = ?1",
        ] {
            super::delete(self, sql, record.0)?;
        }
        Ok(())
    }

    /// Whether something is left of a connection that is gone.
    pub fn has_purges(&self) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT EXISTS (SELECT 1 FROM purges)")?
            .query_one([], |row| row.get(0))?)
    }

    /// Removes a part of what is kept of records whose connection is gone.
    /// Returns how many; call again while it is not zero.
    pub fn purge_records(&self, limit: usize) -> Result<usize, Error> {
        let mut statement = self.statement(
            "SELECT r.id FROM purges p CROSS JOIN records r ON r.connection = p.connection LIMIT ?1",
        )?;
        let records = statement
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        if records.is_empty() {
            self.connection.execute("DELETE FROM purges", [])?;
        }
        for record in &records {
            self.forget_record(RecordKey(*record))?;
            super::delete(self, "DELETE FROM feeds WHERE record = ?1", *record)?;
            super::delete(self, "DELETE FROM records WHERE id = ?1", *record)?;
        }
        Ok(records.len())
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
