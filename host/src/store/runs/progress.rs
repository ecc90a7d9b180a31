//! How far a run is: begun, anew where it has to be, moved on from stage to stage, over.

use rusqlite::params;

use super::super::{Error, Tx, encode};
use crate::model::{ConnectionId, Planned, Problem, RunId, RunStatus, Stage, Timestamp};

/// How a run begins.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The number that it took: what was read since is not read again.
    pub sequence: i64,
    /// The moment from which on changes are looked for.
    pub since: Option<Timestamp>,
    /// How it goes about it.
    pub plan: Vec<Planned>,
    /// What is to be done, in this order.
    pub stages: Vec<Stage>,
    /// Of how many users it may clear or move values; none where it has no brake.
    pub losses_max: Option<u64>,
}

impl Tx<'_> {
    /// A run begins, at first or anew. One that goes on without a brake keeps none.
    pub fn start_run(&self, run: RunId, how: &Beginning, now: Timestamp) -> Result<(), Error> {
        for sql in [
            "DELETE FROM run_counts WHERE run = ?1",
            "DELETE FROM run_losses WHERE run = ?1",
            "DELETE FROM run_counted WHERE run = ?1",
            "DELETE FROM run_users WHERE run = ?1",
        ] {
            self.execute_by_id(sql, run.0)?;
        }
        let total: u64 = how.plan.iter().map(|planned| planned.records).sum();
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.statement(
            "UPDATE runs SET started_at = ?2, sequence = ?3, since = ?4, plan = ?5, stages = ?6,
                    total = ?7, done = 0, problem = NULL,
                    losses_max = CASE WHEN started_at IS NULL OR losses_max IS NOT NULL THEN ?8 END
             WHERE id = ?1",
        )?
        .execute(params![
            run.0,
            now.0,
            how.sequence,
            how.since.map(|since| since.0),
            encode::json(&how.plan)?,
            encode::json(&how.stages)?,
            number(total),
            how.losses_max.map(number)
        ])?;
        Ok(())
    }

    /// A connection's runs that are not over are planned anew, and begin as if they
    /// never had: what they went by is not so any more, nor what was said of their
    /// brake.
    pub fn begin_runs_anew(&self, connection: ConnectionId) -> Result<(), Error> {
        self.execute_by_id(
            "UPDATE runs SET stages = NULL, started_at = NULL
             WHERE connection = ?1 AND status IN ('running', 'braked')",
            connection.0,
        )?;
        Ok(())
    }

    /// A connection's catch-up that is not over begins again, and looks at
    /// everything.
    pub fn begin_catch_up_anew(&self, connection: ConnectionId) -> Result<(), Error> {
        self.execute_by_id(
            "UPDATE runs SET stages = NULL, brief = 0
             WHERE connection = ?1 AND kind = 'catch_up' AND status IN ('running', 'braked')",
            connection.0,
        )?;
        Ok(())
    }

    /// A run goes on to what is left of it, unless it is to begin anew.
    pub fn move_run(&self, run: RunId, stages: &[Stage]) -> Result<(), Error> {
        self.statement("UPDATE runs SET stages = ?2 WHERE id = ?1 AND stages IS NOT NULL")?
            .execute(params![run.0, encode::json(&stages)?])?;
        Ok(())
    }

    /// A run that nothing is left of is over, unless it is to begin anew. Returns
    /// whether it is.
    pub fn end_run(&self, run: RunId, status: RunStatus, now: Timestamp) -> Result<bool, Error> {
        let is_over = self.run(run)?.stages.is_some_and(|left| left.is_empty());
        if is_over {
            self.set_run_status(run, status, now)?;
        }
        Ok(is_over)
    }

    /// More records of a run are done.
    pub fn advance_run(&self, run: RunId, done: usize) -> Result<(), Error> {
        self.statement(
            "UPDATE runs SET done = done + ?2, total = max(total, done + ?2) WHERE id = ?1",
        )?
        .execute(params![run.0, i64::try_from(done).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// Something of a run could not be done.
    pub fn set_run_problem(&self, run: RunId, problem: &Problem) -> Result<(), Error> {
        self.statement("UPDATE runs SET problem = ?2 WHERE id = ?1")?
            .execute(params![run.0, encode::json(problem)?])?;
        Ok(())
    }

    /// A run is over, or held, or goes on.
    pub fn set_run_status(
        &self,
        run: RunId,
        status: RunStatus,
        now: Timestamp,
    ) -> Result<(), Error> {
        let finished = (!status.is_open()).then_some(now.0);
        self.statement("UPDATE runs SET status = ?2, finished_at = ?3 WHERE id = ?1")?
            .execute(params![run.0, encode::word(&status), finished])?;
        Ok(())
    }
}
