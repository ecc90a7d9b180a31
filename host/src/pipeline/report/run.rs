//! What is counted for a run, with each record counted once.

use std::collections::{BTreeSet, HashMap};

use super::{MATCHED, READ, UPDATED};
use crate::{
    model::{ObjectType, RecordId, RunId, UserId},
    store::{
        self, Tx,
        runs::{Counted, Counts, Example, Examples},
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

/// How much what was counted of a record says.
fn weight(counted: &Counted) -> u8 {
    match (counted.outcome.as_str(), counted.matched) {
        (UPDATED, _) => 2,
        (_, true) => 1,
        (_, false) => 0,
    }
}
