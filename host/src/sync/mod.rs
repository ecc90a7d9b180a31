//! Work that goes on by itself: grants kept fresh, what has to be read read,
//! labels that changed shown, what is converted in another way converted again,
//! what was held selected anew, values settled, what was deleted for privacy erased, what is wrong
//! told, plugin versions compared and switched, what was set aside worked on again, and what is
//! over let go.
//!
//! Architecture invariant: everything here can be killed at any instant and
//! goes on from what the store holds.

pub mod alerts;
pub mod answered;
mod answers;
mod batches;
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
mod looks;
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
mod selections;
pub mod settling;
pub mod silences;
mod steps;
pub mod turns;
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

/// The tasks of a host, and what each works on.
pub fn tasks(host: &Arc<Host>, stop: &CancellationToken) -> Vec<(&'static str, Task)> {
    fn task(task: impl Future<Output = ()> + Send + 'static) -> Task {
        Box::pin(task)
    }
    let (host, stop) = (|| host.clone(), || stop.clone());
    vec![
        ("the read queue", task(reads::run(host(), stop()))),
        ("the queue of look-ups", task(lookups::run(host(), stop()))),
        ("runs", task(runs::run(host(), stop()))),
        (
            "the schedule of catch-ups",
            task(runs::schedule::run(host(), stop())),
        ),
        ("conversions", task(conversions::run(host(), stop()))),
        ("what settles values", task(settling::run(host(), stop()))),
        ("selections", task(selections::run(host(), stop()))),
        ("labels", task(labels::run(host(), stop()))),
        ("erasures", task(erasures::run(host(), stop()))),
        ("alerts", task(alerts::run(host(), stop()))),
        (
            "the delivery of alerts",
            task(alerts::delivery::run(host(), stop())),
        ),
        ("housekeeping", task(housekeeping::run(host(), stop()))),
        (
            "revocations of grants",
            task(revocations::run(host(), stop())),
        ),
        ("the accounts' regions", task(regions::run(host(), stop()))),
        ("the journal", task(journal::run(host(), stop()))),
        ("what keeps room", task(room::run(host(), stop()))),
        (
            "what switches plugin versions",
            task(versions::switch::run(host(), stop())),
        ),
        (
            "shadow versions",
            task(versions::shadow::run(host(), stop())),
        ),
        ("replays", task(replays::run(host(), stop()))),
    ]
}

/// No code panics while it holds these locks; what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
