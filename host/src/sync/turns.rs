//! How much of what can wait is in work at once, however many accounts are.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Priority;

/// Steps of runs that are taken at once: each looks through the store. At HubSpot's usual
/// 200 ms a call these are eighty a second, by which a thousand catch-ups begin within
/// seconds.
const STEPS_AT_ONCE: usize = 16;

/// Answers that are waited for or worked on at once: more than the store takes in at
/// HubSpot's usual 200 ms a call, and few enough that memory does not grow with the number
/// of accounts.
const ANSWERS_AT_ONCE: usize = 32;

/// How long others are kept out by who waits: a call takes less. One that takes longer
/// waits for HubSpot, or for its account's budget, maybe for hours, and takes nothing from
/// anybody meanwhile.
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

    /// Turns at being answered by HubSpot.
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

    /// Waits for an answer when it is its turn, which is held as long as the answer is
    /// worked on. While one takes long another has its turn. What is urgent needs none.
    ///
    /// Whoever holds a turn must not wait for another.
    pub(super) async fn answer<T>(
        &self,
        priority: Priority,
        answer: impl Future<Output = T>,
    ) -> (T, Turn) {
        if priority.is_urgent() {
            return (answer.await, Turn { _free: None });
        }
        let turn = self.begin().await;
        let mut answer = pin!(answer);
        match tokio::time::timeout(self.turn_max, &mut answer).await {
            Ok(answer) => (answer, turn),
            Err(_) => {
                drop(turn);
                let answer = answer.await;
                (answer, self.begin().await)
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

    const PRIORITY: Priority = Priority::CatchUp;

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
    async fn what_can_wait_is_asked_for_when_an_answer_before_it_is_worked_on() {
        let turns = Turns::new(1, Duration::from_secs(3_600));
        let (_, worked_on) = turns.answer(PRIORITY, async {}).await;
        let mut next = pin!(turns.answer(PRIORITY, async {}));
        assert!(futures_util::poll!(&mut next).is_pending());
        // A person's does not wait.
        turns.answer(Priority::Live, async {}).await;
        drop(worked_on);
        assert!(futures_util::poll!(&mut next).is_ready());
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_keeps_no_others_out_and_is_worked_on_in_its_turn() {
        let turns = Turns::new(1, Duration::from_millis(1));
        let come = Semaphore::new(0);
        let mut late = pin!(turns.answer(PRIORITY, come.acquire()));
        assert!(futures_util::poll!(&mut late).is_pending());
        // It gives its turn away, which somebody else has then.
        let mut other = pin!(turns.answer(PRIORITY, async {}));
        let (_, worked_on) = tokio::select! {
            _ = &mut late => panic!("nothing has come"),
            other = &mut other => other,
        };
        come.add_permits(1);
        assert!(futures_util::poll!(&mut late).is_pending());
        drop(worked_on);
        assert!(futures_util::poll!(&mut late).is_ready());
    }
}
