//! What is wrong with an account's grant, as its connections say it.

use crate::{
    hubspot::oauth,
    model::{AccountId, Problem, Status},
    store::{self, Tx},
};

/// Says on all of an account's connections that they cannot go on.
pub(super) fn needs_attention(
    tx: &Tx<'_>,
    account: AccountId,
    problem: &Problem,
) -> Result<(), store::Error> {
    for connection in tx.account_connections(account)? {
        let status = match connection.status {
            Status::Active | Status::NeedsAttention => Status::NeedsAttention,
            // It stays so until an admin resumes it.
            Status::Paused => Status::Paused,
            Status::Pending => continue,
        };
        tx.set_connection_status(connection.id, status, Some(problem))?;
    }
    Ok(())
}

pub(super) fn revoked() -> Problem {
    Problem {
        code: Problem::ACCESS_REVOKED.into(),
        detail: "HubSpot no longer accepts our access to this account: the app was uninstalled, \
                 or the access was withdrawn."
            .into(),
        remedy: "Reconnect as a HubSpot super admin of the same account. Nothing that was synced \
                 is lost."
            .into(),
    }
}

pub(super) fn app_uninstalled() -> Problem {
    Problem {
        code: Problem::APP_UNINSTALLED.into(),
        detail: "The app was uninstalled in HubSpot, so nothing is taken from this account any \
                 more."
            .into(),
        remedy: "Reconnect as a HubSpot super admin of the same account. Nothing that was synced \
                 is lost."
            .into(),
    }
}

/// What is said where HubSpot misses scopes.
pub fn missing_scopes(scopes: &[String]) -> Problem {
    let named = if scopes.is_empty() {
        String::new()
    } else {
        format!(" to read {}", oauth::permissions(scopes))
    };
    Problem {
        code: "missing_scopes".into(),
        detail: format!("HubSpot says that our access lacks permissions{named}."),
        remedy: "Reconnect and grant all the permissions that are asked for. Values stay as they \
                 are until then."
            .into(),
    }
}
