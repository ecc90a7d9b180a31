//! Where an admin is sent to consent, and the proof of who asked.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use super::App;
use crate::{
    hubspot::OWNERS_SCOPE,
    model::AccountKey,
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

/// What the app may be granted too, where the admin's plan and rights allow:
/// without it owners are shown by their ids alone. HubSpot refuses whoever asks for
/// one that the app does not list.
pub const OPTIONAL_SCOPES: [&str; 1] = [OWNERS_SCOPE];

/// What scopes let us read, for people: `contacts, the properties of deals`. One
/// that we do not ask for is named as HubSpot does.
pub fn permissions(scopes: &[String]) -> String {
    let words = scopes.iter().map(|scope| {
        let of = |kind| scope.strip_prefix(kind)?.strip_suffix(".read");
        match (of("crm.objects."), of("crm.schemas.")) {
            (Some(records), _) => records.to_owned(),
            (_, Some(properties)) => format!("the properties of {properties}"),
            (None, None) => scope.clone(),
        }
    });
    words.collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
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
}
