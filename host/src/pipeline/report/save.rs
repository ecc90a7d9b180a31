//! What a transaction did, written with it.

use super::{ACTIVITY_LINES_MAX, ACTIVITY_WINDOW, Report, SKIPPED, UNCHANGED, UPDATED};
use crate::{
    model::{ConnectionId, Timestamp},
    pipeline::{brake, plan::Skip},
    store::{self, Tx, hours::Tally},
};

impl Report {
    /// What came, and what it did.
    fn tally(&self) -> Tally {
        let count = |name: &str| self.counts.get(name).copied().unwrap_or(0);
        let skipped = count(SKIPPED);
        let because = |skip: Skip| count(&format!("{SKIPPED}.{}", skip.as_str()));
        let no_match = because(Skip::NoMatch).min(skipped);
        let waiting = because(Skip::NotReached).min(skipped - no_match);
        // What was known already is nothing new, whichever way it came first.
        let known = because(Skip::Older).min(skipped - no_match - waiting);
        Tally {
            updated: count(UPDATED),
            unchanged: count(UNCHANGED) + known,
            no_match,
            waiting,
            skipped: skipped - no_match - waiting - known,
            values_written: count("values_written"),
            ..self.came
        }
    }

    /// Writes the report.
    ///
    /// # Errors
    ///
    /// [`store::Error::Braked`] where a run took values from too many users, and
    /// [`store::Error::BrakedLive`] where what comes live did; then all of the
    /// transaction has to be undone.
    pub fn save(
        self,
        tx: &Tx<'_>,
        connection: ConnectionId,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        tx.add_counts(connection, &self.counts)?;
        for (run, freshness) in &self.freshness {
            // How long it waited for a person says nothing of how fast it is.
            let has_waited = match run {
                Some(run) => tx.was_released(*run)?,
                None => false,
            };
            if !has_waited {
                tx.add_freshness(connection, now, freshness)?;
            }
        }
        let tally = self.tally();
        if tally != Tally::default() {
            tx.add_to_hour(connection, now, &tally)?;
        }
        for (run, users) in &self.losses {
            match run {
                Some(run) => tx.add_run_losses(*run, users)?,
                None => brake::count(tx, connection, users, now)?,
            }
        }
        for (run, counted) in &self.runs {
            counted.save(tx, *run)?;
        }
        let Some(first) = self.lines.first() else {
            return Ok(());
        };
        // By origin, so that a full sync's lines leave room for those of what comes live.
        let since = first.at.minus(ACTIVITY_WINDOW);
        let within = (since, first.at);
        let written = tx.activity_within(connection, &first.origin, within, ACTIVITY_LINES_MAX)?;
        for line in self.lines.iter().take(ACTIVITY_LINES_MAX - written) {
            tx.add_activity(connection, line)?;
        }
        Ok(())
    }
}
