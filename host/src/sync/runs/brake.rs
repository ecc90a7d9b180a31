//! The brake: a run that is about to take values from many users is held, and
//! asks.

use crate::{
    host::Host,
    model::{Problem, RunId, UserId},
    store,
};

/// However few users there are, so many may lose values before a run is held.
const LOSSES_MIN: u64 = 100;

/// How many users may lose values in one run, where a connection feeds so many.
pub fn losses_max(users: u64, share: f64) -> u64 {
    // Shares are from 0 to 1, and users far below what a float holds exactly.
    LOSSES_MIN.max((users as f64 * share) as u64)
}

/// Holds a run where that is why a transaction was undone; then it is to be
/// looked anew what is due.
pub async fn hold(host: &Host, error: store::Error) -> store::Error {
    let store::Error::Braked(run, users) = error else {
        return error;
    };
    tracing::warn!(%run, "a run would take values from many users, and is held");
    let problem = problem(run, &users);
    let hold = move |tx: &store::Tx<'_>| tx.hold_run(run, &problem);
    let held = host.store.transact(hold).await;
    host.pipeline.notify_changed();
    held.err().unwrap_or(store::Error::ConfigurationChanged)
}

fn problem(run: RunId, users: &[UserId]) -> Problem {
    let names: Vec<String> = users.iter().map(ToString::to_string).collect();
    Problem {
        code: "braked".into(),
        detail: format!(
            "{run} is held: it would clear or move the values of many more users, such as {}.",
            names.join(", ")
        ),
        remedy: "Look at these users' records in HubSpot. If what it says there is right, let the \
                 sync go on; else cancel it."
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_users_may_lose_values_and_at_least_a_hundred() {
        assert_eq!(losses_max(10_000, 0.2), 2_000);
        assert_eq!(losses_max(501, 0.2), 100);
        assert_eq!(losses_max(0, 0.2), 100);
    }
}
