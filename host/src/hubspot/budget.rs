//! How many calls an account allows: the decisions alone, as functions of what
//! was seen and of the time that is passed in. `gate.rs` waits by them.
//!
//! Sources: HubSpot's usage guidelines (limits, headers, policies) and its
//! API specifications (which calls have a budget of their own).
//!
//! Architecture invariant: HubSpot counts a call at some moment between its
//! start and its answer, so a call takes its place from its start until one
//! interval after its end. Whatever the network does, no more calls are counted
//! in any interval than the share allows.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{
    day::Day,
    rates::{Policy, Rates},
    window::{Window, together},
};
use crate::model::{Priority, Timestamp};

/// The share of each limit that we use when nothing else is set; the rest is
/// for the customer's other apps, and for clocks that differ. All apps together
/// are kept within it too, as far as answers tell of theirs, unless more is set:
/// a smaller share is not to be used up by others.
pub const SHARE: f64 = 0.95;
/// The lowest documented limit (a private app in a Free account), used until an
/// answer tells the true one.
const GENERAL_MAX: u32 = 100;
/// Searches in a second, shared with all apps of the account; no answer tells.
const SEARCH_MAX: u32 = 5;
/// Batch calls to associations: 100 in the smallest accounts until an answer
/// tells more. More than [`ASSOCIATIONS_TOLD_MAX`] is not believed, since
/// whether answers there speak of this budget or of the general one is not
/// documented.
const ASSOCIATIONS_MAX: u32 = 100;
const ASSOCIATIONS_TOLD_MAX: u32 = 150;
const TEN_SECONDS: Duration = Duration::from_secs(10);
const ONE_SECOND: Duration = Duration::from_secs(1);
/// How many times longer than the first a pause may get, when each try after a
/// pause is refused again.
const STRIKES_MAX: u32 = 6;
/// How long a refused search speaks of what other apps search: then one more a
/// second is tried again, and after as long another one. All of them at once would
/// be refused again and again where others go on.
const OTHERS_SEARCH: Duration = Duration::from_secs(30);
/// How long a spent day is believed in when the account's time zone is not
/// known; then one call asks again.
const DAY_UNKNOWN: Duration = Duration::from_secs(3_600);

/// What a call is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// All that has no budget of its own.
    General,
    /// Searches.
    Search,
    /// Batch calls to associations.
    Associations,
}

impl Priority {
    /// How much of our share of the day may be used by it: the rest is left to
    /// those who come first.
    pub(super) fn part(self) -> f64 {
        match self {
            Self::Live | Self::Arrival => 1.0,
            Self::CatchUp => 0.95,
            Self::FullSync => 0.9,
        }
    }
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Go,
    /// Not before this moment, or before a call ends when there is none.
    Wait(Option<Timestamp>),
    /// Not before this moment, because the day's calls are spent.
    DaySpent(Timestamp),
}

/// What is used of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Calls of ours that are counted.
    pub used: u32,
    /// Calls that we allow ourselves, beside what is known of others'.
    pub allowed: u32,
    /// When nothing of it is used any more.
    pub resets_at: Timestamp,
}

impl Usage {
    /// The part of what we allow ourselves that is left, from 0 to 1.
    pub fn left(&self) -> f64 {
        match self.allowed {
            0 => 0.0,
            allowed => 1.0 - f64::from(self.used.min(allowed)) / f64::from(allowed),
        }
    }
}

/// What is known of an account's limits.
#[derive(Debug)]
pub struct Ledger {
    share: f64,
    general: Window,
    search: Window,
    associations: Window,
    /// The day of all calls but those that count in the next.
    day: Option<Day>,
    /// The day of batch calls to associations, which have one of their own.
    associations_day: Option<Day>,
    zone: Option<TimeZone>,
}

impl Ledger {
    /// Of an account not yet heard of, using at most `share` (0 to 1) of each
    /// limit.
    pub fn new(share: f64) -> Self {
        Self {
            share: share.clamp(0.0, 1.0),
            general: Window::new(GENERAL_MAX, TEN_SECONDS),
            search: Window {
                others_fade: Some(OTHERS_SEARCH),
                ..Window::new(SEARCH_MAX, ONE_SECOND)
            },
            associations: Window::new(ASSOCIATIONS_MAX, TEN_SECONDS),
            day: None,
            associations_day: None,
            zone: None,
        }
    }

    /// The account's time zone: its day starts at midnight there.
    pub fn set_zone(&mut self, zone: TimeZone) {
        self.zone = Some(zone);
    }

    fn window(&mut self, pool: Pool) -> &mut Window {
        match pool {
            Pool::General => &mut self.general,
            Pool::Search => &mut self.search,
            Pool::Associations => &mut self.associations,
        }
    }

    /// Searches are exempt from the ten seconds' limit, not from the day's.
    fn day(&mut self, pool: Pool) -> &mut Option<Day> {
        match pool {
            Pool::General | Pool::Search => &mut self.day,
            Pool::Associations => &mut self.associations_day,
        }
    }

    /// Whether a call of this priority may start now.
    pub fn check(&mut self, pool: Pool, priority: Priority, now: Timestamp) -> Verdict {
        let share = self.share;
        let day = self.day(pool);
        // What is over tells nothing of the next day.
        *day = day.filter(|day| now < day.ends_at);
        if let Some(day) = day.filter(|day| day.is_spent(share, priority)) {
            return Verdict::DaySpent(day.ends_at);
        }
        self.window(pool).check(share, now)
    }

    /// A call starts.
    pub fn start(&mut self, pool: Pool) {
        self.window(pool).in_flight += 1;
        if let Some(day) = self.day(pool) {
            day.left = day.left.saturating_sub(1);
            day.ours = day.ours.saturating_add(1);
        }
    }

    /// A call that was started has ended; `rates` of its answer, if one came.
    pub fn finish(&mut self, pool: Pool, rates: Option<&Rates>, now: Timestamp) {
        let ends_at = self.day_ends_at(now);
        let window = self.window(pool);
        window.settle(now);
        window.in_flight = window.in_flight.saturating_sub(1);
        window.recent.push_back(now);
        let Some(rates) = rates else { return };
        // Search tells nothing; what comes there is not its own.
        if let Some((max, left, interval)) = rates.window.filter(|_| pool != Pool::Search) {
            window.max = match pool {
                Pool::Associations => max.min(ASSOCIATIONS_TOLD_MAX),
                _ => max,
            };
            window.interval = interval;
            let ours = window.ours();
            let others = max.saturating_sub(left).saturating_sub(ours);
            window.others = Some((others, now.plus(interval)));
        }
        if let Some((max, left)) = rates.day {
            let day = self.day(pool);
            let same = day.filter(|day| !day.is_over(left));
            let ours = same.map_or(1, |day| day.ours);
            *day = Some(Day {
                max,
                left,
                ours,
                ends_at,
            });
        }
    }

    /// An answer was no 429: pauses start small again.
    pub fn accepted(&mut self, pool: Pool, now: Timestamp) {
        let window = self.window(pool);
        if now >= window.paused_until {
            window.strikes = 0;
        }
    }

    /// A call was answered 429. Gives the moment from which calls may be made
    /// again; `random` lies in 0.0 to 1.0.
    pub fn refused(
        &mut self,
        pool: Pool,
        policy: Policy,
        retry_after: Option<Duration>,
        random: f64,
        now: Timestamp,
    ) -> Timestamp {
        if policy == Policy::Daily {
            let ends_at = match retry_after {
                Some(wait) => now.plus(wait),
                None => self.day_ends_at(now),
            };
            let day = self.day(pool);
            *day = Some(Day {
                max: day.map_or(0, |day| day.max),
                left: 0,
                ours: day.map_or(0, |day| day.ours),
                ends_at,
            });
            return ends_at;
        }
        let share = self.share;
        let window = self.window(pool);
        window.settle(now);
        window.refused.push_back(now);
        // The calls that were under way with the first refused one are refused
        // with it, and are no further strikes.
        if now >= window.paused_until {
            window.strikes = (window.strikes + 1).min(STRIKES_MAX);
        }
        if policy == Policy::Secondly && pool == Pool::Search {
            // Nothing else tells of others' searches. One of ours a second is
            // always tried.
            let others = window.max.saturating_sub(window.accepted());
            let others = others.min(together(window.max, share).saturating_sub(1));
            window.others = Some((others, now.plus(OTHERS_SEARCH)));
        }
        let base = match policy {
            Policy::Secondly => ONE_SECOND,
            _ => window.interval,
        };
        let wait = retry_after.unwrap_or(base * window.strikes.max(1));
        let jitter = (wait / 10).min(ONE_SECOND).mul_f64(random.clamp(0.0, 1.0));
        window.pause(now.plus(wait + jitter));
        window.paused_until
    }

    /// No call may be made before this moment: the account is being moved.
    pub fn pause(&mut self, until: Timestamp) {
        for pool in [Pool::General, Pool::Search, Pool::Associations] {
            self.window(pool).pause(until);
        }
    }

    /// What is used of the general limit, and of the day's where one is told.
    pub fn usage(&mut self, now: Timestamp) -> (Usage, Option<Usage>) {
        let share = self.share;
        let window = self.window(Pool::General);
        window.settle(now);
        let busy = window
            .recent
            .back()
            .map_or(now, |end| end.plus(window.interval));
        let general = Usage {
            used: window.ours(),
            allowed: window.allowed(share, now),
            resets_at: busy.max(window.paused_until).max(now),
        };
        let day = self.day.filter(|day| now < day.ends_at).map(|day| Usage {
            used: day.ours,
            allowed: day.allowed(share, Priority::Live),
            resets_at: day.ends_at,
        });
        (general, day)
    }

    fn day_ends_at(&self, now: Timestamp) -> Timestamp {
        let midnight = self.zone.as_ref().and_then(|zone| {
            let moment = jiff::Timestamp::from_millisecond(now.0).ok()?;
            let today = moment.to_zoned_datetime(zone.clone());
            let next = today.tomorrow().ok()?.start_of_day().ok()?;
            Some(Timestamp(next.timestamp().as_millisecond()))
        });
        midnight.unwrap_or(now.plus(DAY_UNKNOWN))
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
