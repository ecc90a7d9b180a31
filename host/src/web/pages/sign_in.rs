//! Sign-in by link, and sign-out.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::header::SET_COOKIE,
    response::{IntoResponse, Response},
};

use super::{Bare, Error, html, see_other};
use crate::{
    host::Host,
    secrets::Secret,
    web::session::{self, Signed},
};

/// What stands in a sign-in link.
#[derive(serde::Deserialize)]
pub struct LinkQuery {
    token: Option<Secret>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Bare,
}

/// `GET /sign-in`: signs in who brings a good token, and tells all others how.
pub async fn page(
    State(host): State<Arc<Host>>,
    Query(query): Query<LinkQuery>,
) -> Result<Response, Error> {
    let Some(token) = query.token else {
        let page = SignInPage {
            page: Bare::new(&host, "Sign in"),
        };
        return Ok(html(&page)?.into_response());
    };
    let cookie = session::sign_in(&host, &token).await?;
    let cookie = cookie.ok_or(Error::BadLink)?;
    Ok(([(SET_COOKIE, cookie)], see_other("/users")).into_response())
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
