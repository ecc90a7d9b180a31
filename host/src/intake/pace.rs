//! How fast one account is answered while several deliver.
//!
//! A flood that is taken in as fast as it is sent takes the processors from those whose
//! values it is to be applied beside, and waits in the log all the same. So who sends
//! faster than is ever applied is answered a little later each time, and a source that
//! has only so many deliveries under way for an account sends the next one later. What it
//! sent is in the log by then: no delivery waits, only its answer.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::log::Lane;

/// What an account may send in a second while others deliver, too: some 27,000 changes,
/// and more than is applied of it then.
const BYTES_PER_SECOND: u32 = 8 * 1024 * 1024;

/// How far ahead of that an account may be before it has to wait: twenty deliveries of a
/// hundred changes.
const AHEAD_MAX: Duration = Duration::from_millis(80);

/// The longest that an answer waits: a source that waits for it any longer than it must
/// delivers again, and HubSpot waits five seconds.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long an account that delivered counts as one that does.
const DELIVERS_FOR: Duration = Duration::from_secs(60);

/// The pace of all accounts.
#[derive(Default)]
pub struct Pace(Mutex<Accounts>);

#[derive(Default)]
struct Accounts {
    /// When what was sent would have come at the pace that is kept, by account.
    due: HashMap<Lane, Instant>,
    /// When those were last gone through.
    swept_at: Option<Instant>,
}

impl Pace {
    /// How long the answer to so many bytes of an account has to wait.
    pub fn pause(&self, lane: Lane, bytes: usize, now: Instant) -> Duration {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.forget_silent(now);
        let takes = Duration::from_secs(bytes as u64) / BYTES_PER_SECOND;
        let due = accounts.due.entry(lane).or_insert(now);
        // Whoever was alone is not told of it later.
        *due = ((*due).max(now) + takes).min(now + AHEAD_MAX + PAUSE_MAX);
        let ahead = due.duration_since(now);
        match accounts.due.len() {
            1 => Duration::ZERO,
            _ => ahead.saturating_sub(AHEAD_MAX),
        }
    }
}

impl Accounts {
    fn forget_silent(&mut self, now: Instant) {
        let is_silent = |since: Instant| now.saturating_duration_since(since) > DELIVERS_FOR;
        if self.swept_at.is_none_or(is_silent) {
            self.due.retain(|_, due| !is_silent(*due));
            self.swept_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOODS: Lane = Lane(1);
    const TRICKLES: Lane = Lane(2);

    /// Sends so many deliveries of an account's over ten connections, each the next as soon
    /// as its last is answered, which takes no time by itself. Returns how long it took.
    fn flood(pace: &Pace, deliveries: usize, begun: Instant) -> Duration {
        let mut connections = [begun; 10];
        for _ in 0..deliveries {
            let connection = connections.iter_mut().min().expect("ten");
            *connection += pace.pause(FLOODS, 32 * 1024, *connection);
        }
        *connections.iter().max().expect("ten") - begun
    }

    #[test]
    fn who_is_alone_waits_for_nothing() {
        let pace = Pace::default();
        assert_eq!(flood(&pace, 10_000, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn a_flood_beside_others_keeps_the_pace_and_nobody_else_waits() {
        let (pace, begun) = (Pace::default(), Instant::now());
        assert_eq!(pace.pause(TRICKLES, 32 * 1024, begun), Duration::ZERO);
        // 80 MiB.
        let took = flood(&pace, 2_560, begun);
        assert!((9.9..10.1).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(pace.pause(TRICKLES, 32 * 1024, begun), Duration::ZERO);
        assert_eq!(
            pace.pause(TRICKLES, 32 * 1024, begun + took),
            Duration::ZERO
        );
    }

    #[test]
    fn a_few_deliveries_at_once_wait_for_nothing() {
        let (pace, begun) = (Pace::default(), Instant::now());
        pace.pause(TRICKLES, 1, begun);
        let pauses = |at: Instant| {
            (0..20)
                .map(move |_| at)
                .map(|at| pace.pause(FLOODS, 32 * 1024, at))
        };
        assert_eq!(pauses(begun).sum::<Duration>(), Duration::ZERO);
    }

    #[test]
    fn what_somebody_sent_alone_is_forgiven_when_others_come() {
        let (pace, begun) = (Pace::default(), Instant::now());
        flood(&pace, 100_000, begun);
        pace.pause(TRICKLES, 1, begun);
        let pause = pace.pause(FLOODS, BODY, begun);
        assert_eq!(pause, PAUSE_MAX);
        let rested = begun + AHEAD_MAX + PAUSE_MAX;
        assert_eq!(pace.pause(FLOODS, 32 * 1024, rested), Duration::ZERO);
    }

    #[test]
    fn the_others_are_forgotten_once_they_are_silent() {
        let (pace, begun) = (Pace::default(), Instant::now());
        pace.pause(TRICKLES, 1, begun);
        assert_eq!(pace.pause(FLOODS, BODY, begun), PAUSE_MAX);
        let later = begun + DELIVERS_FOR + Duration::from_secs(1);
        assert_eq!(pace.pause(FLOODS, BODY, later), Duration::ZERO);
    }

    /// One of the largest bodies.
    const BODY: usize = 32 * 1024 * 1024;
}
