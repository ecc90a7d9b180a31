//! What a transaction did, for counts, activity and freshness.

mod record;
mod run;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    brake::{self, HELD},
    plan::Skip,
    routing::ConnectionRoute,
};
use crate::{
    model::{ConnectionId, Missed, ObjectType, RecordId, RunId, Timestamp, UserId},
    store::{
        self, Tx,
        activity::{Activity, NAMED_USERS_MAX},
        hours::{Tally, freshness_bucket},
        runs::Counted,
    },
};

pub use record::RecordReport;
pub use run::RunReport;

/// Lines of activity that are written for a connection, of one origin, within
/// [`ACTIVITY_WINDOW`], and the most of one transaction. A flood is counted in full,
/// and shown by example: else it would write as many lines as values, and drive
/// everything else out of what is kept.
const ACTIVITY_LINES_MAX: usize = 200;

const ACTIVITY_WINDOW: Duration = Duration::from_secs(1);

/// The outcome of a record that changed what users show.
const UPDATED: &str = "updated";

/// The outcome of a record that changed nothing.
const UNCHANGED: &str = "unchanged";

/// The outcome of a record that did nothing, for a reason.
const SKIPPED: &str = "skipped";

/// What a run counts of every record.
const READ: &str = "read";

/// What a run counts of every record that reaches users.
const MATCHED: &str = "matched";

/// What a catch-up counts, by kind, of the records that it updated.
pub const MISSED: &str = "missed";

/// The outcome of a record that was deleted for privacy.
const ERASED: &str = "erased";

/// Where a line comes from that nothing but a mapping caused.
const MAPPING: &str = "mapping";

/// What a transaction did for one connection.
#[derive(Debug, Default)]
pub struct Report {
    counts: BTreeMap<String, i64>,
    /// How late things show, by the run that shows them.
    freshness: BTreeMap<Option<RunId>, BTreeMap<u32, i64>>,
    /// Whether how late something shows says nothing of how fast live is.
    no_news: bool,
    /// What came, and what of it could not be read; what it did the counts say.
    came: Tally,
    lines: Vec<Activity>,
    /// Whom each of the lines, by its index, reached.
    reached: BTreeSet<(usize, UserId)>,
    /// What is counted for runs, and some of what that is.
    runs: BTreeMap<RunId, RunReport>,
    /// The users whose values were cleared or moved, by a run or by what comes
    /// live.
    losses: BTreeMap<Option<RunId>, BTreeSet<UserId>>,
    /// What was counted of each record for a run.
    counted: HashMap<(ObjectType, RecordId), Counted>,
    /// Why those of them did nothing that did not.
    skipped: HashMap<(ObjectType, RecordId), BTreeSet<String>>,
    /// What is counted of records that no line told of when it was, where it is for no run.
    unlined: HashMap<(ObjectType, RecordId), &'static str>,
    /// Where what was told first comes from.
    origin: Option<Origin>,
    /// The run that what is told next is counted for.
    run: Option<RunId>,
    /// Why live should have done what is told next; none where it is no catch-up
    /// that does it.
    pub(super) missed: Option<Missed>,
    /// Where lines come from that no record caused; a mapping, where none is said.
    cause: Option<&'static str>,
}

/// Where a report's lines come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The word for it: `webhook`, `arrival`, `mapping`, ….
    pub word: &'static str,
    /// The plugin version, by digest, where one was asked.
    pub plugin: Option<String>,
}

impl Origin {
    /// Where lines of a connection come from, which another version than the one that
    /// is named may serve.
    pub fn of(&self, route: &ConnectionRoute) -> Cow<'_, Self> {
        match &route.trial {
            None => Cow::Borrowed(self),
            Some(trial) => Cow::Owned(Self {
                plugin: Some(trial.clone()),
                ..self.clone()
            }),
        }
    }
}

impl Report {
    /// Adds to a count.
    pub fn count(&mut self, name: &str, by: i64) {
        match self.counts.get_mut(name) {
            Some(count) => *count += by,
            None => {
                self.counts.insert(name.to_owned(), by);
            }
        }
    }

    /// Changes were told, in what is called by this word.
    pub(super) fn told_by(&mut self, word: &str, changes: usize) {
        let changes = i64::try_from(changes).unwrap_or(i64::MAX);
        self.count("received", changes);
        match word {
            "journal" => self.came.journal += changes,
            _ => self.came.webhooks += changes,
        }
    }

    /// A record was read.
    pub(super) fn was_read(&mut self) {
        self.came.reads += 1;
    }

    /// What is told from here on is counted for this run.
    pub fn count_for(&mut self, run: Option<RunId>) {
        self.run = run;
    }

    /// Where lines come from that no record causes.
    pub fn caused_by(&mut self, word: &'static str) {
        self.cause = Some(word);
    }

    /// A user's value is cleared, or comes from another record.
    pub(super) fn lost(&mut self, user: UserId) {
        self.losses.entry(self.run).or_default().insert(user);
    }

    /// What a record says is not shown on a user, for it is held: told with what
    /// is told of the record already.
    pub(super) fn held(&mut self, object_type: &ObjectType, record: &RecordId) {
        self.count(&format!("skipped.{HELD}"), 1);
        let key = (object_type.clone(), record.clone());
        if let Some(outcome) = self.unlined.get_mut(&key)
            && *outcome == UNCHANGED
        {
            *outcome = SKIPPED;
            self.count(UNCHANGED, -1);
            self.count(SKIPPED, 1);
        }
        let line = self.lines.iter_mut().find(|line| {
            line.object_type.as_ref() == Some(object_type)
                && line.record.as_ref() == Some(record)
                && line.outcome == UNCHANGED
        });
        if let Some(line) = line {
            line.outcome = SKIPPED.to_owned();
            line.reason = Some(HELD.to_owned());
            self.count(UNCHANGED, -1);
            self.count(SKIPPED, 1);
        }
    }

    /// What is told waited for a person: when it shows says nothing of how fast
    /// changes come through.
    pub fn is_no_news(&mut self) {
        self.no_news = true;
    }

    /// A change that happened at `changed_at` shows on users now.
    pub fn fresh(&mut self, changed_at: Timestamp, now: Timestamp) {
        if self.no_news {
            return;
        }
        let milliseconds = u64::try_from(now.since(changed_at).as_millis()).unwrap_or(u64::MAX);
        let of_run = self.freshness.entry(self.run).or_default();
        *of_run.entry(freshness_bucket(milliseconds)).or_default() += 1;
    }

    /// Ends what is told of a record.
    pub fn record(
        &mut self,
        origin: &Origin,
        object_type: &ObjectType,
        record: &RecordId,
        told: RecordReport,
        now: Timestamp,
    ) {
        let outcome = told.outcome();
        self.origin.get_or_insert_with(|| origin.clone());
        self.count(outcome, 1);
        self.came.unreadable += i64::from(told.unreadable);
        for reason in &told.reasons {
            self.count(&format!("skipped.{reason}"), 1);
        }
        let has_room = self.lines.len() < ACTIVITY_LINES_MAX;
        if self.run.is_some() {
            // Each record once, whatever was wrong with it beside.
            let counted = match told.reasons.first() {
                Some(reason) if outcome == SKIPPED => format!("{SKIPPED}.{reason}"),
                _ => outcome.to_owned(),
            };
            self.count_in_run(READ, 1);
            self.count_in_run(MATCHED, i64::from(told.matched));
            self.count_in_run(&counted, 1);
            match outcome {
                UPDATED => self.count_missed(),
                UNCHANGED => {}
                _ => self.example(&counted, object_type, record),
            }
            let key = (object_type.clone(), record.clone());
            if outcome == SKIPPED {
                self.skipped.insert(key.clone(), told.reasons.clone());
            }
            let counted = Counted {
                outcome: counted,
                was_read: true,
                matched: told.matched,
            };
            self.counted.insert(key, counted);
        }
        if !has_room && self.run.is_none() {
            let key = (object_type.clone(), record.clone());
            self.unlined.insert(key, outcome);
        }
        // What a run found to be as it was is counted, and no news.
        if !has_room || (self.run.is_some() && told.is_as_before()) {
            return;
        }
        let reasons: Vec<_> = told.reasons.into_iter().collect();
        // Those whom the line will not name are known to be counted by this.
        if told.users.len() > NAMED_USERS_MAX {
            let index = self.lines.len();
            self.reached
                .extend(told.users.iter().map(|user| (index, *user)));
        }
        self.lines.push(Activity {
            users_count: u64::try_from(told.users.len()).unwrap_or(u64::MAX),
            users: told.users.into_iter().take(NAMED_USERS_MAX).collect(),
            at: now,
            origin: origin.word.to_owned(),
            object_type: Some(object_type.clone()),
            record: Some(record.clone()),
            outcome: outcome.to_owned(),
            reason: (!reasons.is_empty()).then(|| reasons.join(", ")),
            variables: told.variables.into_iter().collect(),
            plugin: origin.plugin.clone(),
            ..Activity::default()
        });
    }

    /// Something was said of a record that was erased: nothing names it.
    pub fn passed_over_erased(&mut self) {
        self.count(SKIPPED, 1);
        self.count("skipped.erased", 1);
    }

    /// A record was erased: that is told, and not which one.
    pub fn erased(&mut self, origin: &Origin, object_type: &ObjectType, now: Timestamp) {
        self.count(ERASED, 1);
        if self.lines.len() < ACTIVITY_LINES_MAX {
            self.lines.push(Activity {
                at: now,
                origin: origin.word.to_owned(),
                object_type: Some(object_type.clone()),
                outcome: ERASED.to_owned(),
                plugin: origin.plugin.clone(),
                ..Activity::default()
            });
        }
    }

    /// A user's values changed because another record feeds them now, or none:
    /// told with what is told of the record already.
    pub fn selected(
        &mut self,
        object_type: &ObjectType,
        record: &RecordId,
        user: UserId,
        variables: Vec<String>,
        now: Timestamp,
    ) {
        let told = self.lines.iter().position(|line| {
            line.object_type.as_ref() == Some(object_type) && line.record.as_ref() == Some(record)
        });
        let before = match (self.run, told) {
            (Some(_), _) => self.updated(object_type, record),
            (None, Some(_)) => None,
            (None, None) => {
                let key = (object_type.clone(), record.clone());
                self.unlined.insert(key, UPDATED).map(str::to_owned)
            }
        };
        let Some(index) = told else {
            if before.as_deref() != Some(UPDATED) {
                self.count(UPDATED, 1);
                if let Some(before) = before {
                    self.uncount(&before, object_type, record);
                }
            }
            if self.lines.len() < ACTIVITY_LINES_MAX {
                // What caused it is told of another record, or of this one as being as
                // it was.
                let cause = self.lines.last();
                let first = self.origin.as_ref();
                let alone = first.map(|origin| origin.word).or(self.cause);
                let alone = alone.unwrap_or(MAPPING);
                let plugin = match cause {
                    Some(line) => line.plugin.clone(),
                    None => first.and_then(|origin| origin.plugin.clone()),
                };
                self.lines.push(Activity {
                    at: now,
                    origin: cause.map_or(alone, |line| &line.origin).to_owned(),
                    object_type: Some(object_type.clone()),
                    record: Some(record.clone()),
                    outcome: UPDATED.to_owned(),
                    users: vec![user],
                    users_count: 1,
                    variables,
                    plugin,
                    ..Activity::default()
                });
            }
            return;
        };
        let line = &mut self.lines[index];
        // A line may name whom it reached from its beginning.
        if !line.users.contains(&user) && self.reached.insert((index, user)) {
            line.reached(user);
        }
        if line.outcome != UPDATED {
            let before = std::mem::replace(&mut line.outcome, UPDATED.to_owned());
            self.count(&before, -1);
            self.count(UPDATED, 1);
        }
        let line = &mut self.lines[index];
        line.variables.extend(variables);
        line.variables.sort();
        line.variables.dedup();
    }

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

#[cfg(test)]
mod tests;
