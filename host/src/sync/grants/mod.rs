//! The accounts' grants: opened when needed, refreshed ahead of their end, once
//! for all who wait.

mod problems;
mod sealed;

pub use problems::missing_scopes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;
use tracing::Instrument;

use problems::{app_uninstalled, needs_attention, revoked};
use sealed::Open;

use super::{
    joint::{Ended, Joint, Outcome},
    lock,
    silences::Silences,
};
use crate::{
    hubspot::{
        self, Caller, Client, Priority,
        oauth::{App, Freshness, Grant, GrantError, freshness},
    },
    model::{AccountId, AccountKey, Timestamp},
    secrets::{self, Keys, Secret},
    store::{self, Store, Tx},
};

/// How long a token that is still good is left alone after it could not be
/// renewed.
const AHEAD_AGAIN: Duration = Duration::from_secs(30);

/// Why no call can be made in an account's name. All who wait for one renewal
/// are told the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(Arc<store::Error>),
    /// What was sealed cannot be opened.
    #[error(transparent)]
    Secrets(Arc<secrets::Error>),
    /// HubSpot gave no fresh token.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The account has no grant.
    #[error("the account has no grant: connect it again")]
    NoGrant,
    /// This host has no HubSpot app.
    #[error("HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET are not set")]
    NoApp,
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<secrets::Error> for Error {
    fn from(error: secrets::Error) -> Self {
        Self::Secrets(Arc::new(error))
    }
}

impl From<Ended> for Error {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl Error {
    /// Whether the same may succeed later, with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Grant(error) => error.is_retryable(),
            Self::Secrets(_) | Self::NoGrant | Self::NoApp | Self::Ended => false,
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

/// The accounts' grants.
pub struct Grants {
    store: Arc<Store>,
    keys: Arc<Keys>,
    client: Client,
    app: Option<App>,
    renewals: Joint<AccountId, Result<(), Error>>,
    /// When to renew ahead of a token's end again, after a failure.
    ahead_again_at: Mutex<HashMap<AccountId, Timestamp>>,
    turns: Mutex<HashMap<AccountKey, Arc<tokio::sync::Mutex<()>>>>,
    silences: Silences,
}

/// Why a call in an account's name came to nothing.
enum Failed {
    /// None could be made.
    Grant(Error),
    /// The call.
    Call(hubspot::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Grant(error)
    }
}

impl From<hubspot::Error> for Failed {
    fn from(error: hubspot::Error) -> Self {
        Self::Call(error)
    }
}

impl Grants {
    /// The grants in a store.
    pub fn new(store: Arc<Store>, keys: Arc<Keys>, client: Client, app: Option<App>) -> Self {
        Self {
            store,
            keys,
            client,
            app,
            renewals: Joint::default(),
            ahead_again_at: Mutex::default(),
            turns: Mutex::default(),
            silences: Silences::default(),
        }
    }

    /// For whom HubSpot does not answer.
    pub fn silences(&self) -> &Silences {
        &self.silences
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
            Freshness::RenewSoon => self.renew_ahead(account, &open.access_token),
            Freshness::RenewFirst => open = self.renew(account, &open.access_token).await?,
        }
        Ok(Caller {
            account: open.key,
            token: open.access_token,
            region: open.region.and_then(|region| region.parse().ok()),
            priority,
        })
    }

    /// Calls in an account's name; once more, with a fresh token, where HubSpot
    /// does not take the one that there was.
    pub async fn call<T, E, F>(
        self: &Arc<Self>,
        account: AccountId,
        priority: Priority,
        call: impl Fn(Caller) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
        E: From<Error> + From<hubspot::Error>,
    {
        let answer = self.called(account, priority, call).await;
        let now = self.client.clock().now();
        match answer {
            Ok(answer) => {
                self.silences.heard(account, None, now);
                Ok(answer)
            }
            Err(Failed::Call(error)) => {
                self.silences.heard(account, Some(&error), now);
                Err(error.into())
            }
            Err(Failed::Grant(error)) => {
                if let Error::Grant(GrantError::Unavailable(unanswered)) = &error {
                    self.silences.heard(account, Some(unanswered), now);
                }
                Err(error.into())
            }
        }
    }

    async fn called<T, F>(
        self: &Arc<Self>,
        account: AccountId,
        priority: Priority,
        call: impl Fn(Caller) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
    {
        let caller = self.caller(account, priority).await?;
        let refused = caller.token.clone();
        match call(caller).await {
            Err(hubspot::Error::Unauthorized) => {
                self.renew(account, &refused).await?;
                Ok(call(self.caller(account, priority).await?).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Returns once no renewal is under way, so that no answer of HubSpot's is
    /// lost with the process.
    pub async fn settled(&self) {
        self.renewals.settled().await;
    }

    async fn renew(self: &Arc<Self>, account: AccountId, known: &Secret) -> Result<Open, Error> {
        self.begin_renewal(account, known).wait().await??;
        self.open(account).await
    }

    /// Begins to renew a grant whose token is still good, unless that failed
    /// just now.
    fn renew_ahead(self: &Arc<Self>, account: AccountId, known: &Secret) {
        let now = self.client.clock().now();
        let again_at = lock(&self.ahead_again_at).get(&account).copied();
        if again_at.is_none_or(|moment| moment <= now) {
            // Nobody waits for it.
            drop(self.begin_renewal(account, known));
        }
    }

    /// Begins to renew a grant. All who ask meanwhile share the outcome, and it
    /// goes on when they go away: HubSpot may have replaced the refresh token.
    fn begin_renewal(
        self: &Arc<Self>,
        account: AccountId,
        known: &Secret,
    ) -> Outcome<Result<(), Error>> {
        let (grants, known) = (self.clone(), known.clone());
        let span = tracing::error_span!("renewal", %account);
        let renewed = async move {
            let outcome = grants.renew_known(account, &known).await;
            match &outcome {
                Ok(()) => drop(lock(&grants.ahead_again_at).remove(&account)),
                Err(error) => {
                    tracing::warn!(%error, "a token could not be renewed");
                    let soonest = grants.client.clock().now().plus(AHEAD_AGAIN);
                    let again_at = error.retry_at().map_or(soonest, |told| told.max(soonest));
                    lock(&grants.ahead_again_at).insert(account, again_at);
                }
            }
            outcome
        };
        self.renewals.begin(account, renewed.instrument(span))
    }

    /// Renews a grant, unless somebody did since `known` was read.
    async fn renew_known(&self, account: AccountId, known: &Secret) -> Result<(), Error> {
        let open = self.open(account).await?;
        if open.access_token != *known {
            return Ok(());
        }
        let app = self.app.as_ref().ok_or(Error::NoApp)?;
        let asked_with = open.sealed;
        match self.client.refresh(app, &open.refresh_token).await {
            Ok(fresh) => {
                let sealed = self.seal_grant(&Grant {
                    access_token: fresh.access_token,
                    refresh_token: fresh.refresh_token,
                    issued_at: fresh.issued_at,
                    expires_at: fresh.expires_at,
                    account: open.key,
                    scopes: fresh.scopes.unwrap_or(open.scopes),
                });
                self.store
                    .transact(move |tx| {
                        // Given up, or consented to anew while we asked: it stays so.
                        if is_held(tx, account, &asked_with)? {
                            tx.save_grant(account, Some(&sealed))?;
                        }
                        Ok(())
                    })
                    .await?;
                Ok(())
            }
            Err(GrantError::Revoked) => {
                let withdrawn = self
                    .store
                    .transact(move |tx| {
                        let held = is_held(tx, account, &asked_with)?;
                        if held {
                            needs_attention(tx, account, &revoked())?;
                        }
                        Ok(held)
                    })
                    .await?;
                // Another consent than the one that was withdrawn may hold.
                if withdrawn {
                    Err(GrantError::Revoked.into())
                } else {
                    Ok(())
                }
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

    /// Takes note that our app was uninstalled from an account, with which HubSpot
    /// ends its grant: it is forgotten, so that no call is made with it any more,
    /// and the connections say why. A grant that HubSpot renewed or gave since then
    /// is of a later installation, and goes on.
    pub async fn uninstalled(&self, account: AccountId, at: Timestamp) -> Result<(), Error> {
        let open = match self.open(account).await {
            Err(Error::NoGrant) => return Ok(()),
            open => open?,
        };
        if open.issued_at > at {
            return Ok(());
        }
        let ended = open.sealed;
        let is_ended = self
            .store
            .transact(move |tx| {
                let held = is_held(tx, account, &ended)?;
                if held {
                    tx.save_grant(account, None)?;
                    needs_attention(tx, account, &app_uninstalled())?;
                }
                Ok(held)
            })
            .await?;
        if is_ended {
            tracing::warn!(%account, "the app was uninstalled from an account");
        }
        Ok(())
    }

    /// Waits for the turn to take on, or to give back, a grant of an account.
    /// HubSpot gives an account one refresh token, so giving back what was ends
    /// what is taken on meanwhile.
    pub async fn turn(&self, account: &AccountKey) -> OwnedMutexGuard<()> {
        let turn = lock(&self.turns)
            .entry(account.clone())
            .or_default()
            .clone();
        turn.lock_owned().await
    }

    /// Gives a grant back, unless the account is connected again.
    pub async fn revoke(&self, account: AccountId, sealed: &[u8]) -> Result<(), Error> {
        let key = self.store.read(move |tx| tx.account(account)).await?.key;
        let _turn = self.turn(&key).await;
        let held = self.store.read(move |tx| tx.grant(account)).await?;
        if held.is_some() {
            return Ok(());
        }
        let tokens = self.tokens(&key, sealed)?;
        let app = self.app.as_ref().ok_or(Error::NoApp)?;
        Ok(self
            .client
            .revoke(app, &Secret::from(tokens.refresh_token))
            .await?)
    }
}

/// Whether an account's grant is still this one.
fn is_held(tx: &Tx<'_>, account: AccountId, sealed: &[u8]) -> Result<bool, store::Error> {
    Ok(tx.grant(account)?.is_some_and(|held| held.sealed == sealed))
}
