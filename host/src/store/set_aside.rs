//! What could not be worked on: its bytes, why, and whether it is to be worked on
//! again.

use rusqlite::{OptionalExtension, Row, params};

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

/// What is to be worked on again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its number among what is set aside.
    pub id: i64,
    /// When it was set aside.
    pub at: Timestamp,
    /// What it is.
    pub what: SetAside,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayState {
    /// How many were asked for.
    pub asked: u64,
    /// How many of these wait.
    pub waiting: u64,
    /// How many could not be worked on again.
    pub stayed: u64,
}

impl ReplayState {
    /// How many are worked on, and set aside no more.
    pub fn done(&self) -> u64 {
        self.asked.saturating_sub(self.waiting + self.stayed)
    }
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

    /// Removes what was asked about these before a moment.
    pub fn trim_replays(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM replays WHERE at < ?1")?
            .execute([before.0])?;
        Ok(())
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
        let rows = statement.query_map(
            params![
                filter.id,
                filter.reason,
                filter.exact_reason,
                filter.plugin,
                filter.since.0,
                filter.untried,
                after,
                limit
            ],
            |row| {
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
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many are set aside and match.
    pub fn count_set_aside(&self, filter: &Filter) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM set_aside WHERE {MATCHES}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let count = statement.query_one(
            params![
                filter.id,
                filter.reason,
                filter.exact_reason,
                filter.plugin,
                filter.since.0,
                filter.untried
            ],
            |row| row.get(0),
        )?;
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

    /// Begins a replay, of nothing yet. Returns its number.
    pub fn begin_replay(&self, by: &str, now: Timestamp) -> Result<i64, Error> {
        Ok(self
            .statement("INSERT INTO replays (at, by, asked) VALUES (?1, ?2, 0) RETURNING id")?
            .query_one(params![now.0, by], |row| row.get(0))?)
    }

    /// The numbers of what matches and waits for no replay: at most `limit`, of those
    /// after the first of two numbers, up to the second.
    pub fn to_replay(
        &self,
        filter: &Filter,
        (after, last): (i64, i64),
        limit: usize,
    ) -> Result<Vec<i64>, Error> {
        let sql = format!(
            "SELECT id FROM set_aside WHERE {MATCHES} AND id > ?7 AND id <= ?8
                 AND id NOT IN (SELECT aside FROM waiting_replays)
             ORDER BY id LIMIT ?9"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(
            params![
                filter.id,
                filter.reason,
                filter.exact_reason,
                filter.plugin,
                filter.since.0,
                filter.untried,
                after,
                last,
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            |row| row.get(0),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Has these wait for a replay, but for what is gone or waits for another.
    pub fn add_to_replay(&self, replay: i64, numbers: &[i64]) -> Result<(), Error> {
        let mut add = self.statement(
            "INSERT INTO waiting_replays (replay, aside)
             SELECT ?1, id FROM set_aside WHERE id = ?2 ON CONFLICT DO NOTHING",
        )?;
        let mut asked = 0;
        for number in numbers {
            asked += add.execute([replay, *number])?;
        }
        self.statement("UPDATE replays SET asked = asked + ?2 WHERE id = ?1")?
            .execute(params![replay, i64::try_from(asked).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// How far a replay is.
    pub fn replay_state(&self, replay: i64) -> Result<ReplayState, Error> {
        let (asked, stayed) = self
            .statement("SELECT asked, stayed FROM replays WHERE id = ?1")?
            .query_row([replay], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .ok_or(Error::NotFound("replay"))?;
        let waiting = self
            .statement("SELECT count(*) FROM waiting_replays WHERE replay = ?1")?
            .query_one([replay], |row| row.get(0))?;
        Ok(ReplayState {
            asked: number(asked),
            waiting: number(waiting),
            stayed: number(stayed),
        })
    }

    /// What is to be worked on again next: what was asked for first, the oldest
    /// of that.
    pub fn next_replay(&self) -> Result<Option<Replay>, Error> {
        Ok(self
            .statement(
                "SELECT id, at, position, kind, account, reason, plugin, body, connector
                 FROM waiting_replays JOIN set_aside ON id = aside
                 ORDER BY replay, aside LIMIT 1",
            )?
            .query_row([], |row| {
                Ok(Replay {
                    id: row.get(0)?,
                    at: timestamp(row, 1)?,
                    what: what(row, 2)?,
                })
            })
            .optional()?)
    }

    /// Ends the replay of one: what is left of it stays set aside, since when it
    /// was. Returns false, and does nothing, where it is gone or was rewritten
    /// meanwhile.
    pub fn end_replay(
        &self,
        replay: &Replay,
        left: &[SetAside],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let of: Option<(i64, i64)> = self
            .statement(
                "SELECT w.replay, s.sequence
                 FROM waiting_replays w JOIN set_aside s ON s.id = w.aside WHERE s.id = ?1",
            )?
            .query_row([replay.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((of, sequence)) = of else {
            return Ok(false);
        };
        // It waits no more by that.
        let ended = self
            .statement("DELETE FROM set_aside WHERE id = ?1 AND body = ?2")?
            .execute(params![replay.id, replay.what.body])?;
        if ended == 0 {
            return Ok(false);
        }
        if !left.is_empty() {
            self.statement("UPDATE replays SET stayed = stayed + 1 WHERE id = ?1")?
                .execute([of])?;
        }
        // The first keeps the number by which people know it.
        let ids = std::iter::once(Some(replay.id)).chain(std::iter::repeat(None));
        let mut insert = self.statement(
            "INSERT INTO set_aside (id, position, kind, account, at, reason, plugin, body, replayed_at,
                    sequence, connector)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for (id, what) in ids.zip(left) {
            insert.execute(params![
                id,
                replay.what.position.0,
                what.kind as i64,
                what.account.as_ref().map(AccountKey::as_str),
                replay.at.0,
                what.reason,
                what.plugin,
                what.body,
                now.0,
                sequence,
                what.connector
            ])?;
        }
        Ok(true)
    }
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

/// The kind of entry that a stored number means.
pub(super) fn entry_kind(stored: i64) -> EntryKind {
    if stored == EntryKind::JournalFile as i64 {
        EntryKind::JournalFile
    } else {
        EntryKind::Delivery
    }
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
