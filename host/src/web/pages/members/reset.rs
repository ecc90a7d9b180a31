//! Choosing a new password by a link.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{
        Bare, Error,
        extract::{Form, Query},
        html, sign_in,
    },
    LinkQuery, Wrong,
};
use crate::{
    host::Host,
    members::{self, rules},
    secrets::Secret,
};

#[derive(Template)]
#[template(path = "members/reset.html")]
struct ResetPage {
    page: Bare,
    token: String,
    email: String,
    wrong: Wrong,
}

impl ResetPage {
    fn new(host: &Host, token: &Secret, email: String, wrong: Wrong) -> Self {
        Self {
            page: Bare::new(host, "Choose a new password"),
            token: token.expose().to_owned(),
            email,
            wrong,
        }
    }
}

/// `GET /reset-password`.
pub async fn page(
    State(host): State<Arc<Host>>,
    Query(query): Query<LinkQuery>,
) -> Result<Html<String>, Error> {
    let token = query.token.ok_or(Error::BadLink)?;
    let person = members::find_reset(&host, &token).await?;
    let wrong = Wrong::default();
    html(&ResetPage::new(&host, &token, person.email, wrong))
}

/// What the form of [`ResetPage`] sends.
#[derive(serde::Deserialize)]
pub struct ResetForm {
    token: Secret,
    password: Secret,
}

/// `POST /reset-password`.
pub async fn reset(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(form): Form<ResetForm>,
) -> Result<Response, Error> {
    let person = members::find_reset(&host, &form.token).await?;
    if let Err(told) = rules::password(&form.password, &person.email) {
        let mut wrong = Wrong::default();
        wrong.add("password", told);
        let page = ResetPage::new(&host, &form.token, person.email, wrong);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response());
    }
    let person = members::reset_password(&host, &form.token, &form.password).await?;
    let project = members::project_of(&host, person.id).await?;
    sign_in::enter(&host, person.id, project, &headers, None).await
}
