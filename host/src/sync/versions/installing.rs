//! Components that are installed are checked one after the other, within a bounded
//! time: what a compiler makes of one has no bound that is known before.

use std::{sync::Arc, thread, time::Duration};

use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tracing::Span;

use super::Error;

/// How long somebody waits for a component to be checked. One of ours takes half a
/// second, and this is beyond any that is meant well; it is less than a request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long somebody waits for the turn of theirs.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// Whose turn it is.
#[derive(Clone, Debug)]
pub struct Installing {
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Installing {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(1)),
            patience: PATIENCE,
        }
    }
}

impl Installing {
    /// Has a component checked on a thread of its own, once none other is.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where another is still checked after a while, and
    /// [`Error::TooLong`] where this one takes longer than it may. Nothing can stop the
    /// thread: it keeps its turn until it ends, and what it comes to is dropped.
    pub(super) async fn check<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = timeout(TURN_PATIENCE, self.turns.clone().acquire_owned()).await;
        // Nobody closes it.
        let turn = turn.map_err(|_| Error::Busy)?.map_err(|_| Error::Ended)?;
        let checked = apart(move || {
            let checked = work();
            drop(turn);
            checked
        });
        let checked = timeout(self.patience, checked).await;
        checked.map_err(|_| Error::TooLong)?
    }
}

/// Compiles, or does what does, on a thread of its own: none of the runtime's, whose end
/// would wait for it, for a compiler takes as long as it takes.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let (done, result) = oneshot::channel();
    let span = Span::current();
    let thread = thread::Builder::new().name("plugin-compile".into());
    let started = thread.spawn(move || {
        // Whoever waited may be gone.
        let _ = done.send(span.in_scope(work));
    });
    started.map_err(|_| Error::Ended)?;
    result.await.map_err(|_| Error::Ended)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_component_that_takes_too_long_is_refused_and_no_other_is_checked_beside_it() {
        let installing = Installing {
            patience: Duration::from_millis(50),
            ..Installing::default()
        };
        let (end, ended) = mpsc::channel::<()>();
        let long = installing.check(move || ended.recv());
        assert!(matches!(long.await, Err(Error::TooLong)));
        let other = installing.check(|| unreachable!("it is not its turn"));
        assert!(matches!(other.await, Err(Error::Busy)));
        end.send(()).expect("it waits for that");
        let patient = Installing {
            patience: PATIENCE,
            ..installing
        };
        assert_eq!(patient.check(|| 7).await.ok(), Some(7));
    }
}
