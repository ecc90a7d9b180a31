//! What is counted for a run, with each record counted once.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use super::{MATCHED, MISSED, READ, Report, UPDATED};
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
            let outcome = match weight(&now) > weight(&before) {
                true => &now.outcome,
                false => &before.outcome,
            };
            let both = Counted {
                outcome: outcome.clone(),
                was_read: before.was_read || now.was_read,
                matched: before.matched || now.matched,
            };
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

    /// A record turns out to change what users show, whatever was counted of it for the
    /// run.
    pub(super) fn updated(&mut self, object_type: &ObjectType, record: &RecordId) {
        let counted = self.counted.entry((object_type.clone(), record.clone()));
        let before = match counted {
            Entry::Occupied(mut counted) if counted.get().outcome != UPDATED => {
                let outcome = UPDATED.to_owned();
                Some(std::mem::replace(&mut counted.get_mut().outcome, outcome))
            }
            Entry::Occupied(_) => return,
            Entry::Vacant(counted) => {
                counted.insert(Counted {
                    outcome: UPDATED.to_owned(),
                    was_read: false,
                    matched: false,
                });
                None
            }
        };
        if let Some(before) = before {
            self.count_in_run(&before, -1);
            self.no_example(&before, object_type, record);
        }
        self.count_in_run(UPDATED, 1);
        self.count_missed();
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

/// How much what was counted of a record says.
fn weight(counted: &Counted) -> u8 {
    match (counted.outcome.as_str(), counted.matched) {
        (UPDATED, _) => 2,
        (_, true) => 1,
        (_, false) => 0,
    }
}
