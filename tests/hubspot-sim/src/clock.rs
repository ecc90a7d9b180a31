//! The simulator's clock: the machine's own, or one that only moves when a test turns it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A shared clock. Clones are the same clock, so a test may hand one to several parties.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    manual: bool,
    /// The moment itself of a manual clock, what is added to the machine's of a real one.
    ms: AtomicI64,
}

impl Clock {
    /// The machine's clock. It may still be turned forward, to reach what lies hours ahead.
    #[must_use]
    pub fn real() -> Self {
        Self::new(false, 0)
    }

    /// A clock that stands at `start_ms` (milliseconds since 1970) until it is turned.
    #[must_use]
    pub fn manual(start_ms: i64) -> Self {
        Self::new(true, start_ms)
    }

    fn new(manual: bool, ms: i64) -> Self {
        Self {
            inner: Arc::new(Inner {
                manual,
                ms: AtomicI64::new(ms),
            }),
        }
    }

    /// The moment it shows, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let ms = self.inner.ms.load(Ordering::SeqCst);
        if self.inner.manual {
            ms
        } else {
            wall_ms() + ms
        }
    }

    /// Whether it moves only when turned.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.inner.manual
    }

    /// Turns it forward.
    pub fn turn(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.inner.ms.fetch_add(by, Ordering::SeqCst);
    }

    /// The stamp to sign a request with. Whoever checks it reads a clock of its own: a manual
    /// clock is shared with it, a real one that was turned is not.
    pub(crate) fn signature_ms(&self) -> i64 {
        if self.inner.manual {
            self.now_ms()
        } else {
            wall_ms()
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::real()
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_turned_and_all_its_clones_with_it() {
        let clock = Clock::manual(1_000);
        let other = clock.clone();
        assert_eq!(clock.now_ms(), 1_000);
        other.turn(Duration::from_secs(2));
        assert_eq!(clock.now_ms(), 3_000);
    }
}
