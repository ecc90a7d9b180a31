//! What search knows of records: for a while, what was before they changed.

use std::collections::{BTreeMap, HashMap};

use crate::changes::Stamp;
use crate::record::Record;

/// What search shows of changed records until it has caught up.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// When search sees a change: moment, number, record.
    due: BTreeMap<(i64, u64), u64>,
    next: u64,
    /// What it shows until then; `None` is a record that it does not know yet.
    stale: HashMap<u64, Option<Record>>,
}

impl Index {
    /// Notes that a record changes now from what it was before.
    pub(crate) fn note(&mut self, id: u64, before: Option<Record>, stamp: Stamp) {
        if stamp.lag_ms <= 0 {
            return;
        }
        self.next += 1;
        self.due.insert((stamp.at + stamp.lag_ms, self.next), id);
        self.stale.entry(id).or_insert(before);
    }

    /// Forgets a record that is gone.
    pub(crate) fn forget(&mut self, id: u64) {
        self.stale.remove(&id);
    }

    /// Lets in what is due.
    pub(crate) fn catch_up(&mut self, now: i64) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let id = entry.remove();
            self.stale.remove(&id);
        }
    }

    /// A live record as search knows it.
    pub(crate) fn shown<'a>(&'a self, live: &'a Record) -> Option<&'a Record> {
        match self.stale.get(&live.id) {
            Some(before) => before.as_ref(),
            None => Some(live),
        }
    }

    /// Whether it knows every record as it is.
    pub(crate) fn is_current(&self) -> bool {
        self.stale.is_empty()
    }
}
