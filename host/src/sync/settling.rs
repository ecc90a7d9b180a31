//! Brings rows to what is so already: the keys of values that segments name, and
//! what fields that are gone leave behind.
//!
//! What people are told and shown does not wait for it ([`crate::store::releases`],
//! `store::sought`). Some rows are written in a transaction that moves the place on,
//! so it goes on after a crash, and nobody else's writing waits for long.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::steps::Steps;
use crate::{
    host::Host,
    store::{self, Tx},
};

/// Users or records whose rows of fields that are gone are written at once; each may
/// have as many as there are fields.
const RELEASED_AT_ONCE: usize = 250;

/// Users whose keys are made at once, of one variable.
const SOUGHT_AT_ONCE: usize = 1_000;

/// Settles until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let releases = Steps::new("what fields that are gone leave could not be let go of yet");
    let sought = Steps::new("users could not be found by values that segments name yet");
    tokio::join!(
        releases.take(&host, &stop, || release(&host, &releases)),
        sought.take(&host, &stop, || seek(&host, &sought)),
    );
}

/// Writes some rows of fields that are gone. Returns whether there were any.
async fn release(host: &Host, steps: &Steps) -> Result<bool, store::Error> {
    let passed = steps.passed();
    let next = host.store.read(move |tx| tx.next_release(&passed));
    let Some(release) = next.await? else {
        return Ok(false);
    };
    let work = move |tx: &Tx<'_>| tx.release_more(release, RELEASED_AT_ONCE);
    let work = host.store.transact_behind(work);
    steps.of(release, store::Error::is_of_the_data, work).await
}

/// Writes some keys of values. Returns whether there were any to be written.
async fn seek(host: &Host, steps: &Steps) -> Result<bool, store::Error> {
    let passed = steps.passed();
    let next = host.store.read(move |tx| tx.next_sought(&passed));
    let Some(variable) = next.await? else {
        return Ok(false);
    };
    let work = move |tx: &Tx<'_>| tx.seek_more(variable, SOUGHT_AT_ONCE);
    let work = host.store.transact_behind(work);
    let is_of_the_data = store::Error::is_of_the_data;
    steps.of(variable.0, is_of_the_data, work).await
}
