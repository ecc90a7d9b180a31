//! How many answers that can wait are worked on at once, however many accounts are
//! answered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Priority;

/// Answers that are parsed and applied at once: their pages are in memory, and threads at
/// work on them.
const AT_ONCE: usize = 8;

/// Turns at working on answers, given in the order in which they were asked for.
pub struct Turns(Arc<Semaphore>);

/// A turn, for as long as it is held.
pub struct Turn {
    _free: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// The turn to work on an answer. What is urgent needs none.
    ///
    /// Whoever holds a turn must not wait for another.
    pub(super) async fn begin(&self, priority: Priority) -> Turn {
        let free = match priority.is_urgent() {
            true => None,
            // It is never closed.
            false => self.0.clone().acquire_owned().await.ok(),
        };
        Turn { _free: free }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_can_wait_is_worked_on_after_those_before_it() {
        let turns = Turns::default();
        let mut worked_on = Vec::new();
        for _ in 0..AT_ONCE {
            worked_on.push(turns.begin(Priority::CatchUp).await);
        }
        let mut next = pin!(turns.begin(Priority::FullSync));
        assert!(poll!(&mut next).is_pending());
        // A person's does not wait.
        let _live = turns.begin(Priority::Live).await;
        assert!(poll!(&mut next).is_pending());
        worked_on.pop();
        assert!(poll!(&mut next).is_ready());
    }
}
