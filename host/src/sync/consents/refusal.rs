//! Why a consent came to nothing, and what is left of it.

use crate::{
    host::Host,
    hubspot::oauth::GrantError,
    model::{AccountKey, Connection, ConnectionId},
    pipeline::mapping::delete_connection,
    secrets,
    store::{self, connections::Consent},
};

/// Why a consent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state or the one-time token is unknown, was used, or is too old.
    #[error("the consent is unknown, was used, or is too old")]
    Unknown,
    /// Another browser began it.
    #[error("another browser began the consent")]
    OtherSession,
    /// HubSpot's marketplace began it, and nobody is signed in.
    #[error("nobody is signed in to take what the marketplace began")]
    SignedOut,
    /// Who brings it is no admin of the project, or of none.
    #[error("who brings the consent is no admin of the project")]
    NoAdmin,
    /// The admin, or HubSpot, said no.
    #[error("the consent was denied")]
    Denied,
    /// HubSpot sent back neither a code nor an error.
    #[error("HubSpot's answer has no code")]
    NoCode,
    /// The connection is of another account.
    #[error("the connection is of account {expected}, the consent of account {given}")]
    OtherAccount {
        /// The account of the connection.
        expected: AccountKey,
        /// The account that consented.
        given: AccountKey,
    },
    /// The project has a connection to that account.
    #[error("this account is connected to the project already")]
    AlreadyConnected {
        /// That connection; none where it is deleted by now.
        by: Option<ConnectionId>,
    },
    /// What was consented to ended before it was connected.
    #[error(
        "the access ended meanwhile: the account's last connection was deleted, or the app uninstalled"
    )]
    GivenBack,
    /// The connection is to a source that nobody consents for.
    #[error("this source only pushes, so there is no consent to renew")]
    NoConsent,
    /// This host has no HubSpot app.
    #[error("HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET are not set")]
    NoApp,
    /// HubSpot gave no grant.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// What was sealed cannot be opened.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

/// Why a consent came to nothing, and what it was of.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// What it was of; none where that is not known, or was still to be made.
    pub of: Option<Connection>,
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let error = error.into();
        Self { error, of: None }
    }
}

impl Refusal {
    /// Of the consent for a connection. One that a browser began, of an account that
    /// the project has already, leaves nothing to be finished.
    pub(super) async fn of(host: &Host, error: Error, consent: &Consent) -> Self {
        let Some(id) = consent.connection else {
            return error.into();
        };
        let drops = matches!(error, Error::AlreadyConnected { .. }) && consent.session.is_some();
        let now = host.clock.now();
        let of = host.store.transact(move |tx| {
            let connection = tx.any_connection(id)?;
            if drops && connection.account.is_none() {
                delete_connection(tx, connection.project, id, true, now)?;
            }
            Ok(connection)
        });
        let of = of.await.inspect_err(|failed| {
            // The refusal is told all the same, with a way to the list of all.
            tracing::warn!(%failed, "it is not known what a refused consent was of");
        });
        let of = of.ok();
        Self { error, of }
    }
}
