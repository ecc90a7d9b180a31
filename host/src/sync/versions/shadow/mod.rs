//! Shadows: a version reads what was received before it is switched to, beside the
//! active one, and what the two make of it is compared ([`crate::pipeline::compare`]).
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
mod mappings;
mod pace;
mod verdict;
mod worker;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use self::worker::{Next, Worker};
use super::Error;
use crate::{
    host::Host,
    model::Timestamp,
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

/// What a shadow cannot see.
pub const UNSEEN: &str = "pages of records and of associations do not stand in the log: of how \
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
        if let Some(running) = tx.running(connector)? {
            if running.digest == version.digest {
                return Ok(Err(Error::Active));
            }
            if version.file.is_none() && running.built_in != version.digest {
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
    let mut worker = Worker::new(host, stop.clone());
    while !stop.is_cancelled() {
        changed.borrow_and_update();
        tail.borrow_and_update();
        let rest = match worker.step().await {
            Ok(Next::Idle) => {
                tokio::select! {
                    _ = changed.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            Ok(Next::AtTheEnd) => {
                tokio::select! {
                    _ = tail.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
                REST_AT_THE_END
            }
            Ok(Next::After(owed)) => owed.max(REST_MIN),
            Err(Error::Store(store::Error::ConfigurationChanged)) => REST_AT_THE_END,
            Err(_) if stop.is_cancelled() => return,
            Err(error) => {
                tracing::warn!(%error, "a plugin version could not be compared yet");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stop.cancelled() => {}
        }
    }
}
