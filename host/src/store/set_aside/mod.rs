//! What could not be worked on: its bytes, why, and whether it is to be worked on
//! again.

mod replays;

pub use replays::{Replay, ReplayState};

use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::{Error, Tx, optional_timestamp, timestamp};
use crate::{
    log::{EntryKind, Position},
    model::{AccountKey, Timestamp},
};

/// A delivery, or a part of one, that could not be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is in the log.
    pub position: Position,
    /// What it is.
    pub kind: EntryKind,
    /// The connector to the source that it is of, by name.
    pub connector: String,
    /// The account, where it is of one.
    pub account: Option<AccountKey>,
    /// Why.
    pub reason: String,
    /// The plugin version that failed, by digest.
    pub plugin: Option<String>,
    /// The bytes: a JSON array of elements, or a whole body.
    pub body: Vec<u8>,
}

/// Elements of an account that could not be worked on.
#[derive(Clone, Debug)]
pub struct Aside {
    /// When they were set aside.
    pub at: Timestamp,
    /// The number of the newest read that had begun by then.
    pub sequence: i64,
    /// What they came in.
    pub kind: EntryKind,
    /// Why.
    pub reason: String,
    /// The elements, as a JSON array.
    pub body: Vec<u8>,
}

/// Something that is set aside, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// When it was set aside.
    pub at: Timestamp,
    /// What it is.
    pub kind: EntryKind,
    /// The connector to the source that it is of, by name.
    pub connector: String,
    /// The account, where it is of one.
    pub account: Option<AccountKey>,
    /// Why.
    pub reason: String,
    /// The plugin version that failed, by digest.
    pub plugin: Option<String>,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Whether it waits to be worked on again.
    pub waits: bool,
    /// When it was last worked on again, in vain.
    pub replayed_at: Option<Timestamp>,
}

/// What is set aside for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForReason {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// How many bytes they have.
    pub size_bytes: u64,
    /// When the first of it was set aside.
    pub oldest: Timestamp,
    /// When the last was.
    pub newest: Timestamp,
}

/// Which of what is set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// This one alone.
    pub id: Option<i64>,
    /// Those whose reason has this in it.
    pub reason: Option<String>,
    /// Those whose reason is this, to the letter.
    pub exact_reason: Option<String>,
    /// Those that this version failed on, by digest.
    pub plugin: Option<String>,
    /// Those that were set aside at this moment or later.
    pub since: Timestamp,
    /// Those that nobody had worked on again yet.
    pub untried: bool,
}

const LISTED: &str = "SELECT id, at, kind, account, reason, plugin, length(body),
        EXISTS (SELECT 1 FROM waiting_replays WHERE aside = id), replayed_at, connector
    FROM set_aside ";

const MATCHES: &str = "(?1 IS NULL OR id = ?1) AND (?2 IS NULL OR instr(reason, ?2) > 0)
        AND (?3 IS NULL OR reason = ?3) AND (?4 IS NULL OR plugin = ?4) AND at >= ?5
        AND (NOT ?6 OR (replayed_at IS NULL AND id NOT IN (SELECT aside FROM waiting_replays))) ";

/// The newest of an account.
const SIZES: &str = "SELECT id, length(body) FROM set_aside
        WHERE connector = ?1 AND account = ?2 ORDER BY id DESC LIMIT ?3";

impl Tx<'_> {
    /// Sets something aside.
    pub fn set_aside(&self, what: &SetAside, now: Timestamp) -> Result<(), Error> {
        self.statement(
            "INSERT INTO set_aside (position, kind, connector, account, at, reason, plugin, body,
                    sequence)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, (SELECT sequence FROM state))",
        )?
        .execute(params![
            what.position.0,
            what.kind as i64,
            what.connector,
            what.account.as_ref().map(AccountKey::as_str),
            now.0,
            what.reason,
            what.plugin,
            what.body
        ])?;
        Ok(())
    }

    /// What could not be worked on of an account, the newest first: at most `limit`
    /// parts of deliveries, and of these as many as fit `bytes_max`.
    pub fn set_aside_of(
        &self,
        (connector, account): (&str, &AccountKey),
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Aside>, Error> {
        let mut sizes = self.statement(SIZES)?;
        let mut body =
            self.statement("SELECT at, sequence, kind, reason, body FROM set_aside WHERE id = ?1")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = sizes.query(params![connector, account.as_str(), limit])?;
        let mut asides = Vec::new();
        let mut room = bytes_max;
        while let Some(row) = rows.next()? {
            let size = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
            match room.checked_sub(size) {
                Some(left) => room = left,
                None => continue,
            }
            asides.push(body.query_one([row.get::<_, i64>(0)?], |row| {
                Ok(Aside {
                    at: timestamp(row, 0)?,
                    sequence: row.get(1)?,
                    kind: entry_kind(row.get(2)?),
                    reason: row.get(3)?,
                    body: row.get(4)?,
                })
            })?);
        }
        Ok(asides)
    }

    /// Removes bodies that were set aside before a moment, at most `limit`. Returns how
    /// many.
    pub fn trim_set_aside(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(
            "DELETE FROM set_aside WHERE id IN (
                SELECT id FROM set_aside WHERE at < ?1 ORDER BY id LIMIT ?2)",
        )?;
        Ok(statement.execute(params![before.0, limit])?)
    }

    /// Removes what was set aside of an account.
    pub fn drop_set_aside(&self, (connector, account): (&str, &AccountKey)) -> Result<(), Error> {
        self.statement("DELETE FROM set_aside WHERE connector = ?1 AND account = ?2")?
            .execute([connector, account.as_str()])?;
        Ok(())
    }

    /// What was set aside, oldest first.
    pub fn all_set_aside(&self) -> Result<Vec<SetAside>, Error> {
        let mut statement = self.statement(
            "SELECT position, kind, account, reason, plugin, body, connector
             FROM set_aside ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| what(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is set aside and matches, by number, after the one with the number
    /// `after`: at most `limit`.
    pub fn list_set_aside(
        &self,
        filter: &Filter,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let sql = format!("{LISTED} WHERE {MATCHES} AND id > ?7 ORDER BY id LIMIT ?8");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(&*matching(filter, params![after, limit]), |row| {
            Ok(Listed {
                id: row.get(0)?,
                at: timestamp(row, 1)?,
                kind: entry_kind(row.get(2)?),
                account: row.get::<_, Option<String>>(3)?.map(AccountKey::from),
                reason: row.get(4)?,
                plugin: row.get(5)?,
                size_bytes: number(row.get(6)?),
                waits: row.get(7)?,
                replayed_at: optional_timestamp(row, 8)?,
                connector: row.get(9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many are set aside and match.
    pub fn count_set_aside(&self, filter: &Filter) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM set_aside WHERE {MATCHES}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let count = statement.query_one(&*matching(filter, params![]), |row| row.get(0))?;
        Ok(number(count))
    }

    /// What is set aside by its reasons, those of most first: at most `limit`.
    pub fn set_aside_reasons(&self, limit: usize) -> Result<Vec<ForReason>, Error> {
        let mut statement = self.statement(
            "SELECT reason, count(*), sum(length(body)), min(at), max(at) FROM set_aside
             GROUP BY reason ORDER BY count(*) DESC, reason LIMIT ?1",
        )?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(ForReason {
                reason: row.get(0)?,
                count: number(row.get(1)?),
                size_bytes: number(row.get(2)?),
                oldest: timestamp(row, 3)?,
                newest: timestamp(row, 4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One of what is set aside, as it is listed, and its bytes.
    pub fn one_set_aside(&self, id: i64) -> Result<(Listed, Vec<u8>), Error> {
        let filter = Filter {
            id: Some(id),
            ..Filter::default()
        };
        let missing = || Error::NotFound("set-aside delivery");
        let listed = self.list_set_aside(&filter, 0, 1)?.pop();
        let body = self
            .statement("SELECT body FROM set_aside WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        listed.zip(body).ok_or_else(missing)
    }

    /// The number of what was set aside last; zero where nothing is.
    pub fn newest_set_aside(&self) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT coalesce(max(id), 0) FROM set_aside")?
            .query_one([], |row| row.get(0))?)
    }
}

/// The parameters of [`MATCHES`], and those of the query after them.
fn matching<'a>(filter: &'a Filter, others: &[&'a dyn ToSql]) -> Vec<&'a dyn ToSql> {
    let of_filter = params![
        filter.id,
        filter.reason,
        filter.exact_reason,
        filter.plugin,
        filter.since.0,
        filter.untried
    ];
    [of_filter, others].concat()
}

fn what(row: &Row<'_>, first: usize) -> rusqlite::Result<SetAside> {
    Ok(SetAside {
        position: Position(row.get(first)?),
        kind: entry_kind(row.get(first + 1)?),
        account: row
            .get::<_, Option<String>>(first + 2)?
            .map(AccountKey::from),
        reason: row.get(first + 3)?,
        plugin: row.get(first + 4)?,
        body: row.get(first + 5)?,
        connector: row.get(first + 6)?,
    })
}

fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

/// The kind of entry that a stored number means; one that this release does not know
/// counts as a delivery.
pub(super) fn entry_kind(stored: i64) -> EntryKind {
    EntryKind::from_number(stored).unwrap_or(EntryKind::Delivery)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much is set aside of others, and in whatever order it came.
    #[test]
    fn what_is_of_an_account_is_found_by_its_index() {
        let newest = "SEARCH set_aside USING INDEX set_aside_account (connector=? AND account=?)";
        assert_eq!(super::super::query_plan(SIZES), [newest]);
    }
}
