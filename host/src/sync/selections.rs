//! Users whose records are to be selected anew, a page at a time: what the brake
//! held of connections that are held no more, and what a saved mapping selects
//! otherwise. It goes on after a crash, and holds up nobody.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::{lock, steps::Steps};
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
    let steps = Steps::new("what was held or is selected otherwise could not be shown yet");
    let asked = Asked::default();
    let step = || step(&host, &steps, &asked);
    steps.take(&host, &stop, step).await;
}

/// Takes a step of one connection; what was held of any goes first. Returns whether
/// there was anything to do.
async fn step(host: &Host, steps: &Steps, asked: &Asked) -> Result<bool, store::Error> {
    if end_holds(host).await? {
        return Ok(true);
    }
    let is_of_the_data = store::Error::is_of_the_data;
    let passed = steps.passed();
    let released = host.store.read(move |tx| tx.next_released(&passed));
    if let Some(connection) = released.await? {
        let release = release(host, connection);
        return steps.of(connection.0, is_of_the_data, release).await;
    }
    let passed = steps.passed();
    let due = host.store.read(move |tx| {
        let Some((connection, account)) = tx.next_reselections(&passed)? else {
            return Ok(None);
        };
        Ok(Some((connection, tx.account(account)?.configuration)))
    });
    let Some(due) = due.await? else {
        return Ok(false);
    };
    let reselect = reselect(host, due, asked);
    steps.of(due.0.0, is_of_the_data, reselect).await
}

/// Ends holds of which nothing is left. Returns whether there were any.
async fn end_holds(host: &Host) -> Result<bool, store::Error> {
    let now = host.clock.now();
    let is_due = host
        .store
        .read(move |tx| Ok(!empty_holds(tx, now)?.is_empty()));
    if !is_due.await? {
        return Ok(false);
    }
    let ended = host.store.transact(move |tx| {
        let ended = empty_holds(tx, now)?;
        for connection in &ended {
            end_hold(tx, *connection, now)?;
        }
        Ok(ended)
    });
    for connection in ended.await? {
        tracing::info!(%connection, "nothing of it is held any more, and the hold ends");
    }
    host.pipeline.notify_changed();
    Ok(true)
}

/// Selects a page of what was held of a connection anew.
async fn release(host: &Host, connection: ConnectionId) -> Result<(), store::Error> {
    let now = host.clock.now();
    let work = move |tx: &Tx<'_>| release_page(tx, connection, now);
    host.store.transact_behind(work).await?;
    host.pipeline.notify_changed();
    Ok(())
}

fn release_page(tx: &Tx<'_>, id: ConnectionId, now: Timestamp) -> Result<(), store::Error> {
    let released = tx.released_selections(id, PAGE)?;
    if released.is_empty() {
        return Ok(());
    }
    let route = ConnectionRoute::load(tx, id)?;
    // Somebody has said that it may.
    let mut feeder = Feeder::new(tx, &route, Cause::LIVE, now).unbraked();
    feeder.report.caused_by(BRAKE);
    feeder.was_lost();
    touch(&mut feeder, &released, Tx::let_selection_go)?;
    feeder.finish()?.save(tx, id, now)?;
    if tx.has_held_selections(id)? {
        return Ok(());
    }
    // Whoever prepares from now on need not ask by what a user is fed.
    tx.released_selections_done(id)
}

/// Selects a page of what a saved mapping of a connection selects otherwise anew.
async fn reselect(host: &Host, due: Configured, asked: &Asked) -> Result<(), store::Error> {
    let (connection, _) = due;
    if *lock(asked) != Some(due) {
        let of = ask(host, connection).await?;
        *lock(asked) = of;
        return Ok(());
    }
    let now = host.clock.now();
    let work = move |tx: &Tx<'_>| reselect_page(tx, connection, now);
    if let Err(error) = host.store.transact_behind(work).await {
        return match host.pipeline.braked(error).await {
            // It is selected again: held now, or allowed.
            store::Error::Outdated => Ok(()),
            error => Err(error),
        };
    }
    host.pipeline.notify_changed();
    Ok(())
}

/// Asks the brake before the first page: it stops what would take values from many
/// before any of it is done. Returns of whom it was asked.
async fn ask(host: &Host, connection: ConnectionId) -> Result<Option<Configured>, store::Error> {
    let now = host.clock.now();
    let looked = host.store.read(move |tx| {
        let due = tx.reselections(connection, usize::MAX)?;
        if due.is_empty() {
            return Ok(None);
        }
        let route = ConnectionRoute::load(tx, connection)?;
        let lost = foreseen(tx, &route, &due, now)?;
        Ok(Some(((route.id, route.configuration), lost)))
    });
    let Some((of, lost)) = looked.await? else {
        return Ok(None);
    };
    let Some(lost) = lost else {
        return Ok(Some(of));
    };
    let error = store::Error::BrakedLive { connection, lost };
    match host.pipeline.braked(error).await {
        // It is held now, or so many are allowed.
        store::Error::Outdated => Ok(Some(of)),
        error => Err(error),
    }
}

fn reselect_page(
    tx: &Tx<'_>,
    connection: ConnectionId,
    now: Timestamp,
) -> Result<(), store::Error> {
    let due = tx.reselections(connection, PAGE)?;
    if due.is_empty() {
        return Ok(());
    }
    let route = ConnectionRoute::load(tx, connection)?;
    let mut feeder = Feeder::new(tx, &route, Cause::LIVE, now);
    touch(&mut feeder, &due, Tx::reselected)?;
    feeder.finish()?.save(tx, connection, now)
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
