//! What a transaction did, for counts, activity and freshness.

mod record;
mod run;
mod save;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    time::Duration,
};

use super::{brake::HELD, routing::ConnectionRoute};
use crate::{
    model::{Missed, ObjectType, RecordId, RunId, Timestamp, UserId},
    store::{
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
    /// What was told of each record.
    told: HashMap<(ObjectType, RecordId), Told>,
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

/// What was told of a record.
#[derive(Debug)]
struct Told {
    /// What it is counted as.
    outcome: &'static str,
    /// Why, as far as that is counted.
    reasons: BTreeSet<String>,
    /// The index of the line that tells of it.
    line: Option<usize>,
}

impl Told {
    /// How much its outcome says of what users show.
    fn weight(&self) -> u8 {
        match self.outcome {
            UPDATED => 2,
            UNCHANGED => 1,
            _ => 0,
        }
    }
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
        let told = self.told.get_mut(&key);
        let Some(told) = told.filter(|told| told.outcome == UNCHANGED) else {
            return;
        };
        told.outcome = SKIPPED;
        if let Some(line) = told.line.map(|index| &mut self.lines[index]) {
            line.outcome = SKIPPED.to_owned();
            line.reason = Some(HELD.to_owned());
        }
        self.count(UNCHANGED, -1);
        self.count(SKIPPED, 1);
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
        let key = (object_type.clone(), record.clone());
        if self.run.is_some() {
            // Each record once, whatever was wrong with it beside.
            let counted = match told.reasons.first() {
                Some(reason) if outcome == SKIPPED => format!("{SKIPPED}.{reason}"),
                _ => outcome.to_owned(),
            };
            let counted = Counted {
                outcome: counted,
                was_read: true,
                matched: told.matched,
            };
            self.count_in_run_once(key.clone(), counted);
        }
        // What a run found to be as it was is counted, and no news.
        let is_news = self.run.is_none() || !told.is_as_before();
        let line = (is_news && self.has_room()).then_some(self.lines.len());
        if let Some(index) = line {
            // Those whom the line will not name are known to be counted by this.
            if told.users.len() > NAMED_USERS_MAX {
                self.reached
                    .extend(told.users.iter().map(|user| (index, *user)));
            }
            let reasons: Vec<&str> = told.reasons.iter().map(String::as_str).collect();
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
        let now_told = Told {
            outcome,
            reasons: told.reasons,
            line,
        };
        match self.told.entry(key) {
            Entry::Vacant(told) => drop(told.insert(now_told)),
            // Told of once more in this transaction: what it came to says the most.
            Entry::Occupied(mut told) if told.get().weight() < now_told.weight() => {
                told.insert(now_told);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// Something was said of a record that was erased: nothing names it.
    pub fn passed_over_erased(&mut self) {
        self.count(SKIPPED, 1);
        self.count("skipped.erased", 1);
    }

    /// A record was erased: that is told, and not which one.
    pub fn erased(&mut self, origin: &Origin, object_type: &ObjectType, now: Timestamp) {
        self.count(ERASED, 1);
        if self.has_room() {
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
        let key = (object_type.clone(), record.clone());
        if self.run.is_some() {
            let counted = Counted {
                outcome: UPDATED.to_owned(),
                was_read: false,
                matched: false,
            };
            self.count_in_run_once(key.clone(), counted);
        }
        let before = self.told.remove(&key);
        let line = match before.as_ref().and_then(|before| before.line) {
            Some(index) => {
                self.add_to_line(index, user, variables);
                Some(index)
            }
            // A later user of the same record has room no more than this one.
            None => self.has_room().then(|| {
                self.add_line_of_selected(object_type, record, user, variables, now);
                self.lines.len() - 1
            }),
        };
        let was_updated = before.as_ref().is_some_and(|told| told.outcome == UPDATED);
        if !was_updated {
            self.count(UPDATED, 1);
            if let Some(before) = before {
                self.uncount(before);
            }
        }
        let told = Told {
            outcome: UPDATED,
            reasons: BTreeSet::new(),
            line,
        };
        self.told.insert(key, told);
    }

    fn add_to_line(&mut self, index: usize, user: UserId, variables: Vec<String>) {
        let line = &mut self.lines[index];
        // A line may name whom it reached from its beginning.
        if !line.users.contains(&user) && self.reached.insert((index, user)) {
            line.reached(user);
        }
        line.outcome = UPDATED.to_owned();
        line.variables.extend(variables);
        line.variables.sort();
        line.variables.dedup();
    }

    fn add_line_of_selected(
        &mut self,
        object_type: &ObjectType,
        record: &RecordId,
        user: UserId,
        variables: Vec<String>,
        now: Timestamp,
    ) {
        // What caused it is told of another record, or of this one as being as it was.
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

    /// Takes back what was counted of a record: how it ended, and why.
    fn uncount(&mut self, told: Told) {
        self.count(told.outcome, -1);
        for reason in told.reasons {
            self.count(&format!("{SKIPPED}.{reason}"), -1);
        }
    }

    fn has_room(&self) -> bool {
        self.lines.len() < ACTIVITY_LINES_MAX
    }
}

#[cfg(test)]
mod tests;
