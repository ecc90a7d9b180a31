//! When something is looked at that moves with the store: soon after a change,
//! but not after each of many.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::host::Host;

/// How many times as long as a look took nothing is looked at after it: so looks
/// take a tenth of the time at most, however many changes come and however much
/// there is to look at. After a quiet while the next look follows a change at once.
const REST: u32 = 9;

/// The longest rest: what comes is seen no later.
const REST_MAX: Duration = Duration::from_millis(250);

/// The looks of one task.
pub(super) struct Looks {
    changed: watch::Receiver<u64>,
    every: Duration,
    began: Instant,
}

impl Looks {
    /// Looks at what moves with a host's store; `every`: how often where nothing
    /// in this process says that it moved.
    pub fn new(host: &Host, every: Duration) -> Self {
        Self {
            changed: host.pipeline.changed(),
            every,
            began: Instant::now(),
        }
    }

    /// A look begins: it sees all that changed up to now.
    pub fn begin(&mut self) {
        self.changed.mark_unchanged();
        self.began = Instant::now();
    }

    /// Returns when the next look is due after the one that ends now: something
    /// changed since it began, or `also` came, and it has rested.
    pub async fn next(&mut self, also: impl Future<Output = ()>) {
        let ended = Instant::now();
        let rest = rest(ended.duration_since(self.began));
        tokio::select! {
            _ = self.changed.changed() => {}
            () = also => {}
            () = tokio::time::sleep(self.every) => {}
        }
        tokio::time::sleep_until((ended + rest).into()).await;
    }
}

fn rest(took: Duration) -> Duration {
    (took * REST).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_take_a_tenth_of_the_time_at_most_until_they_take_very_long() {
        let rest = |took| rest(Duration::from_millis(took)).as_millis();
        assert_eq!([0, 1, 20, 1_000].map(rest), [0, 9, 180, 250]);
    }
}
