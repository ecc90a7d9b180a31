//! The brake of runs: one that is about to take values from many users is held, and
//! asks.

use crate::{
    host::Host,
    model::{Problem, RunId},
    store,
};

/// What to do about a transaction that was undone: where a brake undid it, to
/// look anew what is due, for the run is held then, or what its connection may
/// lose is decided.
pub async fn braked(host: &Host, error: store::Error) -> store::Error {
    let store::Error::Braked(run, users) = error else {
        return host.pipeline.braked(error).await;
    };
    tracing::warn!(%run, "a run would take values from many users, and is held");
    let problem = problem(run);
    let hold = move |tx: &store::Tx<'_>| tx.hold_run(run, &problem, &users);
    let held = host.store.transact(hold).await;
    host.pipeline.notify_changed();
    held.err().unwrap_or(store::Error::ConfigurationChanged)
}

fn problem(run: RunId) -> Problem {
    Problem {
        code: "braked".into(),
        detail: format!("{run} is held: it would clear or move the values of many more users."),
        remedy: "Look at these users' records in HubSpot. If what it says there is right, let the \
                 sync go on; else cancel it."
            .into(),
    }
}
