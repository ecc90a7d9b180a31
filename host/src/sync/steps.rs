//! Work that is done a step at a time, for as long as there is any.

use std::{fmt::Display, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::host::Host;

/// How often it looks when nothing in this process says that something changed, and
/// how long it waits after a failure, whatever changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Takes steps until it is told to stop. A step returns whether there was anything to
/// do; of one that fails `failed` is told, and it is taken again.
pub(super) async fn take<E: Display, F: Future<Output = Result<bool, E>>>(
    host: &Host,
    stop: &CancellationToken,
    failed: &'static str,
    step: impl Fn() -> F,
) {
    let mut changed = host.pipeline.changed();
    while !stop.is_cancelled() {
        let has_failed = match step().await {
            Ok(true) => continue,
            Ok(false) => false,
            Err(error) => {
                tracing::warn!(%error, "{failed}");
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
