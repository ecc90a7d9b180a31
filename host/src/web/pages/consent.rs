//! The end of a consent: what HubSpot sends the browser back to.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::SET_COOKIE};
use serde::Deserialize;

use super::{
    Bare, Error,
    extract::{Form, Query},
    html, see_other, settings,
};
use crate::{
    host::Host,
    hubspot::oauth::GrantError,
    model::ProjectId,
    secrets::Secret,
    store::projects::Project,
    sync::consents::{self, Answer, Confirmed, Sides, Step},
    web::session::Session,
};

#[derive(Template)]
#[template(path = "consent.html")]
struct Confirm {
    page: Bare,
    account: String,
    domain: Option<String>,
    project: String,
    missing_scopes: Vec<String>,
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
    /// What to do about it, where somebody is signed in.
    link: Option<(&'static str, &'static str)>,
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
        }) => Ok(html(&Confirm {
            page: Bare::new(&host, "Connect HubSpot"),
            account: sides.account.to_string(),
            domain: sides.domain,
            project: sides.project_name,
            missing_scopes: sides.missing_scopes,
            choices,
            token: token.expose().to_owned(),
            is_signed_in: session.is_some(),
        })?
        .into_response()),
        Err(error) => refused(&host, &error, session.is_some()),
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
            Err(error) => return refused(&host, &error, session.is_some()),
        };
    let mut looked_at = session.as_ref().map(|session| session.project.id);
    let mut cookie = None;
    if let Some(session) = session
        && is_chosen
        && session.project.id != sides.project
    {
        cookie = session.renew(&host, sides.project).await?;
        looked_at = Some(sides.project);
    }
    let mut response = connected(&host, &sides, looked_at)?;
    let headers = response.headers_mut();
    headers.extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
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

fn refused(host: &Host, error: &consents::Error, is_signed_in: bool) -> Result<Response, Error> {
    use consents::Error as E;
    let (status, detail) = match error {
        E::SignedOut => return Err(Error::SignedOut),
        E::NoAdmin => return Err(Error::ViewerOnly),
        E::Unknown => (
            StatusCode::BAD_REQUEST,
            "This consent was used already, or is older than ten minutes. Begin again from Jimo."
                .to_owned(),
        ),
        E::OtherSession => (
            StatusCode::FORBIDDEN,
            "Another browser began this consent. Go on there, or begin again here.".to_owned(),
        ),
        E::Denied | E::Grant(GrantError::AccessDenied) => (
            StatusCode::OK,
            "HubSpot was not connected, because access was not granted. Begin again when you \
             want to; you need to be a super admin of the HubSpot account."
                .to_owned(),
        ),
        E::NoCode | E::Grant(GrantError::BadCode) => (
            StatusCode::BAD_REQUEST,
            "HubSpot's answer could not be used. Begin again from Jimo.".to_owned(),
        ),
        E::OtherAccount { expected, given } => (
            StatusCode::CONFLICT,
            format!(
                "This connection is of the HubSpot account {expected}, and you chose {given}. \
                 Begin again and choose {expected}; to use another account, make a new \
                 connection."
            ),
        ),
        E::AlreadyConnected => (
            StatusCode::CONFLICT,
            "This HubSpot account is connected to the project already. There is nothing to do."
                .to_owned(),
        ),
        E::GivenBack => (
            StatusCode::CONFLICT,
            "HubSpot's consent ended before it was used: the account's last connection was \
             deleted meanwhile, or the app was uninstalled. Begin again from Jimo."
                .to_owned(),
        ),
        E::Store(crate::store::Error::NotFound(_)) => (
            StatusCode::NOT_FOUND,
            "The connection was deleted meanwhile. Begin a new one from Jimo.".to_owned(),
        ),
        E::Grant(GrantError::Unavailable(_)) => (
            StatusCode::BAD_GATEWAY,
            "HubSpot could not answer. Begin again in a while.".to_owned(),
        ),
        // None is ever begun there.
        E::NoConsent | E::NoApp | E::Grant(_) | E::Secrets(_) | E::Store(_) => {
            tracing::error!(%error, "a consent could not be finished");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This is not your fault: the host is not set up well. Its operator finds the \
                 reason in its log."
                    .to_owned(),
            )
        }
    };
    let page = Bare::new(host, "HubSpot is not connected");
    let link = is_signed_in.then_some((settings::INTEGRATIONS, "Back to Integrations"));
    Ok((status, html(&Message { page, detail, link })?).into_response())
}
