//! Reads what the read queue asks for, account by account, in batches, and
//! hands the answers to the pipeline.
//!
//! A read is over when its answer is applied, in the same transaction. One that
//! knows less than the event that caused it is asked for again a little later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    batches::Work,
    grants::{self, missing_scopes, needs_attention},
};
use crate::{
    host::Host,
    hubspot::{
        self,
        oauth::GrantError,
        objects::{ASSOCIATION_INPUTS_MAX, RECORDS_MAX},
    },
    model::{AccountId, Problem},
    pipeline::{pages, routing::AccountRoute},
    store::{self, reads::Wanted},
    telemetry::CallLabels,
};

/// How long an answer that knew too little is waited with: HubSpot shows a
/// change everywhere within seconds.
pub(super) const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// How often the queue is looked at when nothing in this process says that it
/// moved; the command line of another process may have.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long an account waits after a failure that says no moment.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after repeated failures.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// When a read that is refused by itself is tried again, after the first few
/// times.
const REFUSED_AGAIN: Duration = Duration::from_secs(3_600);

/// Reads of one account that are in work at once: enough to use what an account
/// allows (11 calls a second) at HubSpot's usual 200 ms.
const AT_ONCE: usize = 4;

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Grant(#[from] grants::Error),
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    #[error(transparent)]
    Page(#[from] pages::Error),
    #[error("the work ended abruptly")]
    Ended,
}

/// Reads until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let working: Arc<Mutex<HashSet<AccountId>>> = Arc::default();
    while !stop.is_cancelled() {
        match due_accounts(&host).await {
            Ok(accounts) => {
                for route in accounts {
                    let mut held = working.lock().unwrap_or_else(PoisonError::into_inner);
                    if held.insert(route.id) {
                        let (host, stop, working) = (host.clone(), stop.clone(), working.clone());
                        let span = tracing::error_span!("reads", account = %route.key);
                        let drained = async move {
                            drain(&host, &route, &stop).await;
                            working
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .remove(&route.id);
                        };
                        tokio::spawn(drained.instrument(span));
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the read queue could not be looked at"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    // Reads under way are cut short; the queue still has them.
}

async fn due_accounts(host: &Host) -> Result<Vec<Arc<AccountRoute>>, store::Error> {
    let routing = host.pipeline.routing().await?;
    let now = host.clock.now();
    let routes: Vec<_> = routing.accounts().cloned().collect();
    host.store
        .read(move |tx| {
            let mut due = Vec::new();
            for route in routes {
                if tx
                    .next_read_at(route.id)?
                    .is_some_and(|moment| moment <= now)
                {
                    due.push(route);
                }
            }
            Ok(due)
        })
        .await
}

/// Reads all that is due of an account.
async fn drain(host: &Arc<Host>, account: &Arc<AccountRoute>, stop: &CancellationToken) {
    let mut pause = PAUSE;
    let mut batch_max = usize::MAX;
    while !stop.is_cancelled() {
        let step = tokio::select! {
            step = step(host, account, batch_max) => step,
            () = stop.cancelled() => return,
        };
        let error = match step {
            Ok(true) => {
                pause = PAUSE;
                batch_max = usize::MAX;
                continue;
            }
            Ok(false) => return,
            Err(error) => error,
        };
        let outcome = CallLabels {
            outcome: word(&error),
        };
        host.metrics.reads.get_or_create(&outcome).inc();
        let next = next(&error, batch_max);
        if next == Next::Again {
            continue;
        }
        tracing::warn!(%error, "a read failed");
        match next {
            Next::Again => {}
            Next::Smaller(smaller) => {
                batch_max = smaller;
                continue;
            }
            Next::PutOff => put_off_first(host, account.id).await,
            Next::Stop => {
                if let Error::HubSpot(hubspot::Error::MissingScopes { scopes }) = &error {
                    keep_problem(host, account.id, missing_scopes(scopes)).await;
                }
                return;
            }
            Next::Wait => {}
        }
        let retry_at = match &error {
            Error::HubSpot(error) => error.retry_at(),
            Error::Grant(error) => error.retry_at(),
            _ => None,
        };
        let until = retry_at.unwrap_or(host.clock.now().plus(pause));
        pause = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = host.clock.sleep_until(until) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The same, at once.
    Again,
    /// The same in batches of this many.
    Smaller(usize),
    /// Put the one read that is refused off, so that it holds up no other.
    PutOff,
    /// Wait, then the same.
    Wait,
    /// Nothing, until somebody acts: the connections say so.
    Stop,
}

fn next(error: &Error, batch_max: usize) -> Next {
    match error {
        Error::Store(store::Error::ConfigurationChanged) => Next::Again,
        Error::HubSpot(hubspot::Error::MissingScopes { .. })
        | Error::Grant(grants::Error::Grant(GrantError::Revoked)) => Next::Stop,
        error if !is_about_the_batch(error) => Next::Wait,
        _ if batch_max > 1 => Next::Smaller(batch_max.min(RECORDS_MAX) / 2),
        _ => Next::PutOff,
    }
}

/// Whether another batch may be answered although this one was not.
fn is_about_the_batch(error: &Error) -> bool {
    match error {
        Error::HubSpot(error) => matches!(
            error,
            hubspot::Error::TooLarge { .. }
                | hubspot::Error::Refused(_)
                | hubspot::Error::Unsendable(_)
        ),
        Error::Page(pages::Error::Plugin(fault)) => !fault.is_retryable(),
        Error::Page(pages::Error::Split(_)) => true,
        Error::Store(_) | Error::Grant(_) | Error::Ended => false,
    }
}

/// Puts off the read that waits longest. It is never given up: what refuses it
/// may be mended.
async fn put_off_first(host: &Host, account: AccountId) {
    let now = host.clock.now();
    let put_off = move |tx: &store::Tx<'_>| {
        for read in tx.due_reads(account, now, 1)? {
            let wait = AGAIN_AFTER
                .get(read.attempts as usize)
                .copied()
                .unwrap_or(REFUSED_AGAIN);
            tx.put_off_read(&read, now.plus(wait))?;
        }
        Ok(())
    };
    if let Err(error) = host.store.transact(put_off).await {
        tracing::error!(%error, "a refused read could not be put off");
    }
}

async fn keep_problem(host: &Host, account: AccountId, problem: Problem) {
    let keep = move |tx: &store::Tx<'_>| needs_attention(tx, account, &problem);
    if let Err(error) = host.store.transact(keep).await {
        tracing::error!(%error, "a problem could not be kept");
    }
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Store(_) => "store",
        Error::Grant(_) => "grant",
        Error::HubSpot(hubspot::Error::RateLimited { .. }) => "rate_limited",
        Error::HubSpot(_) => "hubspot",
        Error::Page(_) | Error::Ended => "plugin",
    }
}

/// Reads what is due, at most a few batches at once. Returns whether there was
/// anything.
async fn step(host: &Arc<Host>, account: &AccountRoute, batch_max: usize) -> Result<bool, Error> {
    let id = account.id;
    let now = host.clock.now();
    let limit = batch_max.min(ASSOCIATION_INPUTS_MAX.max(RECORDS_MAX * AT_ONCE));
    let (due, sequence) = host
        .store
        .transact(move |tx| Ok((tx.due_reads(id, now, limit)?, tx.next_sequence()?)))
        .await?;
    let Some(first) = due.first() else {
        return Ok(false);
    };
    let routing = host.pipeline.routing().await?;
    let Some(route) = routing.account(&account.key).cloned() else {
        return Ok(false);
    };
    let work = Work {
        host: host.clone(),
        route,
        configuration: routing.configuration,
        sequence,
    };
    match first.key.wanted.clone() {
        Wanted::Record => {
            let batches: Vec<_> = due
                .chunks(RECORDS_MAX.min(batch_max))
                .map(|batch| work.records(batch.to_vec()))
                .collect();
            for outcome in futures_util::future::join_all(batches).await {
                outcome?;
            }
        }
        Wanted::Associations(to_type) => work.associations(due, to_type).await?,
    }
    host.metrics
        .reads
        .get_or_create(&CallLabels { outcome: "ok" })
        .inc();
    host.pipeline.notify_changed();
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        Error::HubSpot(hubspot::Error::Unsendable("a test"))
    }

    #[test]
    fn a_refused_batch_halves_down_to_the_one_read_which_is_put_off() {
        let mut batch_max = usize::MAX;
        let mut halvings = 0;
        while let Next::Smaller(smaller) = next(&refused(), batch_max) {
            assert!(smaller < batch_max && smaller > 0);
            batch_max = smaller;
            halvings += 1;
        }
        assert!(halvings < 10);
        assert_eq!(next(&refused(), batch_max), Next::PutOff);
    }

    #[test]
    fn our_own_misconfiguration_waits_and_a_revoked_grant_stops() {
        let code = "invalid_client".to_owned();
        let ours = Error::Grant(GrantError::Misconfigured { code }.into());
        assert_eq!(next(&ours, usize::MAX), Next::Wait);
        assert_eq!(
            next(&Error::Grant(GrantError::Revoked.into()), usize::MAX),
            Next::Stop
        );
    }

    #[test]
    fn a_changed_configuration_is_worked_under_at_once() {
        let changed = Error::Store(store::Error::ConfigurationChanged);
        assert_eq!(next(&changed, usize::MAX), Next::Again);
    }
}
