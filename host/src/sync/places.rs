//! Who is at work: each line once at a time.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::lock;

/// The lines that are in work.
pub(super) struct Working<L> {
    lines: Mutex<HashSet<L>>,
    /// Nothing more was due of one; something may have come to be while it was
    /// still in work.
    pub emptied: Notify,
}

impl<L> Default for Working<L> {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            emptied: Notify::new(),
        }
    }
}

/// A place among the lines that are in work, left however that ends.
pub(super) struct Place<L: Eq + Hash> {
    line: L,
    working: Arc<Working<L>>,
}

impl<L: Clone + Eq + Hash> Place<L> {
    /// The place of a line, unless it is taken.
    pub fn take(working: &Arc<Working<L>>, line: L) -> Option<Self> {
        let is_free = lock(&working.lines).insert(line.clone());
        is_free.then(|| Self {
            line,
            working: working.clone(),
        })
    }
}

impl<L: Eq + Hash> Drop for Place<L> {
    fn drop(&mut self) {
        lock(&self.working.lines).remove(&self.line);
    }
}
