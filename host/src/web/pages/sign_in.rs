//! Sign-in by link, and sign-out.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, header::SET_COOKIE},
    response::{IntoResponse, Response},
};

use super::{
    Bare, Error,
    extract::{Form, Query},
    html, see_other, wanted,
};
use crate::{
    host::Host,
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

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Bare,
}

#[derive(Template)]
#[template(path = "sign_in_confirm.html")]
struct ConfirmPage {
    page: Bare,
    token: String,
}

/// `GET /sign-in`: signs in who brings a link that can be used again, and tells
/// all others how. A link that is good once is not used up by being looked at,
/// as programs that show a preview of links do: it takes a button.
pub async fn page(
    State(host): State<Arc<Host>>,
    Query(query): Query<LinkQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let page = Bare::new(&host, "Sign in");
    let Some(token) = query.token else {
        return Ok(html(&SignInPage { page })?.into_response());
    };
    match session::find_link(&host, &token).await? {
        None => Err(Error::BadLink),
        Some(Link::Again) => sign_in(&host, &token, &headers).await,
        Some(Link::Once) => {
            let token = token.expose().to_owned();
            Ok(html(&ConfirmPage { page, token })?.into_response())
        }
    }
}

/// `POST /sign-in`: uses a link.
pub async fn confirm(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(form): Form<LinkForm>,
) -> Result<Response, Error> {
    sign_in(&host, &form.token, &headers).await
}

/// Signs in, and goes where the browser wanted to go before.
async fn sign_in(host: &Host, token: &Secret, headers: &HeaderMap) -> Result<Response, Error> {
    let cookie = session::sign_in(host, token).await?;
    let cookie = cookie.ok_or(Error::BadLink)?;
    let path = wanted::recall(headers);
    let mut response = see_other(path.as_deref().unwrap_or("/users"));
    response.headers_mut().append(SET_COOKIE, cookie);
    if let Some(forget) = path.and_then(|_| wanted::forget(host)) {
        response.headers_mut().append(SET_COOKIE, forget);
    }
    Ok(response)
}

/// A form without fields of its own.
#[derive(serde::Deserialize)]
pub struct Nothing {}

/// `POST /sign-out`.
pub async fn sign_out(
    State(host): State<Arc<Host>>,
    signed: Signed<Nothing>,
) -> Result<Response, Error> {
    let token = signed.session.token;
    host.store
        .transact(move |tx| tx.revoke_token(token))
        .await?;
    let mut response = see_other("/sign-in");
    if let Some(cookie) = session::no_cookie(&host) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}
