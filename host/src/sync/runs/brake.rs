//! The brake of runs: one that is about to take values from many users is held, and
//! asks.

use crate::{
    host::Host,
    model::{Problem, Run, RunKind},
    store,
};

/// What to do about a transaction that was undone: where a brake undid it, to
/// look anew what is due, for the run is held then, or what its connection may
/// lose is decided.
pub async fn braked(host: &Host, error: store::Error) -> store::Error {
    let store::Error::Braked {
        run,
        lost,
        examples,
    } = error
    else {
        return host.pipeline.braked(error).await;
    };
    tracing::warn!(%run, lost, "a run would take values from many users, and is held");
    let hold = move |tx: &store::Tx<'_>| {
        let held = tx.run(run)?;
        let fed = tx.fed_or_lost_count(held.connection, run)?;
        tx.hold_run(run, &problem(&held, lost, fed), &examples)
    };
    let held = host.store.transact(hold).await;
    host.pipeline.notify_changed();
    held.err().unwrap_or(store::Error::Outdated)
}

/// What a run asks that would take values from `lost` users in all, with what it was
/// about to do; the connection feeds, or fed, `fed`.
fn problem(run: &Run, lost: u64, fed: u64) -> Problem {
    let what = match run.kind {
        RunKind::Full => "full sync",
        RunKind::CatchUp => "catch-up",
    };
    let fed = fed.max(lost);
    Problem {
        code: "braked".into(),
        detail: format!(
            "A {what} is held: with what it does next it would have cleared or moved the values \
             of {lost} of {fed} users, and maybe of more after these."
        ),
        remedy: "Look at these users’ records in HubSpot. If what it says there is right, let the \
                 sync go on; else cancel it."
            .into(),
    }
}
