//! The time, as a handle that tests can turn.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Notify;

use crate::model::Timestamp;

/// The longest that a sleep goes without looking at the clock again: the
/// machine's clock may be set while it lasts.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A shared clock; clones are the same clock. It is the machine's, or one that
/// only moves when it is turned.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Whether the machine's clock is not asked.
    manual: bool,
    /// The moment itself of a manual clock; what is added to the machine's.
    milliseconds: AtomicI64,
    turned: Notify,
}

impl Clock {
    /// The machine's clock. It may still be turned forward, to reach what lies
    /// hours ahead.
    pub fn system() -> Self {
        Self::new(false, 0)
    }

    /// A clock that stands at `start` until it is turned.
    pub fn manual(start: Timestamp) -> Self {
        Self::new(true, start.0)
    }

    fn new(manual: bool, milliseconds: i64) -> Self {
        Self {
            inner: Arc::new(Inner {
                manual,
                milliseconds: AtomicI64::new(milliseconds),
                turned: Notify::new(),
            }),
        }
    }

    /// The moment it shows.
    pub fn now(&self) -> Timestamp {
        let own = self.inner.milliseconds.load(Ordering::SeqCst);
        if self.inner.manual {
            return Timestamp(own);
        }
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(own).plus(since)
    }

    /// Turns it forward and wakes those whose moment has come.
    pub fn turn(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.inner.milliseconds.fetch_add(by, Ordering::SeqCst);
        self.inner.turned.notify_waiters();
    }

    /// Returns once it shows `moment` or later.
    pub async fn sleep_until(&self, moment: Timestamp) {
        loop {
            // Registered before the clock is read, so that no turn is missed.
            let mut turned = std::pin::pin!(self.inner.turned.notified());
            turned.as_mut().enable();
            let now = self.now();
            if now >= moment {
                return;
            }
            if self.inner.manual {
                turned.await;
            } else {
                let left = moment.since(now).min(SLEEP_MAX);
                let _ = tokio::time::timeout(left, turned).await;
            }
        }
    }

    /// Returns after `duration` by this clock.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + '_ {
        let moment = self.now().plus(duration);
        self.sleep_until(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_it_is_turned_far_enough() {
        let clock = Clock::manual(Timestamp(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(Timestamp(3_000)).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        clock.turn(Duration::from_secs(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.turn(Duration::from_secs(1));
        assert_eq!(sleeper.await.expect("sleeps"), Timestamp(3_000));
    }

    #[tokio::test]
    async fn the_machines_clock_can_be_turned_forward() {
        let clock = Clock::system();
        let before = clock.now();
        let hour = Duration::from_secs(3_600);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(hour).await }
        });
        tokio::task::yield_now().await;
        clock.turn(hour);
        sleeper.await.expect("sleeps");
        assert!(clock.now() >= before.plus(hour));
    }
}
