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
    /// Records that were deleted or merged away, as it goes on showing them until then.
    lingering: BTreeMap<u64, Record>,
}

impl Index {
    /// Notes that a record changes now from what it was before.
    pub(crate) fn note(&mut self, id: u64, before: Option<Record>, stamp: Stamp) {
        if stamp.lag_ms <= 0 {
            return;
        }
        self.catch_up(stamp.at);
        self.lingering.remove(&id);
        self.will_catch_up(id, stamp);
        self.stale.entry(id).or_insert(before);
    }

    /// Notes that a record is gone: for a while it is still found as it was.
    pub(crate) fn gone(&mut self, before: &Record, stamp: Stamp) {
        self.catch_up(stamp.at);
        let known = self.stale.remove(&before.id);
        if stamp.lag_ms <= 0 {
            return;
        }
        if let Some(known) = known.unwrap_or_else(|| Some(before.clone())) {
            self.will_catch_up(before.id, stamp);
            self.lingering.insert(before.id, known);
        }
    }

    /// Forgets a record of which nothing stays.
    pub(crate) fn forget(&mut self, id: u64) {
        self.stale.remove(&id);
        self.lingering.remove(&id);
    }

    fn will_catch_up(&mut self, id: u64, stamp: Stamp) {
        self.next += 1;
        self.due.insert((stamp.at + stamp.lag_ms, self.next), id);
    }

    /// Lets in what is due.
    pub(crate) fn catch_up(&mut self, now: i64) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let id = entry.remove();
            self.stale.remove(&id);
            self.lingering.remove(&id);
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
        self.stale.is_empty() && self.lingering.is_empty()
    }

    /// The records that are gone, and that it still shows.
    pub(crate) fn lingering(&self) -> &BTreeMap<u64, Record> {
        &self.lingering
    }
}
