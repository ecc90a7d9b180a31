//! Records that were deleted for privacy: what is still to be rewritten without
//! them, and how far that is.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rusqlite::params;
use serde_json::json;

use super::{Error, Tx, encode, optional_timestamp};
use crate::{
    log::{EntryKind, Position},
    model::{AccountKey, ConnectionId, ObjectType, RecordId, Timestamp},
};

/// Records that were erased lately, by connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasedRecords {
    /// The number of the newest erasure among them.
    pub newest: i64,
    /// How many they are.
    count: i64,
    connectors: HashMap<String, ErasedByAccount>,
}

impl ErasedRecords {
    /// Those of a connector's accounts; none where there are none.
    pub fn of(&self, connector: &str) -> Option<&ErasedByAccount> {
        self.connectors.get(connector)
    }
}

/// Records of one connector that were erased lately, by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasedByAccount(HashMap<AccountKey, HashSet<RecordId>>);

impl ErasedByAccount {
    /// Those of an account.
    pub fn of(&self, account: &AccountKey) -> Option<&HashSet<RecordId>> {
        self.0.get(account)
    }

    /// All, account by account.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountKey, &HashSet<RecordId>)> {
        self.0.iter()
    }
}

impl FromIterator<(AccountKey, RecordId)> for ErasedByAccount {
    fn from_iter<I: IntoIterator<Item = (AccountKey, RecordId)>>(records: I) -> Self {
        let mut erased = Self::default();
        for (account, record) in records {
            erased.0.entry(account).or_default().insert(record);
        }
        erased
    }
}

/// A part of the log that is to be searched for records that were erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Everything up to here was.
    pub after: Position,
    /// To the end of it.
    pub last: Position,
}

/// A body that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyAside {
    /// Its number.
    pub id: i64,
    /// What it is a part of.
    pub kind: EntryKind,
    /// The connector to the source that it is of, by name.
    pub connector: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

const NEXT_SEARCH: &str = "
    SELECT max(searched), max(last) FROM erasures
    WHERE NOT done AND searched < min(last, ?1)
      AND +connector IN (SELECT value FROM json_each(?2))";

impl Tx<'_> {
    /// Takes note that a record was erased, and that the log up to `last` was
    /// applied by those who did not know.
    pub fn add_erasure(
        &self,
        (connector, account): (&str, &AccountKey),
        record: &RecordId,
        last: Position,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO erasures (connector, account, record, at, last)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            connector,
            account.as_str(),
            encode::record_id(record),
            now.0,
            last.0
        ])?;
        Ok(())
    }

    /// The number of the newest erasure; zero where there is none.
    pub fn newest_erasure(&self) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT coalesce(max(id), 0) FROM erasures")?
            .query_one([], |row| row.get(0))?)
    }

    /// How many erasures are not over, and since when the oldest of them is not.
    pub fn waiting_erasures(&self) -> Result<(i64, Option<Timestamp>), Error> {
        Ok(self
            .statement("SELECT count(*), min(at) FROM erasures WHERE NOT done")?
            .query_one([], |row| Ok((row.get(0)?, optional_timestamp(row, 1)?)))?)
    }

    /// The records that were erased lately.
    pub fn erased_records(&self) -> Result<ErasedRecords, Error> {
        let mut erased = ErasedRecords::default();
        self.add_newer_erasures(&mut erased)?;
        Ok(erased)
    }

    /// Brings what is known of them up to date. Those that are newer are read, for there may
    /// be very many of three days; all are where some were let go of.
    pub fn renew_erased_records(&self, known: &mut Arc<ErasedRecords>) -> Result<(), Error> {
        let count: i64 = self
            .statement("SELECT count(*) FROM erasures")?
            .query_one([], |row| row.get(0))?;
        if (count, self.newest_erasure()?) == (known.count, known.newest) {
            return Ok(());
        }
        let renewed = Arc::make_mut(known);
        self.add_newer_erasures(renewed)?;
        if renewed.count != count {
            *renewed = self.erased_records()?;
        }
        Ok(())
    }

    fn add_newer_erasures(&self, erased: &mut ErasedRecords) -> Result<(), Error> {
        let mut statement = self.statement(
            "SELECT id, connector, account, record FROM erasures WHERE id > ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([erased.newest])?;
        while let Some(row) = rows.next()? {
            erased.newest = row.get(0)?;
            erased.count += 1;
            let (connector, account): (String, String) = (row.get(1)?, row.get(2)?);
            let of_connector = erased.connectors.entry(connector).or_default();
            let of_account = of_connector.0.entry(account.into()).or_default();
            of_account.insert(encode::read_record_id(row.get_ref(3)?)?);
        }
        Ok(())
    }

    /// Has the log searched up to `last` for what was erased in a connector's accounts
    /// after `known`: who applied it did not know of these.
    pub fn extend_erasures(
        &self,
        connector: &str,
        known: i64,
        last: Position,
    ) -> Result<(), Error> {
        self.statement(
            "UPDATE erasures SET last = ?3, done = 0
             WHERE connector = ?1 AND id > ?2 AND last < ?3",
        )?
        .execute(params![connector, known, last.0])?;
        Ok(())
    }

    /// Has another log searched, from there to there, for all whose erasure is not over.
    /// Nothing is known of its entries.
    pub(super) fn search_anew(&self, after: Position, last: Position) -> Result<(), Error> {
        self.statement("DELETE FROM late_entries")?.execute([])?;
        self.statement("UPDATE erasures SET searched = ?1, last = ?2 WHERE NOT done")?
            .execute([after.0, last.0])?;
        Ok(())
    }

    /// Takes note that an entry of the log names a record that was erased.
    pub fn add_late_entry(&self, position: Position) -> Result<(), Error> {
        self.statement("INSERT INTO late_entries (position) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([position.0])?;
        Ok(())
    }

    /// The part of the log that is to be searched next, as far as it is applied;
    /// none where none is. The search that is furthest is ended first: all that is
    /// erased meanwhile shares the next one. Here and below: `running` are the
    /// connectors whose plugins run; nobody else can say of whom a body tells. By the sign
    /// the index of those that are not done is used, for most are.
    pub fn next_search(&self, running: &[String]) -> Result<Option<Search>, Error> {
        let applied = self.log_position()?;
        let (after, last): (Option<i64>, Option<i64>) = self
            .statement(NEXT_SEARCH)?
            .query_one(params![applied.0, json!(running).to_string()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        Ok(after.zip(last).map(|(after, last)| Search {
            after: Position(after),
            last: Position(last).min(applied),
        }))
    }

    /// The log was searched from there to there, for all that was erased up to
    /// `known`.
    pub fn searched(
        &self,
        running: &[String],
        known: i64,
        (after, up_to): (Position, Position),
    ) -> Result<(), Error> {
        self.statement(
            "UPDATE erasures SET searched = ?3
             WHERE id <= ?1 AND NOT done AND searched >= ?2 AND searched < ?3
               AND +connector IN (SELECT value FROM json_each(?4))",
        )?
        .execute(params![known, after.0, up_to.0, json!(running).to_string()])?;
        Ok(())
    }

    /// Entries of the log that name erased records, are applied, and are still
    /// to be rewritten.
    pub fn next_late_entries(&self, limit: usize) -> Result<Vec<Position>, Error> {
        let mut statement = self.statement(
            "SELECT position FROM late_entries WHERE NOT rewritten AND position <= ?1
             ORDER BY position LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![self.log_position()?.0, limit], |row| {
            row.get(0).map(Position)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// These are rewritten.
    pub fn late_entries_rewritten(&self, positions: &[Position]) -> Result<(), Error> {
        let mut statement =
            self.statement("UPDATE late_entries SET rewritten = 1 WHERE position = ?1")?;
        for position in positions {
            statement.execute([position.0])?;
        }
        Ok(())
    }

    /// Whether the log is rewritten for some erasures, and only the end of them
    /// is left to be made.
    pub fn has_searched(&self, running: &[String]) -> Result<bool, Error> {
        Ok(self
            .statement(
                "SELECT EXISTS (SELECT 1 FROM erasures
                                WHERE NOT done AND searched >= last
                                  AND +connector IN (SELECT value FROM json_each(?1)))
                     OR EXISTS (SELECT 1 FROM late_entries WHERE rewritten)",
            )?
            .query_one([json!(running).to_string()], |row| row.get(0))?)
    }

    /// Ends what is rewritten, of all that was erased up to `known`. Returns how
    /// many erasures ended.
    pub fn finish_erasures(&self, running: &[String], known: i64) -> Result<usize, Error> {
        self.statement("DELETE FROM late_entries WHERE rewritten")?
            .execute([])?;
        Ok(self
            .statement(
                "UPDATE erasures SET done = 1
                 WHERE id <= ?1 AND NOT done AND searched >= last
                   AND +connector IN (SELECT value FROM json_each(?2))",
            )?
            .execute(params![known, json!(running).to_string()])?)
    }

    /// Lets go of erasures from before a moment that are done.
    pub fn trim_erasures(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM erasures WHERE done AND at < ?1")?
            .execute([before.0])?;
        Ok(())
    }

    /// Bodies that were set aside after the one with this number, of an account
    /// in which records were erased or of none: at most `limit`.
    pub fn bodies_aside(&self, after: i64, limit: usize) -> Result<Vec<BodyAside>, Error> {
        let mut statement = self.statement(
            "SELECT id, kind, connector, body FROM set_aside
             WHERE id > ?1
               AND (account IS NULL
                    OR (connector, account) IN (SELECT connector, account FROM erasures))
             ORDER BY id LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after, limit], |row| {
            Ok(BodyAside {
                id: row.get(0)?,
                kind: super::set_aside::entry_kind(row.get(1)?),
                connector: row.get(2)?,
                body: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rewrites a body that was set aside; none forgets it. Returns false, and does
    /// nothing, where it is another meanwhile.
    pub fn rewrite_body_aside(&self, was: &BodyAside, body: Option<&[u8]>) -> Result<bool, Error> {
        let rewritten = match body {
            Some(body) => self
                .statement("UPDATE set_aside SET body = ?3 WHERE id = ?1 AND body = ?2")?
                .execute(params![was.id, was.body, body])?,
            None => self
                .statement("DELETE FROM set_aside WHERE id = ?1 AND body = ?2")?
                .execute(params![was.id, was.body])?,
        };
        Ok(rewritten > 0)
    }

    /// The records that became part of another.
    pub fn merged_into(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        survivor: &RecordId,
    ) -> Result<Vec<RecordId>, Error> {
        let mut statement = self.statement(
            "SELECT record FROM records
             WHERE connection = ?1 AND object_type = ?2 AND survivor = ?3 ORDER BY id",
        )?;
        let mut rows = statement.query(params![
            connection.0,
            self.object_type_id(object_type)?,
            encode::record_id(survivor)
        ])?;
        let mut merged = Vec::new();
        while let Some(row) = rows.next()? {
            merged.push(encode::read_record_id(row.get_ref(0)?)?);
        }
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_searched_is_found_among_what_is_not_done() {
        let plan = super::super::query_plan(NEXT_SEARCH);
        let open = "SCAN erasures USING INDEX erasures_open";
        assert_eq!(plan.first().map(String::as_str), Some(open), "{plan:#?}");
    }
}
