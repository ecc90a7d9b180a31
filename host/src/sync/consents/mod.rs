//! An admin's consent: begun, come back from HubSpot, confirmed.
//!
//! Whoever comes back is shown both sides, and confirms: nothing is kept of an
//! account that was chosen by mistake, and an address sent to someone else does
//! not connect their account to a project they never saw. A consent that a browser
//! session began is good in that session alone.
//!
//! One that HubSpot's marketplace began comes back without our state. Who brings it
//! signs in, is shown both sides, chooses the project where they are an admin of
//! several, and confirms.
//!
//! What was exchanged and never confirmed is forgotten with the consent. It is
//! not revoked: HubSpot gives an account's connections one refresh token.

mod connecting;
mod kept;
mod refusal;

pub use refusal::{Error, Refusal};

use std::{sync::Arc, time::Duration};

use url::Url;

use connecting::{connect, connection_for, known, sides};
use kept::{context, keep};

use crate::{
    host::Host,
    hubspot::oauth::{self, OPTIONAL_SCOPES, SCOPES, Verifier},
    model::{AccountKey, ConnectionId, PersonId, ProjectId},
    secrets::{Secret, hash_token, random_token},
    sources::Source,
    store::{
        self, Tx,
        connections::{Consent, ConsentStep},
        projects::{Project, Role},
    },
};

/// Where HubSpot sends the admin's browser back to.
pub const CALLBACK: &str = "/oauth/hubspot/callback";

/// How long a step of a consent may take.
const STEP_MAX: Duration = Duration::from_secs(600);

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
    /// The connection; none where it is made once the admin confirms.
    pub connection: Option<ConnectionId>,
    /// The project.
    pub project: ProjectId,
    /// What people call the project.
    pub project_name: String,
    /// The account.
    pub account: AccountKey,
    /// The customer's domain, where HubSpot says it.
    pub domain: Option<String>,
    /// The scopes that we ask for and the consent does not give.
    pub missing_scopes: Vec<String>,
}

/// A browser that is signed in.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// The hash of its session.
    pub session: [u8; 32],
    /// The project that it looks at.
    pub project: ProjectId,
    /// What it may do there.
    pub role: Role,
    /// Who is signed in; none where a link did it.
    pub person: Option<PersonId>,
}

/// What comes of an answer.
pub enum Step {
    /// It is connected: the same account consented again.
    Connected(Sides),
    /// The admin has to confirm.
    Confirm {
        /// Both sides.
        sides: Sides,
        /// The projects that the admin chooses from, that of `sides` first, where
        /// the marketplace began it; none where it is of a project already.
        choices: Vec<Project>,
        /// The one-time token of the confirmation.
        token: Secret,
    },
}

/// What comes of a confirmation.
pub struct Confirmed {
    /// What is connected.
    pub sides: Sides,
    /// Whether the project was chosen with the confirmation.
    pub is_chosen: bool,
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
    let held = host
        .store
        .read(move |tx| tx.connection(project, connection))
        .await?;
    if Source::of(&held.connector) != Source::HubSpot {
        return Err(Error::NoConsent);
    }
    let app = host.app.as_ref().ok_or(Error::NoApp)?;
    let (state, verifier) = (random_token(), Verifier::random());
    let hash = hash_token(&state);
    let sealed = host.keys.seal(
        &context(ConsentStep::Authorize, &hash),
        verifier.secret().expose().as_bytes(),
    );
    let consent = Consent {
        connection: Some(connection),
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

/// Takes what came back with the browser of an admin, who may be signed in.
///
/// Without a state it was HubSpot's marketplace that began it. That is good for
/// who is signed in and an admin alone, so that nobody else makes us ask HubSpot.
///
/// # Errors
///
/// [`Error::SignedOut`] where the marketplace began it and nobody is signed in,
/// [`Error::NoAdmin`] where who is signed in may connect nothing.
pub async fn answered(
    host: &Arc<Host>,
    answer: Answer,
    visitor: Option<Visitor>,
) -> Result<Step, Refusal> {
    let app = host.app.as_ref().ok_or(Error::NoApp)?;
    let Some(state) = answer.state else {
        if answer.code.is_none() && answer.error.is_none() {
            return Err(Error::Unknown.into());
        }
        let visitor = visitor.ok_or(Error::SignedOut)?;
        if answer.error.is_some() {
            return Err(Error::Denied.into());
        }
        let code = Secret::from(answer.code.ok_or(Error::NoCode)?);
        let choices = host.store.read(move |tx| choices(tx, visitor)).await?;
        let first = choices.first().ok_or(Error::NoAdmin)?.id;
        let redirect = host.url(CALLBACK);
        let client = &host.hubspot;
        let grant = client.exchange_code(app, &code, &redirect, None).await?;
        let known = known(host, app, &grant).await?;
        let sides = sides(host, None, first, &grant, &known).await?;
        let consent = Consent {
            connection: None,
            session: Some(visitor.session.to_vec()),
            sealed: Vec::new(),
            expires_at: host.clock.now(),
        };
        let token = keep(host, consent, grant, known).await?;
        return Ok(Step::Confirm {
            sides,
            choices,
            token,
        });
    };
    let state = Secret::from(state);
    let (hash, now) = (hash_token(&state), host.clock.now());
    let consent = host
        .store
        .transact(move |tx| tx.take_consent(hash, ConsentStep::Authorize, now))
        .await?
        .ok_or(Error::Unknown)?;
    match returned(
        host,
        app,
        (answer.code, answer.error),
        &hash,
        &consent,
        visitor,
    )
    .await
    {
        Ok(step) => Ok(step),
        Err(error) => Err(Refusal::of(host, error, &consent).await),
    }
}

/// Goes on with a consent that came back to who began it: a code, or the word for
/// what went wrong.
async fn returned(
    host: &Arc<Host>,
    app: &oauth::App,
    (code, refused): (Option<String>, Option<String>),
    hash: &[u8; 32],
    consent: &Consent,
    visitor: Option<Visitor>,
) -> Result<Step, Error> {
    check_session(consent, visitor)?;
    if refused.is_some() {
        return Err(Error::Denied);
    }
    let code = Secret::from(code.ok_or(Error::NoCode)?);
    let verifier = host
        .keys
        .open_text(&context(ConsentStep::Authorize, hash), &consent.sealed)?;
    let verifier = Verifier::kept(verifier);
    let redirect = host.url(CALLBACK);
    let client = &host.hubspot;
    let grant = client.exchange_code(app, &code, &redirect, Some(&verifier));
    let grant = grant.await?;
    let known = known(host, app, &grant).await?;
    let id = consent.connection.ok_or(Error::Unknown)?;
    let connection = host.store.read(move |tx| tx.any_connection(id)).await?;
    let sides = sides(host, Some(id), connection.project, &grant, &known).await?;
    if consent.session.is_some() && connection.account.is_some() {
        connect(host, id, grant, known).await?;
        return Ok(Step::Connected(sides));
    }
    let token = keep(host, consent.clone(), grant, known).await?;
    Ok(Step::Confirm {
        sides,
        choices: Vec::new(),
        token,
    })
}

/// Takes the admin's confirmation. What the marketplace began is connected to the
/// project that the admin chose, else to the one that they look at.
///
/// # Errors
///
/// [`Error::NoAdmin`] where they are no admin of it.
pub async fn confirm(
    host: &Arc<Host>,
    token: &Secret,
    visitor: Option<Visitor>,
    chosen: Option<ProjectId>,
) -> Result<Confirmed, Refusal> {
    let (errands, host, hash) = (&host.errands, host.clone(), hash_token(token));
    // A consent that is taken is good no second time: it is connected, whether or not
    // the browser waits for it.
    let confirming = async move {
        let now = host.clock.now();
        let consent = host
            .store
            .transact(move |tx| tx.take_consent(hash, ConsentStep::Confirm, now))
            .await?
            .ok_or(Error::Unknown)?;
        match confirmed(&host, &hash, &consent, visitor, chosen).await {
            Ok(confirmed) => Ok(confirmed),
            Err(error) => Err(Refusal::of(&host, error, &consent).await),
        }
    };
    errands.spawn(confirming).await.ok_or(Error::Ended)?
}

async fn confirmed(
    host: &Arc<Host>,
    hash: &[u8; 32],
    consent: &Consent,
    visitor: Option<Visitor>,
    chosen: Option<ProjectId>,
) -> Result<Confirmed, Error> {
    check_session(consent, visitor)?;
    let (grant, known) = kept::open(host, hash, consent)?;
    let id = match (consent.connection, visitor) {
        (Some(id), _) => id,
        (None, Some(visitor)) => {
            let project = chosen.unwrap_or(visitor.project);
            connection_for(host, visitor, project, &grant.account).await?
        }
        (None, None) => return Err(Error::SignedOut),
    };
    let connection = host.store.read(move |tx| tx.any_connection(id)).await?;
    let sides = sides(host, Some(id), connection.project, &grant, &known).await?;
    connect(host, id, grant, known).await?;
    Ok(Confirmed {
        sides,
        is_chosen: consent.connection.is_none(),
    })
}

/// A consent that a browser session began is good in that session alone, as long
/// as it may change its project. One that the marketplace began may go elsewhere.
fn check_session(consent: &Consent, visitor: Option<Visitor>) -> Result<(), Error> {
    let Some(own) = consent.session.as_deref() else {
        return Ok(());
    };
    let visitor = visitor.filter(|visitor| own == visitor.session);
    let visitor = visitor.ok_or(Error::OtherSession)?;
    match consent.connection {
        Some(_) if visitor.role == Role::Viewer => Err(Error::NoAdmin),
        _ => Ok(()),
    }
}

/// The projects that who is signed in may connect an account to, the one that
/// they look at first. Whom a link signed in is of one project alone.
fn choices(tx: &Tx<'_>, visitor: Visitor) -> Result<Vec<Project>, store::Error> {
    let Some(person) = visitor.person else {
        return match visitor.role {
            Role::Viewer => Ok(Vec::new()),
            _ => Ok(vec![tx.project(visitor.project)?]),
        };
    };
    let memberships = tx.memberships(person)?.into_iter();
    let admins = memberships.filter(|membership| membership.role == Role::Admin);
    let mut choices: Vec<_> = admins.map(|membership| membership.project).collect();
    choices.sort_by_key(|project| project.id != visitor.project);
    Ok(choices)
}
