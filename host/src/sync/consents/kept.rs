//! What is kept of a consent from one step to the next: sealed, and good for that step
//! alone.

use serde::{Deserialize, Serialize};

use super::{Error, STEP_MAX, connecting::Known};
use crate::{
    host::Host,
    hubspot::oauth::Grant,
    model::{AccountKey, Timestamp},
    secrets::{self, Secret, hash_token, random_token},
    store::{
        self,
        connections::{Consent, ConsentStep},
    },
};

/// What is sealed between the answer and the confirmation.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_token: String,
    refresh_token: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    account: AccountKey,
    scopes: Vec<String>,
    known: Known,
}

/// Keeps what was exchanged until the admin confirms; the answer is the one-time
/// token of that.
pub(super) async fn keep(
    host: &Host,
    consent: Consent,
    grant: Grant,
    known: Known,
) -> Result<Secret, Error> {
    let token = random_token();
    let hash = hash_token(&token);
    let kept = serde_json::to_vec(&Kept {
        access_token: grant.access_token.expose().to_owned(),
        refresh_token: grant.refresh_token.expose().to_owned(),
        issued_at: grant.issued_at,
        expires_at: grant.expires_at,
        account: grant.account,
        scopes: grant.scopes,
        known,
    })
    .map_err(|_| store::Error::Undecodable("consent"))?;
    let kept = zeroize::Zeroizing::new(kept);
    let consent = Consent {
        sealed: host.keys.seal(&context(ConsentStep::Confirm, &hash), &kept),
        expires_at: host.clock.now().plus(STEP_MAX),
        ..consent
    };
    host.store
        .transact(move |tx| tx.save_consent(hash, ConsentStep::Confirm, &consent))
        .await?;
    Ok(token)
}

/// What was kept until the admin confirms.
pub(super) fn open(
    host: &Host,
    hash: &[u8; 32],
    consent: &Consent,
) -> Result<(Grant, Known), Error> {
    let kept = host
        .keys
        .open(&context(ConsentStep::Confirm, hash), &consent.sealed)?;
    let kept: Kept = serde_json::from_slice(&kept).map_err(|_| secrets::Error::Unopenable)?;
    let grant = Grant {
        access_token: kept.access_token.into(),
        refresh_token: kept.refresh_token.into(),
        issued_at: kept.issued_at,
        expires_at: kept.expires_at,
        account: kept.account,
        scopes: kept.scopes,
    };
    Ok((grant, kept.known))
}

/// What is sealed of a consent is bound to: its step, and what proves it.
pub(super) fn context(step: ConsentStep, hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut context = format!("consent/{step:?}/");
    for byte in hash {
        // Writing to a text cannot fail.
        let _ = write!(context, "{byte:02x}");
    }
    context
}
