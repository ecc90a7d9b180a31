//! Sign-in by password or by link, and sign-out.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};

use super::{
    Bare, Error,
    extract::{Form, Query},
    html, see_other, wanted,
};
use crate::{
    host::Host,
    members,
    model::{PersonId, ProjectId},
    secrets::Secret,
    web::session::{self, Link, Signed},
};

/// What stands in a sign-in link.
#[derive(serde::Deserialize)]
pub struct LinkQuery {
    token: Option<Secret>,
}

/// What the form of [`ConfirmPage`] sends.
#[derive(serde::Deserialize)]
pub struct LinkForm {
    token: Secret,
}

/// What the form of [`SignInPage`] sends.
#[derive(serde::Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    email: String,
    password: Secret,
}

#[derive(Template)]
#[template(path = "members/sign_in.html")]
struct SignInPage {
    page: Bare,
    email: String,
    /// Why it did not go.
    refusal: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "members/sign_in_confirm.html")]
struct ConfirmPage {
    page: Bare,
    token: String,
}

/// `GET /sign-in`: asks for a password; signs in who brings a link that can be
/// used again. A link that is good once is not used up by being looked at, as
/// programs that show a preview of links do: it takes a button.
pub async fn page(
    State(host): State<Arc<Host>>,
    Query(query): Query<LinkQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let page = Bare::new(&host, "Sign in");
    let Some(token) = query.token else {
        let page = SignInPage {
            page,
            email: String::new(),
            refusal: None,
        };
        return Ok(html(&page)?.into_response());
    };
    match session::find_link(&host, &token).await? {
        None => Err(Error::BadLink),
        Some(Link::Again) => by_link(&host, &token, &headers).await,
        Some(Link::Once) => {
            let token = token.expose().to_owned();
            Ok(html(&ConfirmPage { page, token })?.into_response())
        }
    }
}

/// `POST /sign-in/link`: uses a link.
pub async fn confirm(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(form): Form<LinkForm>,
) -> Result<Response, Error> {
    by_link(&host, &form.token, &headers).await
}

async fn by_link(host: &Host, token: &Secret, headers: &HeaderMap) -> Result<Response, Error> {
    let cookie = session::sign_in(host, token, headers).await?;
    Ok(arrived(host, cookie.ok_or(Error::BadLink)?, headers, None))
}

/// `POST /sign-in`: signs in a member.
pub async fn password(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Error> {
    let checked = async {
        let person = members::check_password(&host, &form.email, &form.password).await?;
        let project = members::project_of(&host, person.id).await?;
        Ok((person.id, project))
    };
    let (status, refusal) = match checked.await {
        Ok((person, project)) => return enter(&host, person, project, &headers, None).await,
        Err(members::Error::Wrong) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "This e-mail address and this password do not go together.",
        ),
        Err(members::Error::TooManyAttempts) => (
            StatusCode::TOO_MANY_REQUESTS,
            "There were many attempts to sign in lately, so this one was not looked at. \
             Take a break, and try again in a quarter of an hour.",
        ),
        Err(members::Error::NoProject) => (
            StatusCode::FORBIDDEN,
            "You are a member of no project any more. Ask an admin for an invitation.",
        ),
        Err(other) => return Err(other.into()),
    };
    let page = SignInPage {
        page: Bare::new(&host, "Sign in"),
        email: form.email,
        refusal: Some(refusal),
    };
    Ok((status, html(&page)?).into_response())
}

/// Signs a member in, and goes to `path`, else where the browser wanted to go
/// before.
pub(super) async fn enter(
    host: &Host,
    person: PersonId,
    project: ProjectId,
    headers: &HeaderMap,
    path: Option<&str>,
) -> Result<Response, Error> {
    let cookie = session::begin(host, person, project, headers).await?;
    // An address of ours always makes a header.
    let cookie = cookie.ok_or(Error::SignedOut)?;
    Ok(arrived(host, cookie, headers, path))
}

fn arrived(host: &Host, cookie: HeaderValue, headers: &HeaderMap, path: Option<&str>) -> Response {
    let wanted = wanted::recall(host, headers);
    let mut response = see_other(path.or(wanted.as_deref()).unwrap_or("/users"));
    response.headers_mut().append(SET_COOKIE, cookie);
    if let Some(forget) = wanted.and_then(|_| wanted::forget(host)) {
        response.headers_mut().append(SET_COOKIE, forget);
    }
    response
}

/// A form without fields of its own.
#[derive(serde::Deserialize)]
pub struct Nothing {}

/// `POST /sign-out`.
pub async fn sign_out(
    State(host): State<Arc<Host>>,
    signed: Signed<Nothing>,
) -> Result<Response, Error> {
    let session = signed.session.id;
    host.store
        .transact(move |tx| tx.end_session(session))
        .await?;
    host.pipeline.notify_changed();
    Ok(gone(&host))
}

/// Makes the browser forget its session, which has ended.
pub(super) fn gone(host: &Host) -> Response {
    let mut response = see_other("/sign-in");
    if let Some(cookie) = session::no_cookie(host) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}
