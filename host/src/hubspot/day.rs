//! What is left of a day's calls, ours and those of the account's other apps.

use super::budget::SHARE;
use crate::model::{Priority, Timestamp};

/// What is left of a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    /// The limit.
    pub(super) max: u32,
    /// What is left of it, others' calls counted.
    pub(super) left: u32,
    /// Our own calls since the process heard of it.
    pub(super) ours: u32,
    /// When the next day begins.
    pub(super) ends_at: Timestamp,
}

impl Day {
    /// The calls that we allow ourselves by those of this priority: within our
    /// own share, and with those of others within the common one.
    pub(super) fn allowed(&self, share: f64, priority: Priority) -> u32 {
        let others = self.max.saturating_sub(self.left.saturating_add(self.ours));
        let own = part(self.max, share * priority.part());
        let together = part(self.max, share.max(SHARE) * priority.part());
        own.min(together.saturating_sub(others))
    }

    /// Whether a call of this priority has to wait for the next day.
    pub(super) fn is_spent(&self, share: f64, priority: Priority) -> bool {
        self.ours >= self.allowed(share, priority)
    }

    /// Whether what is left now tells of another day: in one it only sinks, but
    /// for answers that overtake each other.
    pub(super) fn is_over(&self, left: u32) -> bool {
        left > self.left.saturating_add(self.max / 10)
    }
}

/// A part (0 to 1) of a limit, in whole calls.
pub(super) fn part(max: u32, part: f64) -> u32 {
    // Neither is negative; the cast cuts the fraction off, but for what rounding
    // took from a whole call.
    (f64::from(max) * part + 1e-6) as u32
}
