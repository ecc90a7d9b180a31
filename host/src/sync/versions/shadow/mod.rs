//! Shadows: a version reads what was received before it is switched to, beside the
//! active one, and what the two make of it is compared ([`compare`]).
//!
//! Architecture invariants:
//! - It has a place of its own in the log, which moves in the transaction that counts
//!   what was compared; so it goes on after a crash and counts nothing twice. It
//!   applies nothing.
//! - It works at a pace of its own ([`pace`]), on one blocking thread: whatever a
//!   candidate does, deliveries neither wait for it nor fail by it.
//! - What it compared was prepared under one configuration, and with all that was
//!   erased known, or is compared again.
//! - It compares with the active version alone: where another becomes that, it begins
//!   anew.

mod both;
mod compare;
mod mappings;
mod pace;
mod verdict;
mod worker;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use self::worker::{Next, Worker};
use super::Error;
use crate::{
    host::Host,
    hubspot::CONNECTOR,
    model::Timestamp,
    sources::Source,
    store::{
        self, Store, Tx,
        shadows::{Difference, Example, Shadow},
    },
};

pub use verdict::compared;

/// How often it looks when nothing in this process says that something is asked
/// for, and how long it waits after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long it rests between two steps at the least, and at the log's end: what comes
/// meanwhile is compared in one transaction.
const REST_MIN: Duration = Duration::from_millis(20);
const REST_AT_THE_END: Duration = Duration::from_millis(100);

/// How long a shadow follows the log's end before it ends by itself: what it found
/// is not kept for longer either.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What a shadow cannot see of a source whose records are read.
const PAGES_UNSEEN: &str = "pages of records and of associations do not stand in the log: of how \
     they would be read and matched, only what the versions need of a record and what they make \
     of texts kept from before is compared";

/// A shadow, and what it found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The shadow.
    pub shadow: Shadow,
    /// How often the versions differed, by how and where.
    pub differences: Vec<(Difference, u64)>,
    /// Some of these.
    pub examples: Vec<Example>,
}

impl Report {
    /// The connector's shadow; none where there is none.
    pub fn load(tx: &Tx<'_>, connector: &str) -> Result<Option<Self>, store::Error> {
        let Some(shadow) = tx.shadow(connector)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            differences: tx.shadow_differences(shadow.id)?,
            examples: tx.shadow_examples(shadow.id)?,
            shadow,
        }))
    }

    /// What it cannot see; none where it sees all that is read of the source: one that
    /// only pushes has no pages.
    pub fn unseen(&self) -> Option<&'static str> {
        let source = Source::of(&self.shadow.connector);
        source.is_read().then_some(PAGES_UNSEEN)
    }

    /// How often the versions differed.
    pub fn difference_count(&self) -> u64 {
        self.differences.iter().map(|(_, count)| count).sum()
    }
}

/// Asks the host to shadow the active version by the one whose digest begins so: over
/// what was received within `within`, or all that the log keeps. One that does that
/// already goes on, unless `within` is said.
pub async fn request(
    store: &Store,
    begins: String,
    within: Option<Duration>,
    by: String,
    now: Timestamp,
) -> Result<Shadow, Error> {
    let since = within.map(|within| now.minus(within));
    let requested = store.transact(move |tx| {
        let version = tx.plugin_version(&begins)?;
        let connector = &version.connector;
        let running = tx.running(connector)?;
        let runs = running.as_ref().is_some_and(|one| one.digest.is_some());
        // Of HubSpot's plugin a host always runs one.
        if !runs && connector != CONNECTOR {
            return Ok(Err(Error::NothingToCompare(connector.clone())));
        }
        if let Some(running) = running {
            if running.is(&version.digest) {
                return Ok(Err(Error::Active));
            }
            if version.file.is_none() && !running.has_built_in(&version.digest) {
                return Ok(Err(Error::NotKept));
            }
        }
        let known = tx.shadow(connector)?;
        let goes_on = known.is_some_and(|known| known.digest == version.digest);
        if !goes_on || since.is_some() {
            tx.start_shadow(connector, &version.digest, since, &by, now)?;
        }
        let shadow = tx.shadow(connector)?;
        Ok(Ok(shadow.ok_or(store::Error::NotFound("shadow"))?))
    });
    requested.await?
}

/// Ends the shadow of the version whose digest begins so, and forgets what it found.
pub async fn end(store: &Store, begins: String) -> Result<(), store::Error> {
    let ended = store.transact(move |tx| {
        let version = tx.plugin_version(&begins)?;
        let known = tx.shadow(&version.connector)?;
        if known.is_none_or(|known| known.digest != version.digest) {
            return Err(store::Error::NotFound("shadow"));
        }
        tx.end_shadow(&version.connector)
    });
    ended.await.map(|_| ())
}

/// Shadows until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let mut tail = host.log.tail();
    let mut workers = BTreeMap::new();
    while !stop.is_cancelled() {
        changed.borrow_and_update();
        tail.borrow_and_update();
        match step(&host, &mut workers, &stop).await {
            Next::Idle => tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            },
            Next::AtTheEnd => {
                tokio::select! {
                    _ = tail.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
                rest(REST_AT_THE_END, &stop).await;
            }
            Next::After(owed) => rest(owed.max(REST_MIN), &stop).await,
        }
    }
}

async fn rest(owed: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(owed) => {}
        () = stop.cancelled() => {}
    }
}

/// Makes a step of every connector's shadow. Together they rest as long as each of
/// them has to, so that several have no more of the machine than one.
async fn step(
    host: &Arc<Host>,
    workers: &mut BTreeMap<String, Worker>,
    stop: &CancellationToken,
) -> Next {
    for versions in host.plugins.all() {
        let connector = versions.active().description().connector.clone();
        workers
            .entry(connector.clone())
            .or_insert_with(|| Worker::new(host.clone(), connector, stop.clone()));
    }
    let mut next = Next::Idle;
    let mut seen = (0, 0);
    for worker in workers.values_mut() {
        let made = match worker.step().await {
            Ok(made) => made,
            Err(Error::Store(store::Error::Outdated)) => Next::After(REST_AT_THE_END),
            Err(_) if stop.is_cancelled() => return next,
            Err(error) => {
                tracing::warn!(%error, "a plugin version could not be compared yet");
                Next::After(LOOK_EVERY)
            }
        };
        next = next.and(made);
        seen = (seen.0 + worker.seen.0, seen.1 + worker.seen.1);
    }
    host.metrics.shadow(seen.0, seen.1);
    next
}
