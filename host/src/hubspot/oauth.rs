//! Consent, tokens, and giving them back (HubSpot: working with OAuth; manage
//! OAuth tokens, in its dated version).
//!
//! Architecture invariant: our own misconfiguration is never told as the
//! customer's revocation.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    API_VERSION, Client, Error,
    account::undecodable,
    error::{Body, classify},
    retry::backoff,
    transport::Raw,
};
use crate::{
    model::{AccountKey, Timestamp},
    secrets::{Secret, random_token},
};

/// Where the admin's browser is sent to consent.
pub const AUTHORIZE_URL: &str = "https://app.hubspot.com/oauth/authorize";
/// What the app must be granted.
pub const SCOPES: [&str; 7] = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.companies.read",
    "crm.objects.deals.read",
    "crm.schemas.contacts.read",
    "crm.schemas.companies.read",
    "crm.schemas.deals.read",
];
/// A token is renewed this long before it ends, but never in the first three
/// quarters of its life.
const RENEW_AHEAD: Duration = Duration::from_secs(300);
/// A token that ends within this time is used for no further call, since the
/// call itself takes its time.
const USELESS_BEFORE_END: Duration = Duration::from_secs(30);
/// A token's life when the answer does not say (HubSpot: 30 minutes).
const LIFE: u64 = 1_800;
/// The longest word kept of an error.
const CODE_LENGTH_MAX: usize = 60;

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

/// The proof that who brings the code is who asked for it (PKCE, RFC 7636).
#[derive(Clone, Debug)]
pub struct Verifier(Secret);

impl Verifier {
    /// A new one, of 256 random bits.
    pub fn random() -> Self {
        Self(random_token())
    }

    /// The one that was kept.
    pub fn kept(text: Secret) -> Self {
        Self(text)
    }

    /// To be kept until the code comes.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose().as_bytes()))
    }
}

/// What an admin is asked to consent to.
#[derive(Clone, Copy, Debug)]
pub struct Consent<'a> {
    /// Comes back with the code.
    pub state: &'a Secret,
    /// Where the browser comes back to: as registered with the app.
    pub redirect_uri: &'a Url,
    /// Exactly the scopes that the app requires.
    pub scopes: &'a [&'a str],
    /// Scopes that the admin's plan may lack.
    pub optional_scopes: &'a [&'a str],
    /// The account to be chosen beforehand.
    pub account: Option<&'a AccountKey>,
    /// The proof that [`Client::exchange_code`] will bring.
    pub verifier: &'a Verifier,
}

/// The address that begins the consent; `base` is [`AUTHORIZE_URL`] unless set
/// otherwise.
pub fn authorize_url(base: &Url, app: &App, consent: &Consent<'_>) -> Url {
    let mut url = base.clone();
    if let Some(account) = consent.account
        && let Ok(mut segments) = url.path_segments_mut()
    {
        // `/oauth/{account}/authorize` chooses the account.
        segments.pop().extend([account.as_str(), "authorize"]);
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("client_id", &app.client_id)
        .append_pair("redirect_uri", consent.redirect_uri.as_str())
        .append_pair("scope", &consent.scopes.join(" "));
    if !consent.optional_scopes.is_empty() {
        query.append_pair("optional_scope", &consent.optional_scopes.join(" "));
    }
    query
        .append_pair("state", consent.state.expose())
        .append_pair("code_challenge", &consent.verifier.challenge())
        .append_pair("code_challenge_method", "S256");
    // HubSpot wants spaces as %20; a plus that was meant is %2B already.
    url.set_query(Some(&query.finish().replace('+', "%20")));
    url
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

/// Why there is no grant.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The refresh token is good no more: uninstalled, revoked, or its user
    /// gone. Only the customer's consent mends it.
    #[error("the account has withdrawn its consent")]
    Revoked,
    /// HubSpot does not know our app as it is configured. Nothing that the
    /// customer could mend.
    #[error("HubSpot does not accept how this app is configured: {code}")]
    Misconfigured {
        /// HubSpot's word for it.
        code: String,
    },
    /// The code was used before, is too old, or was another's.
    #[error("the consent's code is not accepted; the consent has to be begun again")]
    BadCode,
    /// The account or its admin may not grant this.
    #[error("HubSpot denies this account's access")]
    AccessDenied,
    /// The grant belongs to another app than ours.
    #[error("the token was granted to another app")]
    OtherApp,
    /// HubSpot can't be reached, or can't answer now.
    #[error("HubSpot's authorization can't be reached")]
    Unavailable(#[source] Error),
    /// Any other answer. It is tried again, rather than blamed on someone.
    #[error("HubSpot refused with status {status}, {code}")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// HubSpot's word for it.
        code: String,
    },
}

impl GrantError {
    /// Whether the same may succeed later, with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_retryable(),
            Self::Refused { .. } => true,
            _ => false,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Unavailable(error) => error.retry_at(),
            _ => None,
        }
    }
}

impl From<Error> for GrantError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error)
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
        verifier: &Verifier,
    ) -> Result<Grant, GrantError> {
        let issued_at = self.clock().now();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &app.client_id),
            ("client_secret", app.client_secret.expose()),
            ("redirect_uri", redirect_uri.as_str()),
            ("code", code.expose()),
            ("code_verifier", verifier.secret().expose()),
        ];
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
        call: &str,
        form: &[(&str, &str)],
        repeat: Repeat,
    ) -> Result<Raw, GrantError> {
        let path = format!("/oauth/{API_VERSION}/{call}");
        let exchange = repeat == Repeat::Never;
        let mut attempt = 1;
        loop {
            let error = match self.post_form(&path, form).await {
                Ok(raw) if raw.status.is_success() => return Ok(raw),
                Ok(raw) => understand(&raw, exchange, self.clock().now()),
                Err(error) => GrantError::Unavailable(error),
            };
            let GrantError::Unavailable(cause) = &error else {
                return Err(error);
            };
            let unsent = matches!(cause, Error::Transport(source) if source.is_connect());
            let answered = !matches!(cause, Error::Transport(_));
            let may = match repeat {
                Repeat::Never => false,
                Repeat::AfterAnswer => unsent || answered,
                Repeat::Always => true,
            };
            let wait = backoff(attempt, cause, self.clock().now(), rand::random());
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

/// The error bodies, dated and legacy ones alike.
#[derive(Default, Deserialize)]
struct FaultWire {
    #[serde(default)]
    error: serde_json::Value,
    #[serde(default)]
    status: serde_json::Value,
}

/// What a refusal means. Words about our app come first: with `invalid_client`
/// nothing can be said of the customer's grant.
fn understand(raw: &Raw, exchange: bool, now: Timestamp) -> GrantError {
    let fault: FaultWire = serde_json::from_slice(&raw.body).unwrap_or_default();
    let error = fault.error.as_str().unwrap_or_default();
    let status = fault.status.as_str().unwrap_or_default();
    let code = [status, error].into_iter().find(|word| is_code(word));
    let code = code.unwrap_or("without a word").to_owned();
    if matches!(raw.status.as_u16(), 408 | 423 | 429 | 477 | 500..=599) {
        let error = classify(raw.status, &raw.headers, &Body::read(&raw.body), now);
        return GrantError::Unavailable(error);
    }
    let ours = matches!(
        error,
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope"
    ) || matches!(
        status,
        "BAD_CLIENT_ID"
            | "BAD_CLIENT_SECRET"
            | "BAD_REDIRECT_URI"
            | "BAD_GRANT_TYPE"
            | "BAD_SCOPES"
    );
    if ours {
        return GrantError::Misconfigured { code };
    }
    match (error, status) {
        (_, "BAD_AUTH_CODE" | "BAD_CODE_VERIFIER") => GrantError::BadCode,
        ("access_denied", _) | (_, "BAD_HUB") => GrantError::AccessDenied,
        ("invalid_grant", _) | (_, "BAD_REFRESH_TOKEN") if exchange => GrantError::BadCode,
        ("invalid_grant", _) | (_, "BAD_REFRESH_TOKEN") => GrantError::Revoked,
        _ => GrantError::Refused {
            status: raw.status.as_u16(),
            code,
        },
    }
}

/// Whether a word is a code, not a sentence that might hold anything.
fn is_code(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= CODE_LENGTH_MAX
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn app() -> App {
        App {
            client_id: "our app".to_owned(),
            client_secret: "secret".into(),
            app_id: Some(7),
        }
    }

    fn consent_url(account: Option<&AccountKey>) -> Url {
        let consent = Consent {
            state: &"a+b".into(),
            redirect_uri: &Url::parse("https://connect.example.com/oauth/hubspot/callback")
                .expect("address"),
            scopes: &["oauth", "crm.objects.contacts.read"],
            optional_scopes: &[],
            account,
            // RFC 7636, appendix B.
            verifier: &Verifier::kept("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()),
        };
        let base = Url::parse(AUTHORIZE_URL).expect("address");
        authorize_url(&base, &app(), &consent)
    }

    #[test]
    fn the_consents_address_is_as_hubspot_wants_it() {
        assert_eq!(
            consent_url(None).as_str(),
            "https://app.hubspot.com/oauth/authorize?client_id=our%20app\
             &redirect_uri=https%3A%2F%2Fconnect.example.com%2Foauth%2Fhubspot%2Fcallback\
             &scope=oauth%20crm.objects.contacts.read&state=a%2Bb\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
        let chosen = consent_url(Some(&"62515".into()));
        assert_eq!(chosen.path(), "/oauth/62515/authorize");
    }

    fn refusal(status: u16, body: &str, exchange: bool) -> GrantError {
        let raw = Raw {
            status: StatusCode::from_u16(status).expect("status"),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        understand(&raw, exchange, Timestamp(0))
    }

    #[test]
    fn a_revoked_grant_is_told_from_our_own_misconfiguration() {
        let refresh = |body| refusal(400, body, false);
        let dated = r#"{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"x"}"#;
        assert!(matches!(refresh(dated), GrantError::Revoked));
        let legacy = r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token","correlationId":"1"}"#;
        assert!(matches!(refresh(legacy), GrantError::Revoked));
        for ours in [
            r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#,
            r#"{"status":"BAD_CLIENT_ID"}"#,
            r#"{"error":"invalid_client"}"#,
            r#"{"error":"invalid_grant","status":"BAD_CLIENT_ID"}"#,
            r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#,
            r#"{"status":"BAD_REDIRECT_URI"}"#,
            r#"{"status":"BAD_SCOPES"}"#,
        ] {
            let error = refresh(ours);
            assert!(matches!(error, GrantError::Misconfigured { .. }), "{ours}");
            assert!(!error.is_retryable());
        }
        let unauthorized = refusal(401, r#"{"error":"invalid_client"}"#, false);
        assert!(matches!(unauthorized, GrantError::Misconfigured { .. }));
    }

    #[test]
    fn what_is_neither_is_tried_again() {
        for (status, body) in [
            (400, "{}"),
            (400, "<html>"),
            (400, r#"{"error":"invalid_request"}"#),
            (401, ""),
            (429, r#"{"policyName":"SECONDLY"}"#),
            (500, r#"{"error":"invalid_grant"}"#),
            (502, "<html>"),
        ] {
            assert!(
                refusal(status, body, false).is_retryable(),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_code_that_is_not_accepted_blames_nobodys_grant() {
        for body in [
            r#"{"status":"BAD_AUTH_CODE"}"#,
            r#"{"error":"invalid_grant","status":"BAD_CODE_VERIFIER"}"#,
            r#"{"error":"invalid_grant"}"#,
        ] {
            assert!(
                matches!(refusal(400, body, true), GrantError::BadCode),
                "{body}"
            );
        }
        let denied = r#"{"error":"access_denied","status":"BAD_HUB"}"#;
        assert!(matches!(
            refusal(400, denied, true),
            GrantError::AccessDenied
        ));
    }

    #[test]
    fn a_refusal_repeats_no_sentence() {
        let body = r#"{"error":"token abc of ana@example.com","status":"so be it"}"#;
        assert_eq!(
            refusal(400, body, false).to_string(),
            "HubSpot refused with status 400, without a word"
        );
    }

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
