//! How fast an account is answered while several are at work.
//!
//! A flood that is taken in as fast as it is sent takes the processors from those whose
//! values it is to be applied beside, and waits in the log all the same. So who sends
//! faster than is ever applied then is answered a little later each time, and a source
//! that has only so many deliveries of an account under way sends the next one later.
//! What it sent is in the log by then: no delivery waits, only its answer.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::log::Lane;

/// What may be sent in a second, by one account or by all that flood: some 27,000 changes
/// in large deliveries, and more than is applied of them while others are at work.
const BYTES_PER_SECOND: u32 = 8 * 1024 * 1024;

/// What a delivery counts for beside its bytes: one of a single change takes as much of
/// the processors as that many bytes of a large one.
const DELIVERY_BYTES: usize = 2 * 1024;

/// How far ahead of that an account may be before it has to wait: twenty deliveries of a
/// hundred changes.
const AHEAD_MAX: Duration = Duration::from_millis(80);

/// The longest that an answer waits. A source delivers again when it has waited too long,
/// HubSpot after five seconds.
const WAIT_MAX: Duration = Duration::from_millis(250);

/// The pace of all accounts: when what each sent would have come at the pace that is kept.
#[derive(Default)]
pub struct Pace(Mutex<HashMap<Lane, Instant>>);

impl Pace {
    /// Until when the answer to a delivery of an account waits, of so many bytes.
    pub fn until(&self, lane: Lane, bytes: usize, now: Instant) -> Instant {
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        due.retain(|_, due| *due > now);
        let floods = due.values().filter(|due| **due > now + AHEAD_MAX).count();
        let takes = Duration::from_secs((bytes + DELIVERY_BYTES) as u64) / BYTES_PER_SECOND;
        let takes = takes * u32::try_from(floods.max(1)).unwrap_or(u32::MAX);
        let due = due.entry(lane).or_insert(now);
        *due = (*due + takes).min(now + AHEAD_MAX + WAIT_MAX);
        now.max(*due - AHEAD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRICKLES: Lane = Lane(0);
    const LARGE: usize = 32 * 1024;

    /// Has each of some accounts send so many deliveries over ten connections, each the
    /// next as soon as its last is answered, which takes no time by itself. Returns when
    /// the last is.
    fn flood(
        pace: &Pace,
        accounts: i64,
        deliveries: usize,
        bytes: usize,
        begun: Instant,
    ) -> Instant {
        let connections = (0..10 * accounts).map(|number| (begun, Lane(1 + number % accounts)));
        let mut connections: Vec<_> = connections.collect();
        for _ in 0..deliveries {
            let (answered, lane) = connections.iter_mut().min().expect("some");
            *answered = pace.until(*lane, bytes, *answered);
        }
        connections.into_iter().max().expect("some").0
    }

    #[test]
    fn a_flood_keeps_the_pace_and_nobody_else_waits() {
        let (pace, begun) = (Pace::default(), Instant::now());
        // 80 MiB.
        let ended = flood(&pace, 1, 2_560, LARGE, begun);
        let took = (ended - begun).as_secs_f64();
        assert!((10.0..11.0).contains(&took), "{took}");
        assert_eq!(pace.until(TRICKLES, LARGE, ended), ended);
    }

    #[test]
    fn several_floods_share_the_pace() {
        let (pace, begun) = (Pace::default(), Instant::now());
        let took = flood(&pace, 4, 2_560, LARGE, begun) - begun;
        let took = took.as_secs_f64();
        assert!((9.0..12.0).contains(&took), "{took}");
    }

    #[test]
    fn a_flood_of_small_deliveries_keeps_the_pace_too() {
        let (pace, begun) = (Pace::default(), Instant::now());
        let took = flood(&pace, 1, 20_000, 300, begun) - begun;
        assert!(took > Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn a_few_deliveries_at_once_wait_for_nothing() {
        let (pace, now) = (Pace::default(), Instant::now());
        let mut waits = (0..18).map(|_| pace.until(Lane(1), LARGE, now));
        assert!(waits.all(|until| until == now));
    }

    #[test]
    fn no_answer_waits_for_longer_than_it_may_and_who_rests_begins_anew() {
        let (pace, now) = (Pace::default(), Instant::now());
        for _ in 0..5 {
            assert!(pace.until(Lane(1), 32 << 20, now) <= now + WAIT_MAX);
        }
        let rested = now + AHEAD_MAX + WAIT_MAX;
        assert_eq!(pace.until(Lane(1), LARGE, rested), rested);
    }
}
