//! Work that is done a step at a time, for as long as there is any.

use std::{collections::BTreeSet, fmt::Display, sync::Mutex, time::Duration};

use tokio_util::sync::CancellationToken;

use super::lock;
use crate::host::Host;

/// How often it looks when nothing in this process says that something changed, and
/// how long it waits after a failure, whatever changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The steps of a queue in which everybody's work waits.
///
/// What is held of one may be what cannot be read: so a head of the queue whose step
/// fails is passed over, and is tried again once nothing else is left.
pub(super) struct Steps {
    /// What is said of a step that fails.
    failed: &'static str,
    /// The heads that are passed over, by the numbers that the queue has for them.
    passed: Mutex<BTreeSet<i64>>,
}

impl Steps {
    /// Steps that have not begun; of one that fails `failed` is told.
    pub fn new(failed: &'static str) -> Self {
        Self {
            failed,
            passed: Mutex::default(),
        }
    }

    /// The heads of the queue that are passed over.
    pub fn passed(&self) -> Vec<i64> {
        lock(&self.passed).iter().copied().collect()
    }

    /// Takes a step of a head of the queue, which is passed over from then on where the
    /// step fails for what is held of it.
    pub async fn of<E: Display>(
        &self,
        head: i64,
        is_of_the_data: impl FnOnce(&E) -> bool,
        step: impl Future<Output = Result<(), E>>,
    ) -> Result<bool, E> {
        match step.await {
            Ok(()) => Ok(true),
            Err(error) if is_of_the_data(&error) => {
                tracing::warn!(%error, head, "{}", self.failed);
                lock(&self.passed).insert(head);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes steps until it is told to stop. A step returns whether there was anything
    /// to do; one that fails is taken again.
    pub async fn take<E: Display, F: Future<Output = Result<bool, E>>>(
        &self,
        host: &Host,
        stop: &CancellationToken,
        step: impl Fn() -> F,
    ) {
        let mut changed = host.pipeline.changed();
        while !stop.is_cancelled() {
            let has_failed = match step().await {
                Ok(true) => continue,
                Ok(false) => !std::mem::take(&mut *lock(&self.passed)).is_empty(),
                Err(error) => {
                    tracing::warn!(%error, "{}", self.failed);
                    true
                }
            };
            tokio::select! {
                _ = changed.changed(), if !has_failed => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}
