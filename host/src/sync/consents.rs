//! An admin's consent: begun, come back from HubSpot, confirmed.
//!
//! A consent that a browser session began is good in that session alone. One
//! begun over the API has none, so whoever comes back is shown both sides, and
//! confirms: else an address sent to someone else would connect their account
//! to a project they never saw.
//!
//! What was exchanged and never confirmed is forgotten with the consent. It is
//! not revoked: HubSpot gives an account's connections one refresh token.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    grants::missing_scopes,
    runs::schedule::{self, UnderWay},
};
use crate::{
    host::Host,
    hubspot::{
        Caller, Priority, Region,
        oauth::{self, Grant, GrantError, OPTIONAL_SCOPES, SCOPES, Verifier},
    },
    model::{AccountKey, ConnectionId, Problem, ProjectId, Status, Timestamp},
    secrets::{Secret, hash_token, random_token},
    store::{
        self, Tx,
        connections::{Consent, ConsentStep},
    },
};

/// Where HubSpot sends the admin's browser back to.
pub const CALLBACK: &str = "/oauth/hubspot/callback";

/// How long a step of a consent may take.
const STEP_MAX: Duration = Duration::from_secs(600);

/// Why a consent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state or the one-time token is unknown, was used, or is too old.
    #[error("the consent is unknown, was used, or is too old")]
    Unknown,
    /// Another browser began it.
    #[error("another browser began the consent")]
    OtherSession,
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
    AlreadyConnected,
    /// What was consented to ended before it was connected.
    #[error(
        "the access ended meanwhile: the account's last connection was deleted, or the app uninstalled"
    )]
    GivenBack,
    /// This host has no HubSpot app.
    #[error("HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET are not set")]
    NoApp,
    /// HubSpot gave no grant.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// What was sealed cannot be opened.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What HubSpot sends back with the admin's browser.
#[derive(Debug, Default)]
pub struct Answer {
    /// The state that was sent there.
    pub state: Option<String>,
    /// The code, where the admin consented.
    pub code: Option<String>,
    /// The word for what went wrong, where the admin did not.
    pub error: Option<String>,
}

/// Both sides of a connection, for people.
#[derive(Clone, Debug)]
pub struct Sides {
    /// The connection.
    pub connection: ConnectionId,
    /// Its project.
    pub project: ProjectId,
    /// What people call the project.
    pub project_name: String,
    /// The account.
    pub account: AccountKey,
    /// The customer's domain, where HubSpot says it.
    pub domain: Option<String>,
}

/// What comes of an answer.
pub enum Step {
    /// It is connected: the browser that began it came back.
    Connected(Sides),
    /// The admin has to confirm, with this one-time token.
    Confirm(Sides, Secret),
}

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

/// What is known of an account.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    domain: Option<String>,
    region: Option<String>,
    time_zone: Option<String>,
}

/// Begins a consent for a connection; the answer is the address at HubSpot that
/// the admin's browser goes to. `session` is the hash of the browser session
/// that asks; none over the API.
pub async fn begin(
    host: &Host,
    project: ProjectId,
    connection: ConnectionId,
    session: Option<[u8; 32]>,
) -> Result<Url, Error> {
    let app = host.app.as_ref().ok_or(Error::NoApp)?;
    let (state, verifier) = (random_token(), Verifier::random());
    let hash = hash_token(&state);
    let sealed = host.keys.seal(
        &context(ConsentStep::Authorize, &hash),
        verifier.secret().expose().as_bytes(),
    );
    let consent = Consent {
        connection,
        session: session.map(|hash| hash.to_vec()),
        sealed,
        expires_at: host.clock.now().plus(STEP_MAX),
    };
    let account = host
        .store
        .transact(move |tx| {
            let connection = tx.connection(project, connection)?;
            tx.save_consent(hash, ConsentStep::Authorize, &consent)?;
            Ok(connection.account.map(|(_, key)| key))
        })
        .await?;
    Ok(oauth::authorize_url(
        &host.config.hubspot.authorize_url,
        app,
        &oauth::Consent {
            state: &state,
            redirect_uri: &host.url(CALLBACK),
            scopes: &SCOPES,
            optional_scopes: &OPTIONAL_SCOPES,
            account: account.as_ref(),
            verifier: &verifier,
        },
    ))
}

/// Takes what came back with the admin's browser, whose session is `session`.
pub async fn answered(
    host: &Arc<Host>,
    answer: Answer,
    session: Option<[u8; 32]>,
) -> Result<Step, Error> {
    let app = host.app.as_ref().ok_or(Error::NoApp)?;
    let state = Secret::from(answer.state.ok_or(Error::Unknown)?);
    let (hash, now) = (hash_token(&state), host.clock.now());
    let consent = host
        .store
        .transact(move |tx| tx.take_consent(hash, ConsentStep::Authorize, now))
        .await?
        .ok_or(Error::Unknown)?;
    let ours = consent
        .session
        .as_deref()
        .is_none_or(|own| session.is_some_and(|given| own == given.as_slice()));
    if !ours {
        return Err(Error::OtherSession);
    }
    if answer.error.is_some() {
        return Err(Error::Denied);
    }
    let code = Secret::from(answer.code.ok_or(Error::NoCode)?);
    let verifier = host
        .keys
        .open_text(&context(ConsentStep::Authorize, &hash), &consent.sealed)?;
    let grant = host
        .hubspot
        .exchange_code(app, &code, &host.url(CALLBACK), &Verifier::kept(verifier))
        .await?;
    let known = known(host, app, &grant).await?;
    let sides = sides(host, &consent, &grant, &known).await?;
    if consent.session.is_some() {
        connect(host, consent.connection, grant, known).await?;
        return Ok(Step::Connected(sides));
    }
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
    Ok(Step::Confirm(sides, token))
}

/// Takes the admin's confirmation.
pub async fn confirm(host: &Arc<Host>, token: &Secret) -> Result<Sides, Error> {
    let (hash, now) = (hash_token(token), host.clock.now());
    let consent = host
        .store
        .transact(move |tx| tx.take_consent(hash, ConsentStep::Confirm, now))
        .await?
        .ok_or(Error::Unknown)?;
    let kept = host
        .keys
        .open(&context(ConsentStep::Confirm, &hash), &consent.sealed)?;
    let kept: Kept =
        serde_json::from_slice(&kept).map_err(|_| crate::secrets::Error::Unopenable)?;
    let grant = Grant {
        access_token: kept.access_token.into(),
        refresh_token: kept.refresh_token.into(),
        issued_at: kept.issued_at,
        expires_at: kept.expires_at,
        account: kept.account,
        scopes: kept.scopes,
    };
    let sides = sides(host, &consent, &grant, &kept.known).await?;
    connect(host, consent.connection, grant, kept.known).await?;
    Ok(sides)
}

/// Asks HubSpot who the account is. The domain is for people and may be
/// missing; a token that is not ours is refused.
async fn known(host: &Host, app: &oauth::App, grant: &Grant) -> Result<Known, Error> {
    let info = match host.hubspot.introspect(app, &grant.access_token).await {
        Ok(Some(info)) if info.account == grant.account => Some(info),
        Ok(_) => return Err(GrantError::BadCode.into()),
        Err(error @ GrantError::OtherApp) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "an account's domain is not known");
            None
        }
    };
    let caller = Caller {
        account: grant.account.clone(),
        token: grant.access_token.clone(),
        region: None,
        priority: Priority::Live,
    };
    let details = match host.hubspot.account_details(&caller).await {
        Ok(details) => Some(details),
        Err(error) => {
            tracing::warn!(%error, "an account's time zone is not known");
            None
        }
    };
    let region = |region: Region| region.as_str().to_owned();
    Ok(Known {
        domain: info.and_then(|info| info.domain),
        region: details
            .as_ref()
            .and_then(|details| details.region.clone())
            .map(region),
        time_zone: details.and_then(|details| details.time_zone),
    })
}

/// Both sides, when they may be connected.
async fn sides(
    host: &Host,
    consent: &Consent,
    grant: &Grant,
    known: &Known,
) -> Result<Sides, Error> {
    let (id, given) = (consent.connection, grant.account.clone());
    let (connection, project, taken) = host
        .store
        .read(move |tx| {
            let connection = tx.any_connection(id)?;
            let project = tx.project(connection.project)?;
            let taken = tx.connections(connection.project)?.iter().any(|other| {
                other.id != id && other.account.as_ref().is_some_and(|(_, key)| *key == given)
            });
            Ok((connection, project, taken))
        })
        .await?;
    if let Some((_, expected)) = connection.account
        && expected != grant.account
    {
        return Err(Error::OtherAccount {
            expected,
            given: grant.account.clone(),
        });
    }
    if taken {
        return Err(Error::AlreadyConnected);
    }
    Ok(Sides {
        connection: id,
        project: project.id,
        project_name: project.name,
        account: grant.account.clone(),
        domain: known.domain.clone(),
    })
}

/// Connects: from the commit on, the account's deliveries are the connection's.
async fn connect(
    host: &Arc<Host>,
    id: ConnectionId,
    grant: Grant,
    known: Known,
) -> Result<(), Error> {
    let app = host.app.as_ref().ok_or(Error::NoApp)?;
    let _turn = host.grants.turn(&grant.account).await;
    // The account's last connection may have been deleted since the consent.
    let living = host.hubspot.introspect(app, &grant.refresh_token).await?;
    if living.is_none() {
        return Err(Error::GivenBack);
    }
    let sealed = host.grants.seal_grant(&grant);
    let missing: Vec<String> = SCOPES
        .iter()
        .filter(|scope| !grant.scopes.iter().any(|granted| granted == *scope))
        .map(|scope| (*scope).to_owned())
        .collect();
    let problem = (!missing.is_empty()).then(|| missing_scopes(&missing));
    let key = grant.account;
    let now = host.clock.now();
    let connected = host
        .store
        .transact(move |tx| {
            let connection = tx.any_connection(id)?;
            let other = connection
                .account
                .as_ref()
                .is_some_and(|(_, expected)| *expected != key);
            if other {
                return Err(store::Error::Conflict(
                    "the connection is of another account".into(),
                ));
            }
            let account = tx.save_account(
                &connection.connector,
                &key,
                known.domain.as_deref(),
                known.region.as_deref(),
                known.time_zone.as_deref(),
            )?;
            tx.save_grant(account, Some(&sealed))?;
            tx.forget_revocations(account)?;
            tx.allow_reads(account)?;
            tx.set_connection_account(id, account)?;
            // The grant is the account's: what was wrong with it is mended for
            // all of its connections.
            for connection in tx.account_connections(account)? {
                resume(tx, connection.id, connection.status, problem.as_ref(), now)?;
            }
            Ok(())
        })
        .await;
    match connected {
        Err(store::Error::Conflict(_)) => return Err(Error::AlreadyConnected),
        other => other?,
    }
    host.pipeline.notify_changed();
    Ok(())
}

fn resume(
    tx: &Tx<'_>,
    id: ConnectionId,
    status: Status,
    problem: Option<&Problem>,
    now: Timestamp,
) -> Result<(), store::Error> {
    match (status, problem) {
        // An admin paused it, and resumes it.
        (Status::Paused, problem) => tx.set_connection_status(id, Status::Paused, problem),
        (_, Some(problem)) => tx.set_connection_status(id, Status::NeedsAttention, Some(problem)),
        (_, None) => {
            tx.set_connection_status(id, Status::Active, None)?;
            // What happened while it was not connected.
            schedule::request(tx, id, UnderWay::BeginsAnew, now)
        }
    }
}

fn context(step: ConsentStep, hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut context = format!("consent/{step:?}/");
    for byte in hash {
        // Writing to a text cannot fail.
        let _ = write!(context, "{byte:02x}");
    }
    context
}
