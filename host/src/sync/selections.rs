//! What the brake held of connections that are held no more: their users' records
//! are selected anew, a page at a time. It goes on after a crash, and holds up
//! nobody.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::steps;
use crate::{
    host::Host,
    model::{Cause, Timestamp},
    pipeline::{
        brake::{BRAKE, empty_holds, end_hold},
        feeding::Feeder,
        routing::ConnectionRoute,
    },
    store::{self, Tx},
};

/// Users for whom a transaction selects anew.
const PAGE: usize = 500;

/// Selects anew until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let failed = "what was held could not be shown yet";
    steps::take(&host, &stop, failed, || step(&host)).await;
}

/// Ends holds of which nothing is left, and selects a page anew. Returns whether
/// there was any.
async fn step(host: &Host) -> Result<bool, store::Error> {
    let now = host.clock.now();
    let is_due = host
        .store
        .read(move |tx| Ok(!empty_holds(tx, now)?.is_empty() || tx.next_released(1)?.is_some()));
    if !is_due.await? {
        return Ok(false);
    }
    let ended = host.store.transact_much(move |tx| {
        let ended = empty_holds(tx, now)?;
        for connection in &ended {
            end_hold(tx, *connection, now)?;
        }
        select_page(tx, now)?;
        Ok(ended)
    });
    for connection in ended.await? {
        tracing::info!(%connection, "nothing of it is held any more, and the hold ends");
    }
    host.pipeline.notify_changed();
    Ok(true)
}

fn select_page(tx: &Tx<'_>, now: Timestamp) -> Result<(), store::Error> {
    let Some(released) = tx.next_released(PAGE)? else {
        return Ok(());
    };
    let (id, project) = (released.connection, released.project);
    let route = ConnectionRoute::load(tx, id, project, released.account)?;
    // Somebody has said that it may.
    let mut feeder = Feeder::new(tx, &route, Cause::LIVE, now).unbraked();
    feeder.report.caused_by(BRAKE);
    feeder.was_lost();
    for (mapping, user) in released.selections {
        tx.let_selection_go(mapping, user)?;
        if let Some(index) = route.mappings.iter().position(|one| one.id == mapping) {
            feeder.touch(index, user);
        }
    }
    feeder.finish()?.save(tx, id, now)?;
    if tx.has_held_selections(id)? {
        return Ok(());
    }
    // Whoever prepares from now on need not ask by what a user is fed.
    tx.released_selections_done()
}
