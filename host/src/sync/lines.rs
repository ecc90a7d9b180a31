//! Queues of calls to HubSpot, worked off line by line.
//!
//! A line is one kind of one account's work, and goes on by itself: whatever it
//! waits for, another account or another kind does not. What they share is the
//! account's request budget. Each line has its own pauses, batches and failures.

use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc, time::Duration};

use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    failures::{Error, Next, next, why},
    grants::missing_scopes,
    looks::Looks,
    places::{Place, Working},
    put_off::Why,
    work::Work,
};
use crate::{
    host::Host,
    hubspot,
    model::{AccountId, AccountKey, Priority, Problem, Status, Timestamp},
    pipeline::routing::{AccountRoute, ConnectionRoute},
    store::{self, Tx, reads::ReadKind},
    telemetry::{CallLabels, Metrics},
};

/// How often a queue is looked at when nothing in this process says that it
/// moved; the command line of another process may have.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a line waits after a failure that says no moment.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after repeated failures.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long calls that the grant does not allow are not made. An admin who
/// reconnects, resumes or maps anew ends it at once.
const BARRED: Duration = Duration::from_secs(3_600);

/// Calls for records of one line that are in work at once: enough to use what an
/// account allows (11 calls a second) at HubSpot's usual 200 ms.
pub(super) const CALLS_AT_ONCE: usize = 4;

/// A queue of what HubSpot is asked for.
///
/// What is asked for stays in the store until its answer is applied, in the same
/// transaction; so a queue can be worked off again from any instant on.
pub(super) trait Queue: 'static {
    /// What one call can ask for together.
    type Kind: Clone + Debug + Eq + Hash + Send + Sync + 'static;
    /// One thing that is asked for.
    type Item: Clone + Send + Sync + 'static;

    /// What log lines of an account's work are in.
    fn span(account: &AccountKey) -> Span;

    /// The kinds of all accounts of which something is due.
    fn due_kinds(tx: &Tx<'_>, now: Timestamp)
    -> Result<Vec<(AccountId, Self::Kind)>, store::Error>;

    /// Whether something of a kind of an account is due.
    fn is_due(
        tx: &Tx<'_>,
        account: AccountId,
        kind: &Self::Kind,
        now: Timestamp,
    ) -> Result<bool, store::Error>;

    /// What is due of a kind, what waits longest first, at most `limit`.
    fn due(
        tx: &Tx<'_>,
        account: AccountId,
        kind: &Self::Kind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Self::Item>, store::Error>;

    /// The most of a kind that is in work at once.
    fn at_once_max(kind: &Self::Kind) -> usize;

    /// How long more of a kind is gathered for after all that was due was asked
    /// for.
    fn gathers(kind: &Self::Kind) -> Option<Duration>;

    /// How urgent a kind is.
    fn priority(kind: &Self::Kind) -> Priority;

    /// The kind of read that the grant allows, or not, as it does this kind.
    fn read_kind(kind: &Self::Kind) -> ReadKind;

    /// Where its calls are counted.
    fn calls(metrics: &Metrics) -> &Family<CallLabels, Counter>;

    /// Calls for what is due, in batches of at most `batch_max`, and applies the
    /// answers.
    fn make(
        work: &Work,
        kind: &Self::Kind,
        due: Vec<Self::Item>,
        batch_max: usize,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Puts off what is refused by itself, so that it holds up nothing else.
    fn put_off(
        tx: &Tx<'_>,
        route: &AccountRoute,
        item: &Self::Item,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), store::Error>;
}

/// Works a queue off until it is told to stop.
pub(super) async fn run<Q: Queue>(host: Arc<Host>, stop: CancellationToken) {
    let mut looks = Looks::new(&host, LOOK_EVERY);
    let working = Arc::new(Working::<(AccountId, Q::Kind)>::default());
    while !stop.is_cancelled() {
        looks.begin();
        match due::<Q>(&host).await {
            Ok(due) => {
                for (route, kind) in due {
                    if let Some(place) = Place::take(&working, (route.id, kind.clone())) {
                        let (host, stop) = (host.clone(), stop.clone());
                        let span = Q::span(&route.key);
                        let working = working.clone();
                        let drained = async move {
                            let is_empty = drain::<Q>(&host, &route, &kind, &stop).await;
                            drop(place);
                            if is_empty {
                                working.emptied.notify_one();
                            }
                        };
                        tokio::spawn(drained.instrument(span));
                    }
                }
            }
            Err(error) => tracing::error!(%error, "what waits could not be looked at"),
        }
        tokio::select! {
            () = looks.next(working.emptied.notified()) => {}
            () = stop.cancelled() => {}
        }
    }
    // Calls under way are cut short; the queue still has what they were for.
}

async fn due<Q: Queue>(host: &Host) -> Result<Vec<(Arc<AccountRoute>, Q::Kind)>, store::Error> {
    let routing = host.pipeline.routing().await?;
    let now = host.clock.now();
    let due = host.store.read(move |tx| Q::due_kinds(tx, now)).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let callable = routing.accounts().filter(|route| route.may_call);
    let routes: HashMap<_, _> = callable.map(|route| (route.id, route)).collect();
    let due = due.into_iter();
    Ok(due
        .filter_map(|(account, kind)| Some(((*routes.get(&account)?).clone(), kind)))
        .collect())
}

/// Asks for all that is due of a kind of an account. Returns whether nothing is
/// any more, as far as is known.
async fn drain<Q: Queue>(
    host: &Arc<Host>,
    account: &Arc<AccountRoute>,
    kind: &Q::Kind,
    stop: &CancellationToken,
) -> bool {
    let mut pause = PAUSE;
    let mut batch_max = usize::MAX;
    while !stop.is_cancelled() {
        let step = tokio::select! {
            step = step::<Q>(host, account, kind, batch_max) => step,
            () = stop.cancelled() => return false,
        };
        let Failure { error, about } = match step {
            Ok(Made::Nothing) => return true,
            Ok(made) => {
                pause = PAUSE;
                batch_max = usize::MAX;
                if let (Made::All, Some(gathering)) = (made, Q::gathers(kind)) {
                    tokio::select! {
                        () = tokio::time::sleep(gathering) => {}
                        () = stop.cancelled() => return false,
                    }
                }
                continue;
            }
            Err(failure) => failure,
        };
        let next = next(&error, batch_max);
        if next == Next::Again {
            continue;
        }
        tracing::warn!(%error, digest = error.digest(), "a call failed");
        match next {
            Next::Again => {}
            Next::Smaller(smaller) => {
                batch_max = smaller;
                continue;
            }
            Next::PutOff => put_off_alone::<Q>(host, about, why(&error)).await,
            Next::Bar => {
                if let Error::HubSpot(hubspot::Error::MissingScopes { scopes }) = &error {
                    bar::<Q>(host, about, kind, missing_scopes(scopes)).await;
                }
            }
            Next::Stop => return false,
            Next::Wait => {}
        }
        let until = error.again_at(host.clock.now(), pause);
        if next == Next::Wait {
            pause = (pause * 2).min(PAUSE_MAX);
            let silences = host.grants.silences();
            silences.again_at(account.id, until, host.clock.now());
        }
        tokio::select! {
            () = host.clock.sleep_until(until) => {}
            () = stop.cancelled() => return false,
        }
    }
    false
}

async fn put_off_alone<Q: Queue>(host: &Host, about: Option<About<Q>>, why: Why) {
    let Some(About { route, first, .. }) = about else {
        return;
    };
    let now = host.clock.now();
    let put_off = move |tx: &Tx<'_>| Q::put_off(tx, &route, &first, &why, now);
    if let Err(error) = host.store.transact(put_off).await {
        tracing::error!(%error, "what was refused could not be put off");
    }
}

/// Makes no call of a kind for long, and says on the connections that want it
/// what the account's grant lacks.
async fn bar<Q: Queue>(host: &Host, about: Option<About<Q>>, kind: &Q::Kind, problem: Problem) {
    let Some(About { route, .. }) = about else {
        return;
    };
    let until = host.clock.now().plus(BARRED);
    let kind = Q::read_kind(kind);
    let bar = move |tx: &Tx<'_>| {
        if !tx.is_configuration(route.id, route.configuration)? {
            // Somebody may have reconnected meanwhile.
            return Ok(());
        }
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
        tracing::error!(%error, "a kind of calls could not be barred");
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// Nothing is due.
    Nothing,
    /// All that was due.
    All,
    /// As much as is in work at once; more may be due.
    Some,
}

/// A step that failed.
struct Failure<Q: Queue> {
    error: Error,
    about: Option<About<Q>>,
}

/// What a step was about.
struct About<Q: Queue> {
    route: Arc<AccountRoute>,
    /// The first that it was about; the only one, where a batch is one.
    first: Q::Item,
}

impl<Q: Queue> From<store::Error> for Failure<Q> {
    fn from(error: store::Error) -> Self {
        Self {
            error: error.into(),
            about: None,
        }
    }
}

/// Asks for what is due of a kind, at most a few batches at once.
async fn step<Q: Queue>(
    host: &Arc<Host>,
    account: &AccountRoute,
    kind: &Q::Kind,
    batch_max: usize,
) -> Result<Made, Failure<Q>> {
    let id = account.id;
    let now = host.clock.now();
    let of = kind.clone();
    let is_due = host.store.read(move |tx| Q::is_due(tx, id, &of, now));
    if !is_due.await? {
        return Ok(Made::Nothing);
    }
    // Taken before the calls begin, so that they are ordered by it; what is due
    // is then picked beside the writer.
    let sequence = host.store.transact(|tx| tx.next_sequence()).await?;
    let limit = Q::at_once_max(kind).min(batch_max);
    let of = kind.clone();
    let due = host
        .store
        .read(move |tx| Q::due(tx, id, &of, now, limit))
        .await?;
    let Some(first) = due.first().cloned() else {
        return Ok(Made::Nothing);
    };
    let routing = host.pipeline.routing().await?;
    let route = routing.account(&account.connector, &account.key).cloned();
    let Some(route) = route.filter(|route| route.may_call) else {
        return Ok(Made::Nothing);
    };
    let made = if due.len() < limit {
        Made::All
    } else {
        Made::Some
    };
    let work = Work {
        host: host.clone(),
        route: route.clone(),
        sequence,
        priority: Q::priority(kind),
        calls: Q::calls(&host.metrics).clone(),
    };
    Q::make(&work, kind, due, batch_max)
        .await
        .map_err(|error| Failure {
            error,
            about: Some(About { route, first }),
        })?;
    host.answered.tell(id);
    host.pipeline.notify_changed();
    Ok(made)
}
