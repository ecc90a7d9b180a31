//! Reads what the read queue asks for, in batches, and hands the answers to the
//! pipeline.
//!
//! A read is over when its answer is applied, in the same transaction. One that
//! knows less than the event that caused it is asked for again a little later.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio_util::sync::CancellationToken;

use super::{
    failures::Error,
    lines::{self, CALLS_AT_ONCE, Queue},
    put_off::{Why, put_off},
    work::Work,
};
use crate::{
    host::Host,
    hubspot::objects::{ASSOCIATION_INPUTS_MAX, RECORDS_MAX},
    model::{AccountId, AccountKey, Priority, Timestamp},
    pipeline::routing::{AccountRoute, ConnectionRoute},
    store::{
        self, Tx,
        reads::{DueRead, ReadKind, Wanted},
    },
    telemetry::{CallLabels, Metrics},
};

/// Reads until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    lines::run::<Reads>(host, stop).await;
}

/// The read queue.
struct Reads;

impl Queue for Reads {
    type Kind = ReadKind;
    type Item = DueRead;

    fn span(account: &AccountKey) -> tracing::Span {
        tracing::error_span!("reads", account = %account)
    }

    fn due_kinds(tx: &Tx<'_>, now: Timestamp) -> Result<Vec<(AccountId, ReadKind)>, store::Error> {
        tx.due_kinds(now)
    }

    fn is_due(
        tx: &Tx<'_>,
        account: AccountId,
        kind: &ReadKind,
        now: Timestamp,
    ) -> Result<bool, store::Error> {
        tx.is_due(account, kind, now)
    }

    fn due(
        tx: &Tx<'_>,
        account: AccountId,
        kind: &ReadKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueRead>, store::Error> {
        tx.due_reads(account, kind, now, limit)
    }

    fn at_once_max(kind: &ReadKind) -> usize {
        match kind.wanted {
            Wanted::Record => RECORDS_MAX * CALLS_AT_ONCE,
            // Their budget is small, and one call has a thousand.
            Wanted::Associations(_) => ASSOCIATION_INPUTS_MAX,
        }
    }

    fn gathers(_: &ReadKind) -> Option<Duration> {
        // The log's batches have gathered what asks for them.
        None
    }

    fn priority(kind: &ReadKind) -> Priority {
        kind.priority
    }

    fn read_kind(kind: &ReadKind) -> ReadKind {
        kind.clone()
    }

    fn calls(metrics: &Metrics) -> &Family<CallLabels, Counter> {
        &metrics.reads
    }

    async fn make(
        work: &Work,
        kind: &ReadKind,
        due: Vec<DueRead>,
        batch_max: usize,
    ) -> Result<(), Error> {
        let wants = |one: &Arc<ConnectionRoute>| one.reads(&kind.object_type, &kind.wanted);
        match kind.wanted.clone() {
            // Nothing that is active maps it any more.
            _ if !work.route.connections.iter().any(wants) => work.finish(due).await,
            Wanted::Record => {
                let batches = due
                    .chunks(RECORDS_MAX.min(batch_max))
                    .map(|batch| work.records(batch.to_vec()));
                let outcomes = futures_util::future::join_all(batches).await;
                outcomes.into_iter().collect()
            }
            Wanted::Associations(to_type) => work.associations(due, to_type).await,
        }
    }

    /// It is never given up: what refuses it may be mended.
    fn put_off(
        tx: &Tx<'_>,
        route: &AccountRoute,
        read: &DueRead,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        put_off(tx, route, read, why, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_reads_are_a_few_calls_at_once() {
        let of = |wanted| ReadKind {
            object_type: "contacts".into(),
            wanted,
            priority: Priority::Live,
        };
        let records = of(Wanted::Record);
        assert_eq!(Reads::at_once_max(&records), 4 * RECORDS_MAX);
        let associations = of(Wanted::Associations("companies".into()));
        assert_eq!(Reads::at_once_max(&associations), ASSOCIATION_INPUTS_MAX);
    }
}
