//! Brings rows to what is so already: the keys of values that segments name, and
//! what fields that are gone leave behind.
//!
//! What people are told and shown does not wait for it ([`crate::store::releases`],
//! `store::sought`). Some rows are written in a transaction that moves the place on,
//! so it goes on after a crash, and nobody else's writing waits for long.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{host::Host, store};

/// Users or records whose rows of fields that are gone are written at once; each may
/// have as many as there are fields.
const RELEASED_AT_ONCE: usize = 250;

/// Users whose keys are made at once, of one variable.
const SOUGHT_AT_ONCE: usize = 1_000;

/// How often it looks when nothing in this process says that something changed, and
/// how long it waits after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Settles until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    while !stop.is_cancelled() {
        match step(&host).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "values could not be settled yet"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Writes some rows. Returns whether there were any to be written.
async fn step(host: &Host) -> Result<bool, store::Error> {
    let waits = |tx: &store::Tx<'_>| Ok(tx.has_releases()? || tx.is_seeking()?);
    if !host.store.read(waits).await? {
        return Ok(false);
    }
    let work = |tx: &store::Tx<'_>| {
        let released = tx.release_more(RELEASED_AT_ONCE)?;
        Ok(tx.seek_more(SOUGHT_AT_ONCE)? || released)
    };
    host.store.transact_much(work).await
}
