//! Who is at work: each line once at a time, however its work ends.
//!
//! Nobody waits for what comes of it; where somebody does, [`super::joint`] is
//! what fits.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::lock;

/// How long a line is left alone whose work ended abruptly: it is a defect, and
/// the same again may end the same way.
const AFTER_DEFECT: Duration = Duration::from_secs(60);

/// The lines that are in work.
pub(super) struct Working<L> {
    lines: Mutex<HashMap<L, State>>,
    /// A line ended that more may be due of; something may have come to be while
    /// it was still in work.
    pub emptied: Notify,
}

/// What keeps a line from being begun.
enum State {
    /// It is in work.
    InWork,
    /// Its work ended abruptly, and begins no sooner.
    Until(Instant),
}

impl State {
    fn is_over(&self) -> bool {
        matches!(self, Self::Until(moment) if *moment <= Instant::now())
    }
}

impl<L> Default for Working<L> {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            emptied: Notify::new(),
        }
    }
}

impl<L: Clone + Eq + Hash> Working<L> {
    /// The lines whose place is taken.
    pub fn taken(&self) -> HashSet<L> {
        let mut lines = lock(&self.lines);
        lines.retain(|_, state| !state.is_over());
        lines.keys().cloned().collect()
    }
}

/// A place among the lines that are in work, left however that ends.
pub(super) struct Place<L: Clone + Eq + Hash> {
    line: L,
    working: Arc<Working<L>>,
}

impl<L: Clone + Eq + Hash> Place<L> {
    /// The place of a line, unless it is taken.
    pub fn take(working: &Arc<Working<L>>, line: L) -> Option<Self> {
        let mut lines = lock(&working.lines);
        if lines.get(&line).is_some_and(|state| !state.is_over()) {
            return None;
        }
        lines.insert(line.clone(), State::InWork);
        drop(lines);
        Some(Self {
            line,
            working: working.clone(),
        })
    }
}

impl<L: Clone + Eq + Hash> Drop for Place<L> {
    fn drop(&mut self) {
        let mut lines = lock(&self.working.lines);
        if std::thread::panicking() {
            let until = State::Until(Instant::now() + AFTER_DEFECT);
            lines.insert(self.line.clone(), until);
        } else {
            lines.remove(&self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_work_once_at_a_time() {
        let working = Arc::default();
        let place = Place::take(&working, 1).expect("a place");
        assert!(Place::take(&working, 1).is_none());
        assert!(Place::take(&working, 2).is_some());
        assert_eq!(working.taken(), [1].into());
        drop(place);
        assert!(Place::take(&working, 1).is_some());
    }

    #[tokio::test]
    async fn work_that_panics_is_left_alone_for_a_while_and_then_begun_again() {
        let working = Arc::new(Working::default());
        let place = Place::take(&working, 1).expect("a place");
        let broken = tokio::spawn(async move {
            let _place = place;
            tokio::task::yield_now().await;
            panic!("a test");
        });
        assert!(broken.await.is_err());
        assert!(Place::take(&working, 1).is_none());
        assert_eq!(working.taken(), [1].into());
        let now = State::Until(Instant::now());
        lock(&working.lines).insert(1, now);
        assert!(working.taken().is_empty());
        assert!(Place::take(&working, 1).is_some());
    }
}
