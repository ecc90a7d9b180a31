//! Waiting until nothing is left to do.

use std::time::Duration;

use hubspot_sim::Simulator;
use jimo_connect::{
    host::Host,
    model::{Run, RunStatus, Timestamp},
};

/// How long anything may take that should take a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing need be signalled before it is looked again: what another
/// process of the host writes is signalled to nobody.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Waits until something is true.
pub async fn until(is_true: impl AsyncFn() -> bool) {
    let waited = async {
        while !is_true().await {
            tokio::time::sleep(LOOK_AGAIN / 5).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    waited.expect("true in time");
}

/// Waits until everything that happened in HubSpot shows on users: webhooks
/// delivered, the log applied, nothing left to read, to look up, to convert
/// again, to show that was held or to erase, no labels left to refresh now.
pub async fn settle(host: &Host, sim: &Simulator) {
    let settled = async {
        let mut changed = host.pipeline.changed();
        loop {
            sim.settle().await;
            changed.borrow_and_update();
            if is_settled(host).await {
                break;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
        }
    };
    if tokio::time::timeout(PATIENCE, settled).await.is_err() {
        panic!("not settled after {PATIENCE:?}: {:?}", sim.settled());
    }
}

async fn is_settled(host: &Host) -> bool {
    let tail = *host.log.tail().borrow();
    let routing = host.pipeline.routing().await.unwrap();
    let callable = routing.accounts().filter(|route| route.may_call);
    let callable: Vec<_> = callable.cloned().collect();
    let connections = callable.iter().flat_map(|route| &route.connections);
    let connections: Vec<_> = connections.map(|route| route.id).collect();
    let accounts: Vec<_> = callable.iter().map(|route| route.id).collect();
    let (now, running) = (host.clock.now(), host.plugins.running());
    host.store
        .read(move |tx| {
            let mut done = tx.log_position()? >= tail && !tx.has_conversions()?;
            let at_work = |run: &Run| {
                run.status == RunStatus::Running && connections.contains(&run.connection)
            };
            done &= !tx.open_runs()?.iter().any(at_work);
            let labels = tx.waiting_labels()?.into_iter();
            let mut due = labels.filter(|(at, due)| *at <= now && accounts.contains(&due.account));
            done &= due.next().is_none();
            done &= tx.next_released(&[])?.is_none() && tx.next_reselections(&[])?.is_none();
            done &= tx.next_search(&running)?.is_none() && !tx.has_searched(&running)?;
            done &= tx.next_late_entries(1)?.is_empty();
            for account in accounts {
                // What a brake holds waits for somebody.
                let held = Timestamp(i64::MAX);
                done &= tx.next_read(account)?.is_none_or(|(at, _)| at == held);
                done &= tx.next_lookup(account)?.is_none();
            }
            Ok(done)
        })
        .await
        .unwrap()
}
