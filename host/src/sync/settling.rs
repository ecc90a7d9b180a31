//! Brings rows to what is so already: the keys of values that segments name, and
//! what fields that are gone leave behind.
//!
//! What people are told and shown does not wait for it ([`crate::store::releases`],
//! `store::sought`). Some rows are written in a transaction that moves the place on,
//! so it goes on after a crash, and nobody else's writing waits for long.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::steps;
use crate::{host::Host, store};

/// Users or records whose rows of fields that are gone are written at once; each may
/// have as many as there are fields.
const RELEASED_AT_ONCE: usize = 250;

/// Users whose keys are made at once, of one variable.
const SOUGHT_AT_ONCE: usize = 1_000;

/// Settles until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let failed = "values could not be settled yet";
    steps::take(&host, &stop, failed, || step(&host)).await;
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
    host.store.transact_behind(work).await
}
