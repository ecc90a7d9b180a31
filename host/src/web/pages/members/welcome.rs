//! The first member: names the project and themselves.

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
    LinkQuery, TIME_ZONES, Wrong,
};
use crate::{
    host::Host,
    members::{self, NewOwner, rules},
    secrets::Secret,
    web::api::projects,
};

/// Where the owner goes on.
const NEXT: &str = "/settings/integrations";

#[derive(Template)]
#[template(path = "members/welcome.html")]
struct WelcomePage {
    page: Bare,
    token: String,
    project: String,
    time_zone: String,
    time_zones: &'static [String],
    name: String,
    email: String,
    wrong: Wrong,
    /// Whether nothing is filled in yet.
    is_new: bool,
}

/// `GET /welcome`.
pub async fn page(
    State(host): State<Arc<Host>>,
    Query(query): Query<LinkQuery>,
) -> Result<Html<String>, Error> {
    let token = query.token.ok_or(Error::BadLink)?;
    if !members::is_owner_link(&host, &token).await? {
        return Err(Error::BadLink);
    }
    html(&WelcomePage {
        page: Bare::new(&host, "Welcome"),
        token: token.expose().to_owned(),
        project: String::new(),
        time_zone: "UTC".to_owned(),
        time_zones: &TIME_ZONES,
        name: String::new(),
        email: String::new(),
        wrong: Wrong::default(),
        is_new: true,
    })
}

/// What the form of [`WelcomePage`] sends.
#[derive(serde::Deserialize)]
pub struct WelcomeForm {
    token: Secret,
    #[serde(default)]
    project: String,
    time_zone: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    password: Secret,
}

/// `POST /welcome`.
pub async fn begin(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    Form(form): Form<WelcomeForm>,
) -> Result<Response, Error> {
    if !members::is_owner_link(&host, &form.token).await? {
        return Err(Error::BadLink);
    }
    let mut wrong = Wrong::default();
    let project = wrong.take("project", projects::name(&form.project));
    let time_zone = wrong.take("time_zone", projects::time_zone(&form.time_zone));
    let name = wrong.take("name", rules::name(&form.name));
    let email = wrong.take("email", rules::email(&form.email));
    let password = rules::password(&form.password, &form.email);
    let password = wrong.take("password", password);
    if let (Some(project), Some(time_zone), Some(name), Some(email), Some(())) =
        (project, time_zone, name, email, password)
    {
        let new = NewOwner {
            project,
            time_zone,
            name,
            email,
        };
        let (person, project) = members::begin(&host, &form.token, new, &form.password).await?;
        return sign_in::enter(&host, person, project, &headers, Some(NEXT)).await;
    }
    let page = WelcomePage {
        page: Bare::new(&host, "Welcome"),
        token: form.token.expose().to_owned(),
        project: form.project,
        time_zone: form.time_zone,
        time_zones: &TIME_ZONES,
        name: form.name,
        email: form.email,
        wrong,
        is_new: false,
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}
