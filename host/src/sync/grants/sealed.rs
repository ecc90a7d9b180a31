//! A grant's tokens as they are kept: sealed, and good for their account alone.

use serde::{Deserialize, Serialize};

use super::{Error, Grants};
use crate::{
    hubspot::oauth::Grant,
    model::{AccountId, AccountKey, Timestamp},
    secrets::{self, Secret},
    store::connections::SealedGrant,
};

/// A grant as it is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Tokens {
    access_token: String,
    pub(super) refresh_token: String,
    issued_at: i64,
}

/// A grant that is open.
pub(super) struct Open {
    /// As it was read.
    pub(super) sealed: Vec<u8>,
    pub(super) key: AccountKey,
    pub(super) region: Option<String>,
    pub(super) access_token: Secret,
    pub(super) refresh_token: Secret,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) scopes: Vec<String>,
}

impl Grants {
    /// An account's grant, open.
    pub(super) async fn open(&self, account: AccountId) -> Result<Open, Error> {
        let (known, grant) = self
            .store
            .read(move |tx| Ok((tx.account(account)?, tx.grant(account)?)))
            .await?;
        let grant = grant.ok_or(Error::NoGrant)?;
        let tokens = self.tokens(&known.key, &grant.sealed)?;
        Ok(Open {
            sealed: grant.sealed,
            key: known.key,
            region: known.region,
            access_token: Secret::from(tokens.access_token),
            refresh_token: Secret::from(tokens.refresh_token),
            issued_at: Timestamp(tokens.issued_at),
            expires_at: grant.expires_at,
            scopes: grant.scopes,
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

    /// The tokens of a grant that is sealed.
    pub(super) fn tokens(&self, account: &AccountKey, sealed: &[u8]) -> Result<Tokens, Error> {
        let plain = self.keys.open_text(&context(account), sealed)?;
        Ok(serde_json::from_str(plain.expose()).map_err(|_| secrets::Error::Unopenable)?)
    }
}

fn context(account: &AccountKey) -> String {
    format!("grant/{account}")
}
