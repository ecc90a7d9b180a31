//! What is counted for a run, with each record counted once.

use std::collections::{BTreeSet, HashMap};

use super::{MATCHED, MISSED, READ, Report, UNCHANGED, UPDATED};
use crate::{
    model::{ObjectType, RecordId, RunId, UserId},
    store::{
        self, Tx,
        runs::{Counted, Counts, EXAMPLES_MAX, Example, Examples},
    },
};

/// What was counted for a run.
#[derive(Debug, Default)]
pub struct RunReport {
    pub(super) counts: Counts,
    pub(super) examples: Examples,
    /// What was counted of each record.
    pub(super) records: HashMap<(ObjectType, RecordId), Counted>,
    /// The users who show something else.
    pub(super) users: BTreeSet<UserId>,
}

impl RunReport {
    /// Adds it to the run, with each user, and each record of some object types,
    /// counted once, however many steps of the run meet them: what a record would
    /// change counts most, and then what was found first.
    ///
    /// # Errors
    ///
    /// The store's own.
    pub fn save_once(
        mut self,
        tx: &Tx<'_>,
        run: RunId,
        is_met_again: impl Fn(&ObjectType) -> bool,
    ) -> Result<(), store::Error> {
        for ((object_type, record), now) in std::mem::take(&mut self.records) {
            if !is_met_again(&object_type) {
                continue;
            }
            let Some(before) = tx.counted(run, &object_type, &record)? else {
                tx.keep_counted(run, &object_type, &record, &now)?;
                continue;
            };
            let both = before.with(&now);
            self.add(&both, 1);
            self.add(&before, -1);
            self.add(&now, -1);
            let that = Example::Record(object_type.clone(), record.clone());
            for name in [&before.outcome, &now.outcome] {
                if *name != both.outcome {
                    tx.remove_run_example(run, name, &object_type, &record)?;
                    if let Some(some) = self.examples.get_mut(name) {
                        some.retain(|example| *example != that);
                    }
                }
            }
            tx.keep_counted(run, &object_type, &record, &both)?;
        }
        tx.count_run_users(run, &self.users)?;
        self.save(tx, run)
    }

    /// Adds what is counted of a record, so many times.
    fn add(&mut self, counted: &Counted, times: i64) {
        let names = [
            (READ, counted.was_read),
            (MATCHED, counted.matched),
            (&counted.outcome, true),
        ];
        for (name, is_counted) in names {
            if is_counted {
                *self.counts.entry(name.to_owned()).or_default() += times;
            }
        }
    }

    /// Adds it to the run.
    ///
    /// # Errors
    ///
    /// The store's own.
    pub fn save(&self, tx: &Tx<'_>, run: RunId) -> Result<(), store::Error> {
        tx.add_run_counts(run, &self.counts)?;
        tx.add_run_examples(run, &self.examples)
    }
}

/// What is told, counted for the run that it is told for.
impl Report {
    /// What was counted for a run.
    pub fn counted_for(mut self, run: RunId) -> RunReport {
        RunReport {
            records: self.counted,
            ..self.runs.remove(&run).unwrap_or_default()
        }
    }

    /// Adds to a count of the run that is counted for.
    pub(super) fn count_in_run(&mut self, name: &str, by: i64) {
        if let Some(run) = self.run {
            let counts = &mut self.runs.entry(run).or_default().counts;
            *counts.entry(name.to_owned()).or_default() += by;
        }
    }

    /// A user shows something else, by one value: counted under `name` for the run that
    /// is counted for.
    pub(in crate::pipeline) fn shows_otherwise(&mut self, user: UserId, name: &str) {
        self.count_in_run(name, 1);
        if let Some(run) = self.run {
            self.runs.entry(run).or_default().users.insert(user);
        }
    }

    /// Counts a record for the run that is counted for: once, whatever more is told of it.
    pub(super) fn count_in_run_once(&mut self, key: (ObjectType, RecordId), now: Counted) {
        let Some(run) = self.run else {
            return;
        };
        let before = self.counted.get(&key);
        let both = before.map_or_else(|| now.clone(), |before| before.with(&now));
        let before = before.cloned();
        let report = self.runs.entry(run).or_default();
        report.add(&both, 1);
        if let Some(before) = &before {
            report.add(before, -1);
        }
        if before
            .as_ref()
            .is_none_or(|before| before.outcome != both.outcome)
        {
            let (object_type, record) = &key;
            if let Some(before) = &before {
                self.no_example(&before.outcome, object_type, record);
            }
            match both.outcome.as_str() {
                UPDATED => self.count_missed(),
                UNCHANGED => {}
                outcome => self.example(outcome, object_type, record),
            }
        }
        self.counted.insert(key, both);
    }

    /// Something that did nothing, for the run that is counted for.
    pub(super) fn example(&mut self, name: &str, object_type: &ObjectType, record: &RecordId) {
        let Some(run) = self.run else {
            return;
        };
        let examples = &mut self.runs.entry(run).or_default().examples;
        let some = examples.entry(name.to_owned()).or_default();
        if some.len() < EXAMPLES_MAX {
            some.push(Example::Record(object_type.clone(), record.clone()));
        }
    }

    fn no_example(&mut self, name: &str, object_type: &ObjectType, record: &RecordId) {
        let run = self.run.and_then(|run| self.runs.get_mut(&run));
        if let Some(some) = run.and_then(|run| run.examples.get_mut(name)) {
            let that = Example::Record(object_type.clone(), record.clone());
            some.retain(|example| *example != that);
        }
    }

    pub(super) fn count_missed(&mut self) {
        if let Some(missed) = self.missed {
            self.count_in_run(&format!("{MISSED}.{}", missed.as_str()), 1);
        }
    }
}

impl Counted {
    /// What is counted of a record that more was found of: what says the most, and then
    /// what was found first.
    fn with(&self, more: &Self) -> Self {
        let outcome = match more.weight() > self.weight() {
            true => &more.outcome,
            false => &self.outcome,
        };
        Self {
            outcome: outcome.clone(),
            was_read: self.was_read || more.was_read,
            matched: self.matched || more.matched,
        }
    }

    /// How much it says.
    fn weight(&self) -> u8 {
        match (self.outcome.as_str(), self.matched) {
            (UPDATED, _) => 2,
            (_, true) => 1,
            (_, false) => 0,
        }
    }
}
