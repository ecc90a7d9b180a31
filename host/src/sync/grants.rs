//! The accounts' grants: opened when needed, refreshed ahead of their end, once
//! for all who wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::{
    hubspot::{
        Caller, Client, Priority,
        oauth::{App, Freshness, Grant, GrantError, freshness},
    },
    model::{AccountId, AccountKey, Problem, Status, Timestamp},
    secrets::{Keys, Secret},
    store::{self, Store, Tx, connections::SealedGrant},
};

/// Why no call can be made in an account's name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was sealed cannot be opened.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::Error),
    /// HubSpot gave no fresh token.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The account has no grant.
    #[error("the account has no grant: connect it again")]
    NoGrant,
    /// This host has no HubSpot app.
    #[error("HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET are not set")]
    NoApp,
}

impl Error {
    /// Whether the same may succeed later, with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Grant(error) => error.is_retryable(),
            Self::Secrets(_) | Self::NoGrant | Self::NoApp => false,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Grant(error) => error.retry_at(),
            _ => None,
        }
    }
}

/// A grant as it is sealed.
#[derive(Serialize, Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    issued_at: i64,
}

/// A grant that is open.
#[derive(Clone)]
struct Open {
    key: AccountKey,
    region: Option<String>,
    access_token: Secret,
    refresh_token: Secret,
    issued_at: Timestamp,
    expires_at: Timestamp,
    scopes: Vec<String>,
}

/// The accounts' grants.
pub struct Grants {
    store: Arc<Store>,
    keys: Arc<Keys>,
    client: Client,
    app: Option<App>,
    refreshing: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Grants {
    /// The grants in a store.
    pub fn new(store: Arc<Store>, keys: Arc<Keys>, client: Client, app: Option<App>) -> Self {
        Self {
            store,
            keys,
            client,
            app,
            refreshing: Mutex::default(),
        }
    }

    /// Who calls in an account's name, with a token that is good for a while.
    pub async fn caller(
        self: &Arc<Self>,
        account: AccountId,
        priority: Priority,
    ) -> Result<Caller, Error> {
        let mut open = self.open(account).await?;
        match freshness(open.issued_at, open.expires_at, self.client.clock().now()) {
            Freshness::Fresh => {}
            Freshness::RenewSoon => {
                let grants = self.clone();
                let known = open.access_token.clone();
                let renewed = async move {
                    if let Err(error) = grants.renew(account, &known).await {
                        tracing::warn!(%error, "a token could not be renewed ahead of its end");
                    }
                };
                let span = tracing::error_span!("renewal", account = %open.key);
                tokio::spawn(renewed.instrument(span));
            }
            Freshness::RenewFirst => {
                let known = open.access_token.clone();
                open = self.renew(account, &known).await?;
            }
        }
        Ok(Caller {
            account: open.key,
            token: open.access_token,
            region: open.region.and_then(|region| region.parse().ok()),
            priority,
        })
    }

    /// Gets a fresh token for one that HubSpot does not take any more.
    pub async fn replace(&self, account: AccountId, refused: &Secret) -> Result<(), Error> {
        self.renew(account, refused).await.map(|_| ())
    }

    /// Renews a grant, unless somebody did since `known` was read. All who ask
    /// meanwhile wait for the same answer.
    async fn renew(&self, account: AccountId, known: &Secret) -> Result<Open, Error> {
        let lock = {
            let mut refreshing = self
                .refreshing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            refreshing.entry(account).or_default().clone()
        };
        let _alone = lock.lock().await;
        let open = self.open(account).await?;
        if open.access_token.expose() != known.expose() {
            return Ok(open);
        }
        let app = self.app.as_ref().ok_or(Error::NoApp)?;
        match self.client.refresh(app, &open.refresh_token).await {
            Ok(fresh) => {
                let renewed = Open {
                    access_token: fresh.access_token,
                    refresh_token: fresh.refresh_token,
                    issued_at: fresh.issued_at,
                    expires_at: fresh.expires_at,
                    scopes: fresh.scopes.unwrap_or(open.scopes),
                    ..open
                };
                let sealed = self.seal(&renewed);
                self.store
                    .transact(move |tx| match tx.grant(account)? {
                        // Given up while we asked: it stays so.
                        None => Ok(()),
                        Some(_) => tx.save_grant(account, Some(&sealed)),
                    })
                    .await?;
                Ok(renewed)
            }
            Err(GrantError::Revoked) => {
                self.store
                    .transact(move |tx| needs_attention(tx, account, &revoked()))
                    .await?;
                Err(GrantError::Revoked.into())
            }
            Err(error) => {
                if let GrantError::Misconfigured { code } = &error {
                    tracing::error!(
                        code,
                        "HubSpot does not accept HUBSPOT_CLIENT_ID or HUBSPOT_CLIENT_SECRET; \
                         no customer can mend this"
                    );
                }
                Err(error.into())
            }
        }
    }

    async fn open(&self, account: AccountId) -> Result<Open, Error> {
        let (known, grant) = self
            .store
            .read(move |tx| Ok((tx.account(account)?, tx.grant(account)?)))
            .await?;
        let grant = grant.ok_or(Error::NoGrant)?;
        let plain = self.keys.open_text(&context(&known.key), &grant.sealed)?;
        let tokens: Tokens = serde_json::from_str(plain.expose())
            .map_err(|_| Error::Secrets(crate::secrets::Error::Unopenable))?;
        Ok(Open {
            key: known.key,
            region: known.region,
            access_token: Secret::from(tokens.access_token),
            refresh_token: Secret::from(tokens.refresh_token),
            issued_at: Timestamp(tokens.issued_at),
            expires_at: grant.expires_at,
            scopes: grant.scopes,
        })
    }

    fn seal(&self, open: &Open) -> SealedGrant {
        self.seal_grant(&Grant {
            access_token: open.access_token.clone(),
            refresh_token: open.refresh_token.clone(),
            issued_at: open.issued_at,
            expires_at: open.expires_at,
            account: open.key.clone(),
            scopes: open.scopes.clone(),
        })
    }

    /// A grant in the form that is kept.
    pub fn seal_grant(&self, grant: &Grant) -> SealedGrant {
        let tokens = serde_json::json!({
            "access_token": grant.access_token.expose(),
            "refresh_token": grant.refresh_token.expose(),
            "issued_at": grant.issued_at.0,
        });
        SealedGrant {
            sealed: self
                .keys
                .seal(&context(&grant.account), tokens.to_string().as_bytes()),
            expires_at: grant.expires_at,
            scopes: grant.scopes.clone(),
        }
    }

    /// Gives a grant back that nothing uses any more.
    pub async fn revoke(&self, account: AccountId, sealed: &[u8]) -> Result<(), Error> {
        let key = self.store.read(move |tx| tx.account(account)).await?.key;
        let plain = self.keys.open_text(&context(&key), sealed)?;
        let tokens: Tokens = serde_json::from_str(plain.expose())
            .map_err(|_| Error::Secrets(crate::secrets::Error::Unopenable))?;
        let app = self.app.as_ref().ok_or(Error::NoApp)?;
        Ok(self
            .client
            .revoke(app, &Secret::from(tokens.refresh_token))
            .await?)
    }
}

/// Says on all of an account's connections that they cannot go on.
pub fn needs_attention(
    tx: &Tx<'_>,
    account: AccountId,
    problem: &Problem,
) -> Result<(), store::Error> {
    for connection in tx.account_connections(account)? {
        if matches!(connection.status, Status::Active | Status::NeedsAttention) {
            tx.set_connection_status(connection.id, Status::NeedsAttention, Some(problem))?;
        }
    }
    Ok(())
}

fn revoked() -> Problem {
    Problem {
        code: "access_revoked".into(),
        detail: "HubSpot no longer accepts our access to this account: the app was uninstalled, \
                 or the access was withdrawn."
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
        format!(": {}", scopes.join(", "))
    };
    Problem {
        code: "missing_scopes".into(),
        detail: format!("HubSpot says that our access lacks permissions{named}."),
        remedy: "Reconnect and grant all the permissions that are asked for. Values stay as they \
                 are until then."
            .into(),
    }
}

fn context(account: &AccountKey) -> String {
    format!("grant/{account}")
}
