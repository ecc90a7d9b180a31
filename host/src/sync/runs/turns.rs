//! How many steps of runs are taken at once.

use std::{pin::pin, time::Duration};

use tokio::sync::Semaphore;

/// Steps that are taken at once: each puts a transaction of some thousand rows beside
/// what is live. At HubSpot's usual 200 ms a call these are eighty steps a second, by
/// which a thousand catch-ups begin within seconds.
const AT_ONCE: usize = 16;

/// How long a step keeps others out: a call and what it answers take less. One that
/// takes longer waits for HubSpot, or for its account's budget, maybe for hours, and
/// takes nothing from anybody meanwhile.
const TURN_MAX: Duration = Duration::from_millis(500);

/// Turns at taking a step, given in the order in which they were asked for. Of each
/// account one run goes on at a time, so accounts take turns.
pub(super) struct Turns {
    free: Semaphore,
    turn_max: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self::new(AT_ONCE, TURN_MAX)
    }
}

impl Turns {
    fn new(at_once: usize, turn_max: Duration) -> Self {
        Self {
            free: Semaphore::new(at_once),
            turn_max,
        }
    }

    /// Takes a step when it is its turn. A step that takes long goes on, and another
    /// has its turn.
    pub async fn take<T>(&self, step: impl Future<Output = T>) -> T {
        // It is never closed.
        let turn = self.free.acquire().await;
        let mut step = pin!(step);
        match tokio::time::timeout(self.turn_max, &mut step).await {
            Ok(taken) => taken,
            Err(_) => {
                drop(turn);
                step.await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// More steps than turns, none of which ends before it is told to; how many
    /// began.
    fn begin(turns: &Arc<Turns>, end: &Arc<Semaphore>) -> Arc<AtomicUsize> {
        let begun = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (turns, end, begun) = (turns.clone(), end.clone(), begun.clone());
            tokio::spawn(async move {
                let step = async {
                    begun.fetch_add(1, Ordering::SeqCst);
                    end.acquire().await.expect("open").forget();
                };
                turns.take(step).await;
            });
        }
        begun
    }

    async fn until(begun: &AtomicUsize, count: usize) {
        while begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_few_steps_are_taken_at_once_and_the_next_when_one_ends() {
        let turns = Arc::new(Turns::new(2, Duration::from_secs(3_600)));
        let end = Arc::new(Semaphore::new(0));
        let begun = begin(&turns, &end);
        until(&begun, 2).await;
        // Whoever could have begun by now would have.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        end.add_permits(1);
        until(&begun, 3).await;
    }

    #[tokio::test]
    async fn steps_that_wait_for_long_keep_no_others_out() {
        let turns = Arc::new(Turns::new(1, Duration::from_millis(1)));
        let end = Arc::new(Semaphore::new(0));
        until(&begin(&turns, &end), 3).await;
        // They go on all the same.
        end.add_permits(3);
        while end.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
