//! The end of a consent: what HubSpot sends the browser back to.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;

use super::{
    Bare, Error,
    extract::{Form, Query},
    html, see_other, settings,
};
use crate::{
    host::Host,
    hubspot::oauth::{self, GrantError},
    model::ProjectId,
    secrets::Secret,
    store::projects::Project,
    sync::consents::{self, Answer, Confirmed, Refusal, Sides, Step},
    web::session::Session,
};

#[derive(Template)]
#[template(path = "consent.html")]
struct Confirm {
    page: Bare,
    account: String,
    domain: Option<String>,
    project: String,
    /// What cannot be read, in words; nothing where all can.
    missing: String,
    /// What begins again, and the code of its form; where somebody is signed in to
    /// the project and began it from there.
    again: Option<(String, String)>,
    /// The projects to choose from, where it is of none yet.
    choices: Vec<Project>,
    token: String,
    /// Whether somebody is signed in, and can go back to the settings.
    is_signed_in: bool,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    page: Bare,
    detail: String,
    /// Where to go on, and what that is called.
    link: Option<(String, &'static str)>,
}

/// What HubSpot sends back.
#[derive(Deserialize)]
pub struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// What the form of [`Confirm`] sends.
#[derive(Deserialize)]
pub struct Confirmation {
    token: String,
    /// The one that was chosen, where there was a choice.
    project: Option<ProjectId>,
}

/// Takes what came back with the admin's browser.
pub async fn callback(
    State(host): State<Arc<Host>>,
    Query(returned): Query<Returned>,
    session: Option<Session>,
) -> Result<Response, Error> {
    let answer = Answer {
        state: returned.state,
        code: returned.code,
        error: returned.error,
    };
    let visitor = session.as_ref().map(Session::visitor);
    match consents::answered(&host, answer, visitor).await {
        Ok(Step::Connected(sides)) => {
            let looked_at = session.map(|session| session.project.id);
            connected(&host, &sides, looked_at)
        }
        Ok(Step::Confirm {
            sides,
            choices,
            token,
        }) => {
            let own = session.as_ref();
            let own = own.filter(|own| own.project.id == sides.project && own.may_change());
            Ok(html(&Confirm {
                page: Bare::new(&host, "Connect HubSpot"),
                account: sides.account.to_string(),
                domain: sides.domain,
                project: sides.project_name,
                missing: oauth::permissions(&sides.missing_scopes),
                again: sides.connection.zip(own).map(|(id, session)| {
                    let csrf = session.csrf(&host).expose().to_owned();
                    (settings::path(id, "/reconnect"), csrf)
                }),
                choices,
                token: token.expose().to_owned(),
                is_signed_in: session.is_some(),
            })?
            .into_response())
        }
        Err(refusal) => refused(&host, &refusal, session.as_ref()),
    }
}

/// Takes the admin's confirmation. The browser goes on in the project that was
/// chosen.
pub async fn confirm(
    State(host): State<Arc<Host>>,
    session: Option<Session>,
    Form(form): Form<Confirmation>,
) -> Result<Response, Error> {
    let visitor = session.as_ref().map(Session::visitor);
    let token = Secret::from(form.token);
    let Confirmed { sides, is_chosen } =
        match consents::confirm(&host, &token, visitor, form.project).await {
            Ok(confirmed) => confirmed,
            Err(refusal) => return refused(&host, &refusal, session.as_ref()),
        };
    let mut looked_at = session.as_ref().map(|session| session.project.id);
    let mut renewed = None;
    if let Some(session) = session
        && is_chosen
        && session.project.id != sides.project
    {
        renewed = Some(session.renew(&host, sides.project).await?);
        looked_at = Some(sides.project);
    }
    Ok((renewed, connected(&host, &sides, looked_at)?).into_response())
}

/// Who looks at the project goes on setting it up.
fn connected(host: &Host, sides: &Sides, looked_at: Option<ProjectId>) -> Result<Response, Error> {
    if let (true, Some(id)) = (looked_at == Some(sides.project), sides.connection) {
        return Ok(see_other(&settings::path(id, "")));
    }
    let name = sides
        .domain
        .clone()
        .unwrap_or_else(|| sides.account.to_string());
    let detail = format!(
        "The HubSpot account {name} is connected to the project {}. You can close this page; \
         next, fields are mapped.",
        sides.project_name
    );
    let page = Bare::new(host, "HubSpot is connected");
    let link = None;
    Ok(html(&Message { page, detail, link })?.into_response())
}

/// A consent that came to nothing: why, what is left of it, and where to go on.
fn refused(host: &Host, refusal: &Refusal, session: Option<&Session>) -> Result<Response, Error> {
    use consents::Error as E;
    let of = refusal.of.as_ref();
    let own = of.filter(|of| session.is_some_and(|session| session.project.id == of.project));
    // One that works, or did, is as it was before somebody reconnected it.
    let connected = of.and_then(|of| of.account.as_ref().map(|_| of.id));
    let (status, detail) = match &refusal.error {
        E::SignedOut => return Err(Error::SignedOut),
        E::NoAdmin => return Err(Error::ViewerOnly),
        E::Unknown => (
            StatusCode::BAD_REQUEST,
            "It was used already, or is older than ten minutes. Integrations shows whether \
             HubSpot is connected; where it is not, begin again there."
                .to_owned(),
        ),
        E::OtherSession if session.is_none() => (
            StatusCode::FORBIDDEN,
            "You are not signed in here any more, so this consent is over, and was not used. \
             Sign in and begin again, here or in the browser where you began."
                .to_owned(),
        ),
        E::OtherSession => (
            StatusCode::FORBIDDEN,
            "This consent was begun in another browser, or before you signed in anew or chose \
             another project here, so it is over, and was not used. Begin again, here or there."
                .to_owned(),
        ),
        E::Denied | E::Grant(GrantError::AccessDenied) if connected.is_some() => (
            StatusCode::OK,
            "Access was not granted anew, so nothing was changed. Reconnect when you want to; \
             you need to be a super admin of the HubSpot account."
                .to_owned(),
        ),
        E::Denied | E::Grant(GrantError::AccessDenied) => (
            StatusCode::OK,
            "HubSpot was not connected, because access was not granted. Begin again when you \
             want to; you need to be a super admin of the HubSpot account."
                .to_owned(),
        ),
        E::NoCode | E::Grant(GrantError::BadCode) => (
            StatusCode::BAD_REQUEST,
            "HubSpot’s answer could not be used. Begin again.".to_owned(),
        ),
        E::OtherAccount { expected, given } => (
            StatusCode::CONFLICT,
            format!(
                "This connection is of the HubSpot account {expected}, and you chose {given}. \
                 Reconnect and choose {expected}; to use another account as well, connect it \
                 from Integrations."
            ),
        ),
        E::AlreadyConnected { .. } => (
            StatusCode::CONFLICT,
            "This HubSpot account is connected to the project already, and goes on as before. \
             There is nothing to do."
                .to_owned(),
        ),
        E::GivenBack => (
            StatusCode::CONFLICT,
            "HubSpot’s consent ended before it was used: the account’s last connection was \
             deleted meanwhile, or the app was uninstalled. Begin again."
                .to_owned(),
        ),
        E::Store(crate::store::Error::NotFound(_)) => (
            StatusCode::NOT_FOUND,
            "The connection was deleted meanwhile. Begin a new one.".to_owned(),
        ),
        E::Grant(GrantError::Unavailable(_)) => (
            StatusCode::BAD_GATEWAY,
            "HubSpot could not answer. Begin again in a while.".to_owned(),
        ),
        // None is ever begun there.
        error
        @ (E::NoConsent | E::NoApp | E::Grant(_) | E::Secrets(_) | E::Store(_) | E::Ended) => {
            tracing::error!(%error, "a consent could not be finished");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This is not your fault: the host is not set up well. Its operator finds the \
                 reason in its log."
                    .to_owned(),
            )
        }
    };
    let title = match &refusal.error {
        E::Unknown => "This consent is over",
        E::AlreadyConnected { .. } => "HubSpot is connected already",
        _ if connected.is_some() => "The connection is as it was",
        _ => "HubSpot is not connected",
    };
    let (path, label) = match (&refusal.error, session) {
        // The page leads on once somebody has signed in.
        (_, None) => (settings::INTEGRATIONS.to_owned(), "Sign in to Jimo"),
        (E::AlreadyConnected { by: Some(by) }, _) => (settings::path(*by, ""), "Open it"),
        _ => match own.and(connected) {
            Some(id) => (settings::path(id, ""), "Back to the integration"),
            None => (settings::INTEGRATIONS.to_owned(), "Back to Integrations"),
        },
    };
    let page = Message {
        page: Bare::new(host, title),
        detail,
        link: Some((path, label)),
    };
    Ok((status, html(&page)?).into_response())
}
