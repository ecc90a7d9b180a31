//! Whom records reach: the match keys by which users are found, and the links that came
//! of them.

use rusqlite::params;

use super::{Error, Tx, encode, records::RecordKey};
use crate::model::{ConnectionId, ObjectType, RecordId, UserId};

/// In this order: a key is of few records, a connection has many, which SQLite does not
/// know. The keys of a record that is nobody's any more stay until it is purged.
const BY_DIGEST: &str = "
    SELECT r.id, r.record, k.rank FROM match_keys k
    CROSS JOIN records r ON r.id = k.record
    WHERE k.connection = ?1 AND k.digest = ?2
      AND r.connection = ?1 AND r.object_type = ?3 AND r.existence = 1
    ORDER BY r.id";

impl Tx<'_> {
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
                self.execute_by_id(sql, record.0)?;
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
        self.execute_by_id("DELETE FROM match_keys WHERE record = ?1", record.0)?;
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
        let mut statement = self.statement(BY_DIGEST)?;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_by_their_keys_however_many_there_are() {
        let plan = super::super::query_plan(BY_DIGEST);
        let by_key = "SEARCH k USING PRIMARY KEY (connection=? AND digest=?)";
        let by_number = "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)";
        assert_eq!(plan[..2], [by_key, by_number]);
    }
}
