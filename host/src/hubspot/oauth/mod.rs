//! Consent, tokens, and giving them back (HubSpot: working with OAuth; manage
//! OAuth tokens, in its dated version).
//!
//! Architecture invariant: our own misconfiguration is never told as the
//! customer's revocation.

mod app_token;
mod consent;
mod fault;

use std::time::Duration;

use serde::Deserialize;
use url::Url;

pub use app_token::AppToken;
pub use consent::{
    AUTHORIZE_URL, Consent, OPTIONAL_SCOPES, SCOPES, Verifier, authorize_url, permissions,
};
pub use fault::GrantError;
use fault::understand;

use super::{
    API_VERSION, Client, Error, account::undecodable, retry::backoff_alone, transport::Raw,
};
use crate::{
    model::{AccountKey, Timestamp},
    secrets::Secret,
};

/// A token is renewed this long before it ends, but never in the first three
/// quarters of its life.
const RENEW_AHEAD: Duration = Duration::from_secs(300);
/// A token that ends within this time is used for no further call, since the
/// call itself takes its time.
const USELESS_BEFORE_END: Duration = Duration::from_secs(30);
/// A token's life when the answer does not say (HubSpot: 30 minutes).
const LIFE: u64 = 1_800;

/// Our app, as it is registered at HubSpot.
#[derive(Clone, Debug)]
pub struct App {
    /// Its client id.
    pub client_id: String,
    /// Its client secret, which also signs webhooks.
    pub client_secret: Secret,
    /// Its own id, if set: what other apps were granted is refused.
    pub app_id: Option<u64>,
}

/// What an account granted.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Good until `expires_at`.
    pub access_token: Secret,
    /// Good until it is revoked; the newest one is to be kept.
    pub refresh_token: Secret,
    /// When the access token was asked for.
    pub issued_at: Timestamp,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// The account.
    pub account: AccountKey,
    /// What was granted.
    pub scopes: Vec<String>,
}

/// A grant with a fresh access token.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// Good until `expires_at`.
    pub access_token: Secret,
    /// To be kept from now on; often the same as before.
    pub refresh_token: Secret,
    /// When the access token was asked for.
    pub issued_at: Timestamp,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// The account, where the answer names it.
    pub account: Option<AccountKey>,
    /// What is granted, where the answer says so.
    pub scopes: Option<Vec<String>>,
}

/// What HubSpot says of a token that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// The account.
    pub account: AccountKey,
    /// The customer's domain, for people to know the account by.
    pub domain: Option<String>,
    /// What is granted.
    pub scopes: Vec<String>,
    /// The app that it was granted to.
    pub app_id: Option<u64>,
}

/// Whether an access token should be used or renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and renew it meanwhile.
    RenewSoon,
    /// Renew it first.
    RenewFirst,
}

/// Whether a token should be renewed: ahead of its end, so that no call waits
/// for it.
pub fn freshness(issued_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> Freshness {
    let life = expires_at.since(issued_at);
    if now >= expires_at.minus(USELESS_BEFORE_END.min(life / 8)) {
        Freshness::RenewFirst
    } else if now >= expires_at.minus(RENEW_AHEAD.min(life / 4)) {
        Freshness::RenewSoon
    } else {
        Freshness::Fresh
    }
}

/// What a call may be made again after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Nothing: a code is good once.
    Never,
    /// An answer that did nothing. After none, the token may have been replaced.
    AfterAnswer,
    /// Anything.
    Always,
}

impl Client {
    /// Turns the code that came back from the consent into a grant. Never
    /// repeated: a code is good once.
    ///
    /// # Errors
    ///
    /// Any [`GrantError`] but [`GrantError::Revoked`].
    pub async fn exchange_code(
        &self,
        app: &App,
        code: &Secret,
        redirect_uri: &Url,
        verifier: Option<&Verifier>,
    ) -> Result<Grant, GrantError> {
        let issued_at = self.clock().now();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", &app.client_id),
            ("client_secret", app.client_secret.expose()),
            ("redirect_uri", redirect_uri.as_str()),
            ("code", code.expose()),
        ];
        if let Some(verifier) = verifier {
            form.push(("code_verifier", verifier.secret().expose()));
        }
        let raw = self.oauth("token", &form, Repeat::Never).await?;
        let token: TokenWire = decode(&raw)?;
        let refresh_token = token.refresh_token.clone().ok_or_else(no_refresh_token)?;
        let (account, scopes) = match (token.account(), token.scopes.clone()) {
            (Some(account), Some(scopes)) => (account, scopes),
            _ => {
                let info = self.introspect(app, &token.access_token).await?;
                let info = info.ok_or(GrantError::BadCode)?;
                (info.account, info.scopes)
            }
        };
        Ok(Grant {
            refresh_token,
            issued_at,
            expires_at: token.expires_at(issued_at),
            access_token: token.access_token,
            account,
            scopes,
        })
    }

    /// Gets a fresh access token. Not repeated when no answer came, because a
    /// refresh token might be replaced by each use; whoever calls tries again.
    ///
    /// # Errors
    ///
    /// Any [`GrantError`] but [`GrantError::BadCode`].
    pub async fn refresh(
        &self,
        app: &App,
        refresh_token: &Secret,
    ) -> Result<Refreshed, GrantError> {
        let issued_at = self.clock().now();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &app.client_id),
            ("client_secret", app.client_secret.expose()),
            ("refresh_token", refresh_token.expose()),
        ];
        let raw = self.oauth("token", &form, Repeat::AfterAnswer).await?;
        let token: TokenWire = decode(&raw)?;
        Ok(Refreshed {
            issued_at,
            expires_at: token.expires_at(issued_at),
            account: token.account(),
            refresh_token: token.refresh_token.unwrap_or_else(|| refresh_token.clone()),
            access_token: token.access_token,
            scopes: token.scopes,
        })
    }

    /// What a token stands for; none where it is good no more.
    ///
    /// # Errors
    ///
    /// [`GrantError::OtherApp`], and those that concern us or the way to HubSpot.
    pub async fn introspect(
        &self,
        app: &App,
        token: &Secret,
    ) -> Result<Option<TokenInfo>, GrantError> {
        let form = token_form(app, token);
        let raw = self
            .oauth("token/introspect", &form, Repeat::Always)
            .await?;
        let info: InfoWire = decode(&raw)?;
        if !info.active {
            return Ok(None);
        }
        let ours = app.app_id.is_none() || info.app_id.is_none() || app.app_id == info.app_id;
        if !ours {
            return Err(GrantError::OtherApp);
        }
        let account = info.hub_id.ok_or_else(|| GrantError::Refused {
            status: raw.status.as_u16(),
            code: "the answer names no account".to_owned(),
        })?;
        Ok(Some(TokenInfo {
            account: account.to_string().into(),
            domain: info.hub_domain,
            scopes: info.scopes.unwrap_or_default(),
            app_id: info.app_id,
        }))
    }

    /// Gives a refresh token back; one that is good no more is no error. Access
    /// tokens live on to their end, at most 30 minutes.
    ///
    /// # Errors
    ///
    /// Those that concern us or the way to HubSpot.
    pub async fn revoke(&self, app: &App, refresh_token: &Secret) -> Result<(), GrantError> {
        let form = token_form(app, refresh_token);
        match self.oauth("token/revoke", &form, Repeat::Always).await {
            Ok(_) | Err(GrantError::Revoked) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn oauth(
        &self,
        call: &'static str,
        form: &[(&str, &str)],
        repeat: Repeat,
    ) -> Result<Raw, GrantError> {
        let path = format!("/oauth/{API_VERSION}/{call}");
        let exchange = repeat == Repeat::Never;
        let mut region = None;
        let mut attempt = 1;
        loop {
            let error = match self.post_form(call, region.as_ref(), &path, form).await {
                Ok(raw) if raw.status.is_success() => return Ok(raw),
                Ok(raw) => understand(&raw, exchange, self.clock().now()),
                Err(error) => GrantError::Unavailable(error),
            };
            let GrantError::Unavailable(cause) = &error else {
                return Err(error);
            };
            if let (Error::WrongRegion(right), None) = (cause, &region) {
                // Nothing was done there, so even a code is still good.
                region = Some(right.clone());
                continue;
            }
            let unsent = matches!(cause, Error::Transport(source) if source.is_connect());
            let answered = !matches!(cause, Error::Transport(_));
            let may = match repeat {
                Repeat::Never => false,
                Repeat::AfterAnswer => unsent || answered,
                Repeat::Always => true,
            };
            let wait = backoff_alone(attempt, cause, self.clock().now(), rand::random());
            let Some(wait) = wait.filter(|_| may) else {
                return Err(error);
            };
            self.clock().sleep(wait).await;
            attempt += 1;
        }
    }
}

fn token_form<'a>(app: &'a App, token: &'a Secret) -> [(&'static str, &'a str); 3] {
    [
        ("client_id", &app.client_id),
        ("client_secret", app.client_secret.expose()),
        ("token", token.expose()),
    ]
}

#[derive(Deserialize)]
struct TokenWire {
    access_token: Secret,
    refresh_token: Option<Secret>,
    expires_in: Option<u64>,
    hub_id: Option<u64>,
    scopes: Option<Vec<String>>,
}

impl TokenWire {
    fn account(&self) -> Option<AccountKey> {
        self.hub_id.map(|id| id.to_string().into())
    }

    fn expires_at(&self, issued_at: Timestamp) -> Timestamp {
        issued_at.plus(Duration::from_secs(self.expires_in.unwrap_or(LIFE)))
    }
}

#[derive(Deserialize)]
struct InfoWire {
    #[serde(default)]
    active: bool,
    hub_id: Option<u64>,
    hub_domain: Option<String>,
    scopes: Option<Vec<String>>,
    app_id: Option<u64>,
}

fn no_refresh_token() -> GrantError {
    GrantError::Refused {
        status: 200,
        code: "the answer has no refresh token".to_owned(),
    }
}

fn decode<'a, T: Deserialize<'a>>(raw: &'a Raw) -> Result<T, GrantError> {
    serde_json::from_slice(&raw.body)
        .map_err(|error| GrantError::Unavailable(undecodable("token", &error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_ahead_of_its_end() {
        let at = |second: i64| Timestamp(second * 1_000);
        let fresh = |now| freshness(at(0), at(1_800), at(now));
        assert_eq!(fresh(0), Freshness::Fresh);
        assert_eq!(fresh(1_499), Freshness::Fresh);
        assert_eq!(fresh(1_500), Freshness::RenewSoon);
        assert_eq!(fresh(1_769), Freshness::RenewSoon);
        assert_eq!(fresh(1_770), Freshness::RenewFirst);
        // One that lives a minute is not renewed all the time.
        let short = |now| freshness(at(0), at(60), at(now));
        assert_eq!(short(44), Freshness::Fresh);
        assert_eq!(short(45), Freshness::RenewSoon);
        assert_eq!(short(53), Freshness::RenewFirst);
    }
}
