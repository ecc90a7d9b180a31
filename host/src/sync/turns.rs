//! How much of what can wait is in work at once, however many accounts are.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Priority;

/// Steps of runs that are taken at once: each looks through the store. At HubSpot's usual
/// 200 ms a call these are eighty a second, by which a thousand catch-ups begin within
/// seconds.
const STEPS_AT_ONCE: usize = 16;

/// Answers that are parsed and applied at once: their pages are in memory, and threads at
/// work on them, however many accounts are answered.
const ANSWERS_AT_ONCE: usize = 8;

/// How long a step keeps others out: a call and what it answers take less. One that
/// takes longer waits for HubSpot, or for its account's budget, maybe for hours, and takes
/// nothing from anybody meanwhile.
const TURN_MAX: Duration = Duration::from_millis(500);

/// Turns, given in the order in which they were asked for.
pub struct Turns {
    free: Arc<Semaphore>,
    turn_max: Duration,
}

/// A turn, for as long as it is held.
pub struct Turn {
    _free: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Turns at taking steps of runs. Of each account one run goes on at a time, so accounts
    /// take turns.
    pub(super) fn of_steps() -> Self {
        Self::new(STEPS_AT_ONCE, TURN_MAX)
    }

    /// Turns at what HubSpot answered.
    pub fn of_answers() -> Self {
        Self::new(ANSWERS_AT_ONCE, TURN_MAX)
    }

    fn new(at_once: usize, turn_max: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(at_once)),
            turn_max,
        }
    }

    async fn begin(&self) -> Turn {
        // It is never closed.
        let free = self.free.clone().acquire_owned().await;
        Turn { _free: free.ok() }
    }

    /// The turn to work on an answer. What is urgent needs none.
    ///
    /// Whoever holds a turn must not wait for another.
    pub(super) async fn begin_as(&self, priority: Priority) -> Turn {
        match priority.is_urgent() {
            true => Turn { _free: None },
            false => self.begin().await,
        }
    }

    /// Takes a step when it is its turn. A step that takes long goes on, and another
    /// has its turn.
    pub(super) async fn take<T>(&self, step: impl Future<Output = T>) -> T {
        let turn = self.begin().await;
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

    #[tokio::test]
    async fn an_answer_that_can_wait_is_worked_on_after_those_before_it() {
        let turns = Turns::new(1, Duration::from_secs(3_600));
        let worked_on = turns.begin_as(Priority::CatchUp).await;
        let mut next = pin!(turns.begin_as(Priority::FullSync));
        assert!(futures_util::poll!(&mut next).is_pending());
        // A person's does not wait.
        let live = turns.begin_as(Priority::Live).await;
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(worked_on);
        assert!(futures_util::poll!(&mut next).is_ready());
        drop(live);
    }
}
