//! Users whose records are to be selected anew, a page at a time: what the brake
//! held of connections that are held no more, and what a saved mapping selects
//! otherwise. It goes on after a crash, and holds up nobody.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::{lock, steps};
use crate::{
    host::Host,
    model::{Cause, ConnectionId, MappingId, Timestamp, UserId},
    pipeline::{
        brake::{BRAKE, empty_holds, end_hold, foreseen},
        feeding::Feeder,
        routing::ConnectionRoute,
    },
    store::{self, Tx},
};

/// Users for whom a transaction selects anew.
const PAGE: usize = 100;

/// A connection, and the configuration of its account.
type Configured = (ConnectionId, i64);

/// Of whom the brake was asked last.
type Asked = Mutex<Option<Configured>>;

/// Selects anew until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let failed = "what was held or is selected otherwise could not be shown yet";
    let asked = Asked::default();
    steps::take(&host, &stop, failed, || step(&host, &asked)).await;
}

async fn step(host: &Host, asked: &Asked) -> Result<bool, store::Error> {
    Ok(release(host).await? || reselect(host, asked).await?)
}

/// Ends holds of which nothing is left, and selects a page of what was held anew.
/// Returns whether there was any.
async fn release(host: &Host) -> Result<bool, store::Error> {
    let now = host.clock.now();
    let is_due = host
        .store
        .read(move |tx| Ok(!empty_holds(tx, now)?.is_empty() || tx.next_released(1)?.is_some()));
    if !is_due.await? {
        return Ok(false);
    }
    let ended = host.store.transact_behind(move |tx| {
        let ended = empty_holds(tx, now)?;
        for connection in &ended {
            end_hold(tx, *connection, now)?;
        }
        release_page(tx, now)?;
        Ok(ended)
    });
    for connection in ended.await? {
        tracing::info!(%connection, "nothing of it is held any more, and the hold ends");
    }
    host.pipeline.notify_changed();
    Ok(true)
}

fn release_page(tx: &Tx<'_>, now: Timestamp) -> Result<(), store::Error> {
    let Some(released) = tx.next_released(PAGE)? else {
        return Ok(());
    };
    let id = released.connection;
    let route = ConnectionRoute::load(tx, released.connection)?;
    // Somebody has said that it may.
    let mut feeder = Feeder::new(tx, &route, Cause::LIVE, now).unbraked();
    feeder.report.caused_by(BRAKE);
    feeder.was_lost();
    touch(&mut feeder, &released.selections, Tx::let_selection_go)?;
    feeder.finish()?.save(tx, id, now)?;
    if tx.has_held_selections(id)? {
        return Ok(());
    }
    // Whoever prepares from now on need not ask by what a user is fed.
    tx.released_selections_done(id)
}

/// Selects a page of what a saved mapping selects otherwise anew. Returns whether
/// there was any.
async fn reselect(host: &Host, asked: &Asked) -> Result<bool, store::Error> {
    let due = host.store.read(|tx| match tx.next_reselections(1)? {
        Some(due) => Ok(Some((
            due.connection,
            tx.account(due.account)?.configuration,
        ))),
        None => Ok(None),
    });
    let due = due.await?;
    if due.is_none() {
        return Ok(false);
    }
    if *lock(asked) != due {
        let of = ask(host).await?;
        *lock(asked) = of;
        return Ok(true);
    }
    let now = host.clock.now();
    let selected = host.store.transact_behind(move |tx| reselect_page(tx, now));
    if let Err(error) = selected.await {
        return match host.pipeline.braked(error).await {
            // It is selected again: held now, or allowed.
            store::Error::Outdated => Ok(true),
            error => Err(error),
        };
    }
    host.pipeline.notify_changed();
    Ok(true)
}

/// Asks the brake before the first page: it stops what would take values from many
/// before any of it is done. Returns of whom it was asked.
async fn ask(host: &Host) -> Result<Option<Configured>, store::Error> {
    let now = host.clock.now();
    let looked = host.store.read(move |tx| {
        let Some(due) = tx.next_reselections(usize::MAX)? else {
            return Ok(None);
        };
        let route = ConnectionRoute::load(tx, due.connection)?;
        let lost = foreseen(tx, &route, &due.selections, now)?;
        Ok(Some(((route.id, route.configuration), lost)))
    });
    let Some((of, lost)) = looked.await? else {
        return Ok(None);
    };
    let Some(lost) = lost else {
        return Ok(Some(of));
    };
    let (connection, _) = of;
    let error = store::Error::BrakedLive { connection, lost };
    match host.pipeline.braked(error).await {
        // It is held now, or so many are allowed.
        store::Error::Outdated => Ok(Some(of)),
        error => Err(error),
    }
}

fn reselect_page(tx: &Tx<'_>, now: Timestamp) -> Result<(), store::Error> {
    let Some(due) = tx.next_reselections(PAGE)? else {
        return Ok(());
    };
    let route = ConnectionRoute::load(tx, due.connection)?;
    let mut feeder = Feeder::new(tx, &route, Cause::LIVE, now);
    touch(&mut feeder, &due.selections, Tx::reselected)?;
    feeder.finish()?.save(tx, due.connection, now)
}

/// Touches these users, of each of whom `done` is told first.
fn touch<'c>(
    feeder: &mut Feeder<'_, 'c>,
    selections: &[(MappingId, UserId)],
    done: impl Fn(&Tx<'c>, MappingId, UserId) -> Result<(), store::Error>,
) -> Result<(), store::Error> {
    for (mapping, user) in selections {
        done(feeder.tx, *mapping, *user)?;
        let mapped = &feeder.route.mappings;
        if let Some(index) = mapped.iter().position(|one| one.id == *mapping) {
            feeder.touch(index, *user);
        }
    }
    Ok(())
}
