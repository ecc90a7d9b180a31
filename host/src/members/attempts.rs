//! How often it may be tried to sign in: for one address, and in all.
//!
//! Kept in memory: a start forgets it, and takes longer than guessing so often.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::model::Timestamp;

/// Attempts for one address within [`ACCOUNT_WINDOW`] that are not followed by
/// a good one. A person finds the right one of a few passwords with that; who
/// guesses gets a thousand a day.
const ACCOUNT_MAX: u32 = 10;

/// From the first of them.
const ACCOUNT_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Attempts in all within [`ALL_WINDOW`] that are not good: as many keep a core
/// busy for a few seconds.
const ALL_MAX: u32 = 120;

/// From the first of them.
const ALL_WINDOW: Duration = Duration::from_secs(60);

/// The attempts of late.
#[derive(Default)]
pub struct Attempts(Mutex<State>);

#[derive(Default)]
struct State {
    all: Count,
    of_address: HashMap<String, Count>,
}

/// Attempts since a moment.
#[derive(Clone, Copy, Default)]
struct Count {
    since: Timestamp,
    attempts: u32,
}

impl Count {
    /// Counts one more, where one more may be.
    fn take(&mut self, max: u32, window: Duration, now: Timestamp) -> bool {
        if self.is_over(window, now) {
            *self = Self {
                since: now,
                attempts: 0,
            };
        }
        let may = self.attempts < max;
        self.attempts += u32::from(may);
        may
    }

    fn is_over(&self, window: Duration, now: Timestamp) -> bool {
        now.since(self.since) >= window
    }
}

impl Attempts {
    /// Whether an address may be tried once more; then it counts, before it is
    /// known how it ends, so that many at once are no more. What may not is
    /// counted nowhere: who guesses at one address keeps nobody else out.
    pub fn take(&self, address: &str, now: Timestamp) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = state.all.is_over(ALL_WINDOW, now);
        let mut own = state.of_address.get(address).copied().unwrap_or_default();
        if !own.take(ACCOUNT_MAX, ACCOUNT_WINDOW, now) || !state.all.take(ALL_MAX, ALL_WINDOW, now)
        {
            return false;
        }
        if begins {
            // What is left are those of as many windows as fit into the longer.
            state
                .of_address
                .retain(|_, count| !count.is_over(ACCOUNT_WINDOW, now));
        }
        state.of_address.insert(address.to_owned(), own);
        true
    }

    /// An attempt was good: none of the address count any more.
    pub fn forget(&self, address: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.of_address.remove(address).is_some() {
            state.all.attempts = state.all.attempts.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tried_ten_times_in_a_quarter_of_an_hour_and_others_are_not_counted() {
        let attempts = Attempts::default();
        let start = Timestamp(1_000_000);
        for _ in 0..ACCOUNT_MAX {
            assert!(attempts.take("ana", start));
        }
        assert!(!attempts.take("ana", start));
        assert!(attempts.take("mei", start));
        let last = start.plus(ACCOUNT_WINDOW - Duration::from_millis(1));
        assert!(!attempts.take("ana", last));
        assert!(attempts.take("ana", start.plus(ACCOUNT_WINDOW)));
    }

    #[test]
    fn a_good_attempt_makes_those_before_it_forgotten() {
        let attempts = Attempts::default();
        let now = Timestamp(1_000_000);
        for _ in 1..ACCOUNT_MAX {
            assert!(attempts.take("ana", now));
        }
        attempts.forget("ana");
        for _ in 0..ACCOUNT_MAX {
            assert!(attempts.take("ana", now));
        }
        assert!(!attempts.take("ana", now));
    }

    #[test]
    fn who_guesses_at_one_address_keeps_no_other_out() {
        let attempts = Attempts::default();
        let now = Timestamp(1_000_000);
        let taken = (0..10 * ALL_MAX).filter(|_| attempts.take("ana", now));
        assert_eq!(taken.count(), ACCOUNT_MAX as usize);
        for number in ACCOUNT_MAX..ALL_MAX {
            assert!(attempts.take(&number.to_string(), now), "{number}");
        }
        assert!(!attempts.take("one more", now));
    }

    #[test]
    fn of_addresses_that_are_refused_nothing_is_kept() {
        let attempts = Attempts::default();
        let now = Timestamp(1_000_000);
        for number in 0..10 * ALL_MAX {
            attempts.take(&number.to_string(), now);
        }
        let kept = attempts.0.lock().expect("lock").of_address.len();
        assert_eq!(kept, ALL_MAX as usize);
        // Nor is it counted for them.
        let next = now.plus(ALL_WINDOW);
        for _ in 0..ACCOUNT_MAX {
            assert!(attempts.take(&ALL_MAX.to_string(), next));
        }
        assert!(!attempts.take(&ALL_MAX.to_string(), next));
    }

    #[test]
    fn all_addresses_together_are_tried_so_often_a_minute_and_forgotten_in_time() {
        let attempts = Attempts::default();
        let start = Timestamp(1_000_000);
        for number in 0..ALL_MAX {
            assert!(attempts.take(&number.to_string(), start));
        }
        let last = start.plus(ALL_WINDOW - Duration::from_millis(1));
        assert!(!attempts.take("another", last));
        assert!(attempts.take("another", start.plus(ALL_WINDOW)));
        let later = start.plus(ALL_WINDOW + ACCOUNT_WINDOW);
        assert!(attempts.take("another", later));
        assert_eq!(attempts.0.lock().expect("lock").of_address.len(), 1);
    }
}
