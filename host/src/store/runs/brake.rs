//! The brake of runs: whose values they clear or move, and what is held.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::{Example, Examples};
use crate::{
    model::{ConnectionId, Problem, RunId, RunStatus, Timestamp, UserId},
    store::{Error, Tx, encode},
};

/// Users that are named where a run is held by its brake.
const EXAMPLES: usize = 10;

/// What they are kept under, among what a run counted.
const HELD: &str = "held";

impl Tx<'_> {
    /// How many users a connection feeds.
    pub fn fed_users_count(&self, connection: ConnectionId) -> Result<u64, Error> {
        let count: i64 = self
            .statement(
                "SELECT count(DISTINCT f.user) FROM object_mappings m
                 JOIN feeds f ON f.mapping = m.id WHERE m.connection = ?1",
            )?
            .query_one([connection.0], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// How many users a connection feeds, or fed until a run took their values.
    pub fn fed_or_lost_count(&self, connection: ConnectionId, run: RunId) -> Result<u64, Error> {
        let count: i64 = self
            .statement(
                "SELECT count(*) FROM (
                     SELECT f.user FROM object_mappings m JOIN feeds f ON f.mapping = m.id
                         WHERE m.connection = ?1
                     UNION SELECT user FROM run_losses WHERE run = ?2)",
            )?
            .query_one([connection.0, run.0], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// A run clears or moves values of these users.
    ///
    /// # Errors
    ///
    /// [`Error::Braked`] where they are more than it may, all that it did so
    /// taken together.
    pub fn add_run_losses(&self, run: RunId, users: &BTreeSet<UserId>) -> Result<(), Error> {
        let max: Option<Option<i64>> = self
            .statement("SELECT losses_max FROM runs WHERE id = ?1 AND status = 'running'")?
            .query_row([run.0], |row| row.get(0))
            .optional()?;
        let Some(max) = max.flatten() else {
            return Ok(());
        };
        for user in users {
            self.statement("INSERT OR IGNORE INTO run_losses (run, user) VALUES (?1, ?2)")?
                .execute(params![run.0, user.0])?;
        }
        let lost: i64 = self
            .statement("SELECT count(*) FROM run_losses WHERE run = ?1")?
            .query_one([run.0], |row| row.get(0))?;
        if lost > max {
            let examples = users.iter().take(EXAMPLES).copied();
            return Err(Error::Braked {
                run,
                lost: lost.unsigned_abs(),
                examples: examples.collect(),
            });
        }
        Ok(())
    }

    /// Whether somebody let a run go on that its brake held.
    pub fn was_released(&self, run: RunId) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT losses_max IS NULL FROM runs WHERE id = ?1")?
            .query_row([run.0], |row| row.get(0))
            .optional()?
            .unwrap_or(false))
    }

    /// A run that is at work is held by its brake: nothing that it asked for is
    /// read. What has become urgent meanwhile is counted for it no more. `users`:
    /// some of those whose values it would take.
    pub fn hold_run(&self, run: RunId, why: &Problem, users: &[UserId]) -> Result<(), Error> {
        let held = self
            .statement(
                "UPDATE runs SET status = 'braked', held = ?2
                 WHERE id = ?1 AND status = 'running' AND losses_max IS NOT NULL",
            )?
            .execute(params![run.0, encode::json(why)?])?;
        if held == 0 {
            return Ok(());
        }
        self.statement("DELETE FROM run_examples WHERE run = ?1 AND name = ?2")?
            .execute(params![run.0, HELD])?;
        let users = users.iter().map(|user| Example::User(*user)).collect();
        self.add_run_examples(run, &Examples::from([(HELD.to_owned(), users)]))?;
        for sql in [
            "UPDATE reads SET run = NULL WHERE run = ?1 AND priority <= 1",
            "UPDATE lookups SET run = NULL WHERE run = ?1 AND priority <= 1",
            "UPDATE reads SET not_before = 9223372036854775807 WHERE run = ?1",
            "UPDATE lookups SET not_before = 9223372036854775807 WHERE run = ?1",
        ] {
            self.execute_by_id(sql, run.0)?;
        }
        Ok(())
    }

    /// Some of those whose values a run would take that its brake holds.
    pub fn held_users(&self, run: RunId) -> Result<Vec<UserId>, Error> {
        let kept = self.run_examples(run, HELD)?.into_iter();
        let users = kept.filter_map(|example| match example {
            Example::User(user) => Some(user),
            Example::Record(..) => None,
        });
        Ok(users.collect())
    }

    /// A run that its brake held goes on, without a brake.
    pub fn release_run(&self, run: RunId, now: Timestamp) -> Result<(), Error> {
        for sql in [
            "UPDATE runs SET held = NULL, losses_max = NULL WHERE id = ?1",
            "DELETE FROM run_losses WHERE run = ?1",
        ] {
            self.execute_by_id(sql, run.0)?;
        }
        self.free_held_reads(run, now)?;
        self.set_run_status(run, RunStatus::Running, now)
    }

    pub(super) fn free_held_reads(&self, run: RunId, now: Timestamp) -> Result<(), Error> {
        for sql in [
            "UPDATE reads SET not_before = ?2
             WHERE run = ?1 AND not_before = 9223372036854775807",
            "UPDATE lookups SET not_before = ?2
             WHERE run = ?1 AND not_before = 9223372036854775807",
        ] {
            self.statement(sql)?.execute(params![run.0, now.0])?;
        }
        Ok(())
    }
}
