//! What is set aside is worked on again: asked for, waiting its turn, and how far that
//! is.

use rusqlite::{OptionalExtension, params};

use super::{
    super::{Error, Tx, timestamp},
    Filter, MATCHES, SetAside, matching, number, what,
};
use crate::model::{AccountKey, Timestamp};

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

impl Tx<'_> {
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
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(&*matching(filter, params![after, last, limit]), |row| {
            row.get(0)
        })?;
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

    /// Removes what was asked about these before a moment.
    pub fn trim_replays(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM replays WHERE at < ?1")?
            .execute([before.0])?;
        Ok(())
    }
}
