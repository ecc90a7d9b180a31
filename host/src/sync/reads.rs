//! Reads what the read queue asks for, in batches, and hands the answers to the
//! pipeline.
//!
//! Each kind of read of each account goes on by itself: whatever one waits for,
//! another account or another kind does not. What they share is the account's
//! request budget.
//!
//! A read is over when its answer is applied, in the same transaction. One that
//! knows less than the event that caused it is asked for again a little later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    batches::Work,
    definitions,
    grants::{self, missing_scopes},
    lock,
    put_off::{Reason, put_off},
};
use crate::{
    host::Host,
    hubspot::{
        self,
        oauth::GrantError,
        objects::{ASSOCIATION_INPUTS_MAX, RECORDS_MAX},
    },
    model::{AccountId, Problem, Status},
    pipeline::{
        pages,
        routing::{AccountRoute, ConnectionRoute},
    },
    store::{
        self,
        reads::{DueRead, ReadKind, Wanted},
    },
};

/// How often the queue is looked at when nothing in this process says that it
/// moved; the command line of another process may have.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a kind of an account's reads waits after a failure that says no moment.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after repeated failures.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long reads that the grant does not allow are not made. An admin who
/// reconnects, resumes or maps anew ends it at once.
const BARRED: Duration = Duration::from_secs(3_600);

/// Calls for records of one type of an account that are in work at once: enough
/// to use what an account allows (11 calls a second) at HubSpot's usual 200 ms.
const CALLS_AT_ONCE: usize = 4;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The account's grant.
    #[error(transparent)]
    Grant(#[from] grants::Error),
    /// The call.
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    /// The answer.
    #[error(transparent)]
    Page(#[from] pages::Error),
    /// An answer's pages lead back to one another.
    #[error("HubSpot's pages of associations have no end")]
    Endless,
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

impl From<definitions::Error> for Error {
    fn from(error: definitions::Error) -> Self {
        match error {
            definitions::Error::Grant(error) => Self::Grant(error),
            definitions::Error::HubSpot(error) => Self::HubSpot(error),
            definitions::Error::Plugin(fault) => Self::Page(fault.into()),
            definitions::Error::Ended => Self::Ended,
        }
    }
}

/// A kind of an account's reads.
type Line = (AccountId, ReadKind);

/// Reads until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let working = Arc::new(Working::default());
    while !stop.is_cancelled() {
        match due(&host).await {
            Ok(due) => {
                for (route, kind) in due {
                    if let Some(place) = Place::take(&working, (route.id, kind.clone())) {
                        let (host, stop) = (host.clone(), stop.clone());
                        let span = tracing::error_span!("reads", account = %route.key);
                        let working = working.clone();
                        let drained = async move {
                            let is_empty = drain(&host, &route, &kind, &stop).await;
                            drop(place);
                            if is_empty {
                                working.emptied.notify_one();
                            }
                        };
                        tokio::spawn(drained.instrument(span));
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the read queue could not be looked at"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = working.emptied.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    // Reads under way are cut short; the queue still has them.
}

/// The lines that are in work.
#[derive(Default)]
struct Working {
    lines: Mutex<HashSet<Line>>,
    /// Nothing more was due of one; something may have come to be while it was
    /// still in work.
    emptied: Notify,
}

/// A place among the lines that are in work, left however that ends.
struct Place {
    line: Line,
    working: Arc<Working>,
}

impl Place {
    /// The place of a line, unless it is taken.
    fn take(working: &Arc<Working>, line: Line) -> Option<Self> {
        let is_free = lock(&working.lines).insert(line.clone());
        is_free.then(|| Self {
            line,
            working: working.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.working.lines).remove(&self.line);
    }
}

async fn due(host: &Host) -> Result<Vec<(Arc<AccountRoute>, ReadKind)>, store::Error> {
    let routing = host.pipeline.routing().await?;
    let now = host.clock.now();
    host.store
        .read(move |tx| {
            let waiting = tx.accounts_with_reads()?;
            let routes = routing
                .accounts()
                .filter(|route| route.may_call && waiting.contains(&route.id));
            let mut due = Vec::new();
            for route in routes {
                let kinds = tx.due_kinds(route.id, now)?.into_iter();
                due.extend(kinds.map(|kind| (route.clone(), kind)));
            }
            Ok(due)
        })
        .await
}

/// Reads all that is due of a kind of an account. Returns whether nothing is any
/// more, as far as is known.
async fn drain(
    host: &Arc<Host>,
    account: &Arc<AccountRoute>,
    kind: &ReadKind,
    stop: &CancellationToken,
) -> bool {
    let mut pause = PAUSE;
    let mut batch_max = usize::MAX;
    while !stop.is_cancelled() {
        let step = tokio::select! {
            step = step(host, account, kind, batch_max) => step,
            () = stop.cancelled() => return false,
        };
        let Failure { error, about } = match step {
            Ok(true) => {
                pause = PAUSE;
                batch_max = usize::MAX;
                continue;
            }
            Ok(false) => return true,
            Err(failure) => failure,
        };
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
            Next::PutOff => put_off_alone(host, about, reason(&error)).await,
            Next::Bar => {
                if let Error::HubSpot(hubspot::Error::MissingScopes { scopes }) = &error {
                    bar(host, about, missing_scopes(scopes)).await;
                }
            }
            Next::Stop => return false,
            Next::Wait => {}
        }
        let retry_at = match &error {
            Error::HubSpot(error) => error.retry_at(),
            Error::Grant(error) => error.retry_at(),
            _ => None,
        };
        let until = retry_at.unwrap_or(host.clock.now().plus(pause));
        if next == Next::Wait {
            pause = (pause * 2).min(PAUSE_MAX);
        }
        tokio::select! {
            () = host.clock.sleep_until(until) => {}
            () = stop.cancelled() => return false,
        }
    }
    false
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same, at once.
    Again,
    /// The same in batches of this many.
    Smaller(usize),
    /// Put the one read that is refused off, so that it holds up no other.
    PutOff,
    /// Nothing of this kind for long; other kinds go on.
    Bar,
    /// Wait, then the same.
    Wait,
    /// Nothing, until somebody acts: the connections say so.
    Stop,
}

pub(super) fn next(error: &Error, batch_max: usize) -> Next {
    match error {
        Error::Store(store::Error::ConfigurationChanged) => Next::Again,
        Error::HubSpot(hubspot::Error::MissingScopes { .. }) => Next::Bar,
        Error::Grant(grants::Error::Grant(GrantError::Revoked)) => Next::Stop,
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
                | hubspot::Error::NotFound(_)
                | hubspot::Error::Unsendable(_)
                | hubspot::Error::Undecodable { .. }
        ),
        Error::Page(pages::Error::Plugin(fault)) => !fault.is_retryable(),
        Error::Page(pages::Error::Split(_)) | Error::Endless | Error::Ended => true,
        Error::Store(_) | Error::Grant(_) => false,
    }
}

/// Puts a read off that is refused by itself. It is never given up: what
/// refuses it may be mended.
async fn put_off_alone(host: &Host, about: Option<About>, reason: Reason) {
    let Some(About { route, first, .. }) = about else {
        return;
    };
    let now = host.clock.now();
    let put_off = move |tx: &store::Tx<'_>| put_off(tx, &route, &first, reason, now);
    if let Err(error) = host.store.transact(put_off).await {
        tracing::error!(%error, "a refused read could not be put off");
    }
}

/// What a read by itself is put off for.
fn reason(error: &Error) -> Reason {
    match error {
        Error::HubSpot(hubspot::Error::Undecodable { .. })
        | Error::Page(_)
        | Error::Endless
        | Error::Ended => Reason::NotUnderstood,
        _ => Reason::Refused,
    }
}

/// Makes no read of a kind for long, and says on the connections that want it
/// what the account's grant lacks.
async fn bar(host: &Host, about: Option<About>, problem: Problem) {
    let Some(About {
        route,
        configuration,
        first,
    }) = about
    else {
        return;
    };
    let until = host.clock.now().plus(BARRED);
    let bar = move |tx: &store::Tx<'_>| {
        if tx.configuration()? != configuration {
            // Somebody may have reconnected meanwhile.
            return Ok(());
        }
        let kind = first.kind();
        tx.bar_reads(route.id, &kind, until)?;
        for connection in tx.account_connections(route.id)? {
            let wants = |route: &Arc<ConnectionRoute>| {
                route.id == connection.id && route.reads(&kind.object_type, &kind.wanted)
            };
            let worse = connection.problem.is_some_and(|held| held.stops_calls());
            if connection.status.takes_changes() && !worse && route.connections.iter().any(wants) {
                let status = Status::NeedsAttention;
                tx.set_connection_status(connection.id, status, Some(&problem))?;
            }
        }
        Ok(())
    };
    if let Err(error) = host.store.transact(bar).await {
        tracing::error!(%error, "a kind of reads could not be barred");
    }
}

/// The most reads of a kind that are in work at once.
fn at_once_max(wanted: &Wanted) -> usize {
    match wanted {
        Wanted::Record => RECORDS_MAX * CALLS_AT_ONCE,
        // Their budget is small, and one call has a thousand.
        Wanted::Associations(_) => ASSOCIATION_INPUTS_MAX,
    }
}

/// A step that failed.
struct Failure {
    error: Error,
    about: Option<About>,
}

/// What a step was about.
struct About {
    route: Arc<AccountRoute>,
    configuration: i64,
    /// The first of its reads; the only one, where a batch is one.
    first: DueRead,
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self {
            error: error.into(),
            about: None,
        }
    }
}

/// Reads what is due of a kind, at most a few batches at once. Returns whether
/// there was anything.
async fn step(
    host: &Arc<Host>,
    account: &AccountRoute,
    kind: &ReadKind,
    batch_max: usize,
) -> Result<bool, Failure> {
    let id = account.id;
    let now = host.clock.now();
    let due = host.store.read(move |tx| tx.due_kinds(id, now)).await?;
    if !due.contains(kind) {
        return Ok(false);
    }
    // Taken before the reads begin, so that they are ordered by it; what is due
    // is then picked beside the writer.
    let sequence = host.store.transact(|tx| tx.next_sequence()).await?;
    let limit = at_once_max(&kind.wanted).min(batch_max);
    let kind = kind.clone();
    let due = host
        .store
        .read(move |tx| tx.due_reads(id, &kind, now, limit))
        .await?;
    let Some(first) = due.first().cloned() else {
        return Ok(false);
    };
    let routing = host.pipeline.routing().await?;
    let route = routing.account(&account.key).cloned();
    let Some(route) = route.filter(|route| route.may_call) else {
        return Ok(false);
    };
    let work = Work {
        host: host.clone(),
        route: route.clone(),
        configuration: routing.configuration,
        sequence,
        priority: first.cause.priority,
    };
    let wants = |one: &Arc<ConnectionRoute>| one.reads(&first.key.object_type, &first.key.wanted);
    let read = match first.key.wanted.clone() {
        // Nothing that is active maps it any more.
        _ if !route.connections.iter().any(wants) => work.finish(due).await,
        Wanted::Record => {
            let batches = due
                .chunks(RECORDS_MAX.min(batch_max))
                .map(|batch| work.records(batch.to_vec()));
            let outcomes = futures_util::future::join_all(batches).await;
            outcomes.into_iter().collect()
        }
        Wanted::Associations(to_type) => work.associations(due, to_type).await,
    };
    read.map_err(|error| Failure {
        error,
        about: Some(About {
            route,
            configuration: routing.configuration,
            first,
        }),
    })?;
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
    fn what_one_batch_makes_impossible_is_about_the_batch() {
        let fault = hubspot::Fault {
            status: 404,
            category: None,
            sub_category: None,
            correlation_id: None,
        };
        let undecodable = hubspot::Error::Undecodable {
            call: "a test",
            reason: "a test".into(),
        };
        for error in [
            Error::HubSpot(hubspot::Error::NotFound(fault)),
            Error::HubSpot(undecodable),
            Error::Endless,
            Error::Ended,
        ] {
            assert_eq!(next(&error, 2), Next::Smaller(1), "{error}");
            assert_eq!(next(&error, 1), Next::PutOff, "{error}");
        }
        let closed = Error::Store(store::Error::NotFound("anything"));
        assert_eq!(next(&closed, 2), Next::Wait);
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
    fn an_accounts_reads_are_a_few_calls_at_once() {
        assert_eq!(at_once_max(&Wanted::Record), 4 * RECORDS_MAX);
        let associations = Wanted::Associations("companies".into());
        assert_eq!(at_once_max(&associations), ASSOCIATION_INPUTS_MAX);
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
        let scopes = vec!["crm.objects.deals.read".to_owned()];
        let missing = Error::HubSpot(hubspot::Error::MissingScopes { scopes });
        assert_eq!(next(&missing, usize::MAX), Next::Bar);
    }

    #[test]
    fn a_changed_configuration_is_worked_under_at_once() {
        let changed = Error::Store(store::Error::ConfigurationChanged);
        assert_eq!(next(&changed, usize::MAX), Next::Again);
    }
}
