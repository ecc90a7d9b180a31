//! Work that goes on by itself: grants kept fresh, what has to be read read,
//! labels that changed shown, what is converted in another way converted again,
//! what was held selected anew, values settled, what was deleted for privacy erased, what is wrong
//! told, plugin versions compared and switched, what was set aside worked on again, and what is
//! over let go.
//!
//! Architecture invariant: everything here can be killed at any instant and
//! goes on from what the store holds.

pub mod alerts;
mod answers;
mod batches;
mod brake;
pub mod choices;
pub mod consents;
pub mod conversions;
pub mod definitions;
pub mod erasures;
pub mod failures;
pub mod grants;
pub mod health;
pub mod housekeeping;
mod joint;
pub mod journal;
mod kept;
pub mod keyed;
pub mod labels;
mod lines;
mod lookup_batches;
pub mod lookups;
mod places;
pub mod previews;
mod put_off;
pub mod reads;
mod regions;
pub mod replays;
mod revocations;
mod room;
pub mod runs;
pub mod samples;
pub mod settling;
pub mod silences;
mod steps;
pub mod versions;
mod work;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::host::Host;

/// A task that ends when it is told to stop.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks of a host.
pub fn tasks(host: &Arc<Host>, stop: &CancellationToken) -> Vec<Task> {
    vec![
        Box::pin(reads::run(host.clone(), stop.clone())),
        Box::pin(lookups::run(host.clone(), stop.clone())),
        Box::pin(runs::run(host.clone(), stop.clone())),
        Box::pin(runs::schedule::run(host.clone(), stop.clone())),
        Box::pin(conversions::run(host.clone(), stop.clone())),
        Box::pin(settling::run(host.clone(), stop.clone())),
        Box::pin(brake::run(host.clone(), stop.clone())),
        Box::pin(labels::run(host.clone(), stop.clone())),
        Box::pin(erasures::run(host.clone(), stop.clone())),
        Box::pin(alerts::run(host.clone(), stop.clone())),
        Box::pin(alerts::delivery::run(host.clone(), stop.clone())),
        Box::pin(housekeeping::run(host.clone(), stop.clone())),
        Box::pin(revocations::run(host.clone(), stop.clone())),
        Box::pin(regions::run(host.clone(), stop.clone())),
        Box::pin(journal::run(host.clone(), stop.clone())),
        Box::pin(room::run(host.clone(), stop.clone())),
        Box::pin(versions::switch::run(host.clone(), stop.clone())),
        Box::pin(versions::shadow::run(host.clone(), stop.clone())),
        Box::pin(replays::run(host.clone(), stop.clone())),
    ]
}

/// No code panics while it holds these locks; what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
