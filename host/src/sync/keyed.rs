//! Connects accounts of sources that only push, by the keys that the sources show
//! their customers. It is done at once: nobody has to consent, and there is nothing to
//! give back.

use crate::{
    host::Host,
    model::{AccountKey, ConnectionId, ProjectId, Status},
    secrets::Secret,
    sources::push,
    store,
};

/// An account's id is at most this long: so are ids in deliveries.
const ACCOUNT_BYTES_MAX: usize = 255;

/// Why an account is not connected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This host has no secret for the connector.
    #[error("no secret of the connector is set: JIMO_CONNECTOR_SECRETS")]
    NoSecret,
    /// What is given cannot be an account's id.
    #[error("an account's id has 1 to {ACCOUNT_BYTES_MAX} bytes in one line")]
    NoAccount,
    /// The key is not that of the account.
    #[error("the key is not that of the account")]
    WrongKey,
    /// The project has a connection to that account.
    #[error("this account is connected to the project already")]
    AlreadyConnected,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// An account to be connected, as its admin names it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The source's id of it.
    pub id: String,
    /// The key that the source shows its customer.
    pub key: Secret,
}

/// Connects an account to a project: from the commit on, what is pushed of it is the
/// connection's.
///
/// # Errors
///
/// Any [`Error`].
pub async fn connect(
    host: &Host,
    project: ProjectId,
    connector: &str,
    account: &Account,
) -> Result<ConnectionId, Error> {
    let secret = host.senders.secret(connector).ok_or(Error::NoSecret)?;
    let id = account.id.trim();
    if id.is_empty() || id.len() > ACCOUNT_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Error::NoAccount);
    }
    let id = AccountKey::from(id);
    if !push::is_key_of(secret, &id, account.key.expose()) {
        return Err(Error::WrongKey);
    }
    let (connector, now) = (connector.to_owned(), host.clock.now());
    let connecting = host.store.transact(move |tx| {
        let connection = tx.create_connection(project, &connector, now)?;
        let account = tx.save_account(&connector, &id, None, None, None)?;
        tx.set_connection_account(connection, account)?;
        tx.set_connection_status(connection, Status::Active, None)?;
        Ok(connection)
    });
    match connecting.await {
        Ok(connection) => {
            host.pipeline.notify_changed();
            Ok(connection)
        }
        Err(store::Error::Conflict(_)) => Err(Error::AlreadyConnected),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let account = Account {
            id: "acme".to_owned(),
            key: Secret::from("0123abcd"),
        };
        let printed = format!("{account:?}");
        assert!(
            printed.contains("acme") && !printed.contains("0123abcd"),
            "{printed}"
        );
    }
}
