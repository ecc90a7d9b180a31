//! Full syncs and catch-ups: asked for, under way, and over.

mod barred;
mod brake;
mod catch_ups;
mod counted;
mod counts;
mod examples;
mod progress;
mod reach;
mod reads;

pub use catch_ups::LastCatchUp;
pub use counted::Counted;
pub use counts::{Counts, USERS, failed};
pub use examples::{EXAMPLES_MAX, Example, Examples};
pub use progress::Beginning;
pub use reach::RunRecord;

use rusqlite::params;

use super::{Error, Tx, encode, optional_timestamp, timestamp};
use crate::model::{AccountId, ConnectionId, Run, RunId, RunKind, RunStatus, Timestamp};

/// Runs kept for each connection, beside those that are not over; and of brief
/// ones, which come every few minutes.
const RUNS_KEPT: i64 = 200;
const BRIEF_RUNS_KEPT: i64 = 20;

/// The runs of a connection that its brake holds.
const BRAKED: &str = "WHERE connection = ?1 AND status = 'braked' ORDER BY id";

/// A run to be asked for.
#[derive(Clone, Copy, Debug)]
pub struct NewRun {
    /// Whose.
    pub connection: ConnectionId,
    /// What it is.
    pub kind: RunKind,
    /// Whether it writes nothing.
    pub dry_run: bool,
    /// Whether it looks at what changed alone.
    pub brief: bool,
    /// Who asks: `admin`, `operator` or `schedule`.
    pub origin: &'static str,
}

/// A run that is neither over nor held by a brake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningRun {
    /// Which.
    pub id: RunId,
    /// Whose.
    pub connection: ConnectionId,
    /// The account of which it reads.
    pub account: AccountId,
    /// Whether it writes nothing.
    pub dry_run: bool,
}

const COLUMNS: &str = "
    SELECT id, connection, kind, dry_run, brief, origin, status, requested_at, started_at, finished_at,
           sequence, since, plan, stages, done, total, problem, held FROM runs";

/// Without those that a brake holds.
const RUNNING: &str = "
    SELECT r.id, r.connection, c.account, r.dry_run
    FROM runs r CROSS JOIN connections c ON c.id = r.connection
    WHERE r.status IN ('running', 'braked') AND r.status = 'running' AND c.account IS NOT NULL
    ORDER BY r.id";

/// Runs that are over are not looked at.
const EARLIER: &str = "
    SELECT EXISTS (
        SELECT 1 FROM runs WHERE connection = ?1 AND id < ?2
          AND status IN ('running', 'braked') AND status = 'running' AND NOT dry_run)";

const OPEN: &str = "status IN ('running', 'braked')";

impl Tx<'_> {
    /// Asks for a run.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where one of that kind is not over yet.
    pub fn request_run(&self, new: NewRun, now: Timestamp) -> Result<RunId, Error> {
        let open = self.connection.query_one(
            &format!(
                "SELECT EXISTS (SELECT 1 FROM runs WHERE connection = ?1 AND kind = ?2 AND {OPEN})"
            ),
            params![new.connection.0, encode::word(&new.kind)],
            |row| row.get(0),
        )?;
        if open {
            let what = match new.kind {
                RunKind::Full => "a full sync",
                RunKind::CatchUp => "a catch-up",
            };
            return Err(Error::Conflict(format!(
                "{what} of this connection is under way: wait for it, or cancel it"
            )));
        }
        self.connection.execute(
            "INSERT INTO runs (connection, kind, dry_run, brief, origin, status, requested_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.connection.0,
                encode::word(&new.kind),
                new.dry_run,
                new.brief,
                new.origin,
                encode::word(&RunStatus::Running),
                now.0
            ],
        )?;
        let run = RunId(self.connection.last_insert_rowid());
        let kept = match new.brief {
            true => BRIEF_RUNS_KEPT,
            false => RUNS_KEPT,
        };
        self.connection.execute(
            &format!(
                "DELETE FROM runs WHERE connection = ?1 AND brief = ?2 AND NOT {OPEN}
                 AND id <= (SELECT id FROM runs WHERE connection = ?1 AND brief = ?2
                            ORDER BY id DESC LIMIT 1 OFFSET ?3)
                 AND id NOT IN (SELECT id FROM runs WHERE connection = ?1
                                AND status = 'completed' AND NOT dry_run
                                ORDER BY started_at DESC LIMIT 1)"
            ),
            params![new.connection.0, new.brief, kept],
        )?;
        Ok(run)
    }

    /// A run, whosever.
    pub fn run(&self, id: RunId) -> Result<Run, Error> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
        let mut rows = statement.query([id.0])?;
        rows.next()?.map_or(Err(Error::NotFound("sync")), read_run)
    }

    /// A connection's runs, newest first, before `before`.
    pub fn runs(
        &self,
        connection: ConnectionId,
        before: RunId,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        let sql = format!("{COLUMNS} WHERE connection = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_runs(&sql, params![connection.0, before.0, limit])
    }

    /// [`Tx::runs`]: those that are brief, or those that are not.
    pub fn runs_apart(
        &self,
        connection: ConnectionId,
        are_brief: bool,
        before: RunId,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        let sql = format!(
            "{COLUMNS} WHERE connection = ?1 AND brief = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_runs(&sql, params![connection.0, are_brief, before.0, limit])
    }

    /// All runs that are not over, oldest first.
    pub fn open_runs(&self) -> Result<Vec<Run>, Error> {
        self.read_runs(&format!("{COLUMNS} WHERE {OPEN} ORDER BY id"), [])
    }

    /// All runs that are neither over nor held by a brake, oldest first.
    pub fn running_runs(&self) -> Result<Vec<RunningRun>, Error> {
        let mut statement = self.statement(RUNNING)?;
        let runs = statement.query_map([], |row| {
            Ok(RunningRun {
                id: RunId(row.get(0)?),
                connection: ConnectionId(row.get(1)?),
                account: AccountId(row.get(2)?),
                dry_run: row.get(3)?,
            })
        })?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// Whether a run of one of these connections that was asked for before `run` is
    /// neither over nor held by a brake. Dry runs do not count.
    pub fn has_earlier_run(&self, connections: &[ConnectionId], run: RunId) -> Result<bool, Error> {
        let mut statement = self.statement(EARLIER)?;
        for connection in connections {
            if statement.query_one([connection.0, run.0], |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A connection's runs that its brake holds, oldest first.
    pub fn braked_runs(&self, connection: ConnectionId) -> Result<Vec<Run>, Error> {
        self.read_runs(&format!("{COLUMNS} {BRAKED}"), [connection.0])
    }

    fn read_runs(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Run>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            runs.push(read_run(row)?);
        }
        Ok(runs)
    }

    /// When the last run began that looked at everything up to then; none where
    /// none did.
    pub fn last_completed_run(
        &self,
        connection: ConnectionId,
        kind: Option<RunKind>,
    ) -> Result<Option<Timestamp>, Error> {
        let started: Option<i64> = self
            .statement(
                "SELECT max(started_at) FROM runs
                 WHERE connection = ?1 AND status = 'completed' AND NOT dry_run
                   AND (?2 IS NULL OR kind = ?2)",
            )?
            .query_one(
                params![connection.0, kind.map(|kind| encode::word(&kind))],
                |row| row.get(0),
            )?;
        Ok(started.map(Timestamp))
    }

    /// When a host was last at work on this store; none where none ever said so.
    pub fn alive_at(&self) -> Result<Option<Timestamp>, Error> {
        let mut statement = self.statement("SELECT alive_at FROM state")?;
        Ok(statement.query_one([], |row| optional_timestamp(row, 0))?)
    }

    /// A host is at work on this store.
    pub fn set_alive(&self, now: Timestamp) -> Result<(), Error> {
        self.statement("UPDATE state SET alive_at = ?1")?
            .execute([now.0])?;
        Ok(())
    }
}

fn read_run(row: &rusqlite::Row<'_>) -> Result<Run, Error> {
    let json = |index: usize| row.get::<_, Option<String>>(index);
    Ok(Run {
        id: RunId(row.get(0)?),
        connection: ConnectionId(row.get(1)?),
        kind: encode::read_word(&row.get::<_, String>(2)?)?,
        dry_run: row.get(3)?,
        brief: row.get(4)?,
        origin: row.get(5)?,
        status: encode::read_word(&row.get::<_, String>(6)?)?,
        requested_at: timestamp(row, 7)?,
        started_at: optional_timestamp(row, 8)?,
        finished_at: optional_timestamp(row, 9)?,
        sequence: row.get(10)?,
        since: optional_timestamp(row, 11)?,
        plan: encode::read_json(&row.get::<_, String>(12)?)?,
        stages: json(13)?.map(|text| encode::read_json(&text)).transpose()?,
        done: row.get::<_, i64>(14)?.unsigned_abs(),
        total: row.get::<_, Option<i64>>(15)?.map(i64::unsigned_abs),
        problem: json(16)?.map(|text| encode::read_json(&text)).transpose()?,
        held: json(17)?.map(|text| encode::read_json(&text)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many runs there were, and others have, only those that are held are
    /// touched.
    #[test]
    fn what_the_brake_holds_is_found_by_its_index() {
        let plan = super::super::query_plan(&format!("{COLUMNS} {BRAKED}"));
        let held = "SEARCH runs USING INDEX runs_braked (connection=?)";
        assert_eq!(plan, [held]);
    }

    /// However many runs are over, and open in other accounts, one is looked for by
    /// its index.
    #[test]
    fn what_is_open_is_found_by_its_indexes() {
        let running = super::super::query_plan(RUNNING);
        let open = "SEARCH r USING INDEX runs_open (status=?)";
        assert_eq!(running.first().map(String::as_str), Some(open));
        assert!(
            !running.iter().any(|step| step.contains("TEMP")),
            "{running:#?}"
        );
        let earlier = super::super::query_plan(EARLIER);
        let of_connection = "SEARCH runs USING INDEX runs_earlier (connection=? AND id<?)";
        assert!(earlier.contains(&of_connection.to_owned()), "{earlier:#?}");
    }
}
