//! One rolling window of a limit: the calls that still count, ours and others'.

use std::{collections::VecDeque, time::Duration};

use super::{
    budget::{SHARE, Verdict},
    day::part,
};
use crate::model::Timestamp;

/// The calls of all apps that a limit is used up to, where ours are some of them.
pub(super) fn together(max: u32, share: f64) -> u32 {
    part(max, share.max(SHARE)).max(1)
}

fn count(ends: &VecDeque<Timestamp>) -> u32 {
    u32::try_from(ends.len()).unwrap_or(u32::MAX)
}

/// One rolling window.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) max: u32,
    pub(super) interval: Duration,
    pub(super) in_flight: u32,
    /// When calls ended that still count, oldest first.
    pub(super) recent: VecDeque<Timestamp>,
    /// When those of them were refused that were, oldest first.
    pub(super) refused: VecDeque<Timestamp>,
    /// Calls of other apps that the last answer counted, and until when they
    /// may count.
    pub(super) others: Option<(u32, Timestamp)>,
    /// How long after that each but one of them may count on, and so on down to
    /// none; where this is not set, none counts after that.
    pub(super) others_fade: Option<Duration>,
    pub(super) paused_until: Timestamp,
    pub(super) strikes: u32,
}

impl Window {
    pub(super) fn new(max: u32, interval: Duration) -> Self {
        Self {
            max,
            interval,
            in_flight: 0,
            recent: VecDeque::new(),
            refused: VecDeque::new(),
            others: None,
            others_fade: None,
            paused_until: Timestamp(0),
            strikes: 0,
        }
    }

    /// Forgets what counts no more.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for ends in [&mut self.recent, &mut self.refused] {
            // A clock that was set back must not keep calls counted for hours.
            for end in ends.iter_mut().rev().take_while(|end| **end > now) {
                *end = now;
            }
            // Stamps are cut to milliseconds, so the last one still counts.
            let counts = |end: &Timestamp| end.plus(self.interval) >= now;
            while ends.front().is_some_and(|end| !counts(end)) {
                ends.pop_front();
            }
        }
        while let Some((calls, until)) = self.others.filter(|(_, until)| *until < now) {
            let fewer = calls.checked_sub(1).zip(self.others_fade);
            self.others = fewer.map(|(calls, fade)| (calls, until.plus(fade)));
        }
    }

    pub(super) fn ours(&self) -> u32 {
        self.in_flight.saturating_add(count(&self.recent))
    }

    /// Those of ours that were not refused, as far as is known.
    pub(super) fn accepted(&self) -> u32 {
        self.ours().saturating_sub(count(&self.refused))
    }

    pub(super) fn others(&self, now: Timestamp) -> u32 {
        match self.others {
            Some((calls, until)) if now <= until => calls,
            _ => 0,
        }
    }

    /// The calls that we allow ourselves: within our own share, and with those
    /// of others within the common one. At least one beside nobody's, else a
    /// small limit would mean none at all.
    pub(super) fn allowed(&self, share: f64, now: Timestamp) -> u32 {
        let own = part(self.max, share).max(1);
        own.min(together(self.max, share).saturating_sub(self.others(now)))
    }

    pub(super) fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(until);
    }

    pub(super) fn check(&mut self, share: f64, now: Timestamp) -> Verdict {
        self.settle(now);
        if now < self.paused_until {
            return Verdict::Wait(Some(self.paused_until));
        }
        let others = self.others(now);
        if self.ours() < self.allowed(share, now) {
            return Verdict::Go;
        }
        let oldest = self.recent.front().map(|end| end.plus(self.interval));
        let theirs = self.others.filter(|_| others > 0).map(|(_, until)| until);
        let next = [oldest, theirs].into_iter().flatten().min();
        Verdict::Wait(next.map(|moment| moment.plus(Duration::from_millis(1))))
    }
}
