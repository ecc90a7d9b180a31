//! Settings → API tokens.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{Error, Frame, Section, Visit, extract::Path, format::Moment, html, see_other},
    RoleChoice, Wrong, role_name,
};
use crate::{
    members::rules,
    secrets::{Secret, hash_token, random_token},
    store::projects::{ListedToken, Purpose, Role},
    web::{pages::sign_in::Nothing, session::Posted},
};

/// A token as it is listed.
struct Row {
    id: i64,
    name: Option<String>,
    role: &'static str,
    made_by: Option<String>,
    made: Moment,
    /// A day.
    used: Option<Moment>,
}

#[derive(Template)]
#[template(path = "members/tokens.html")]
struct TokensPage {
    frame: Frame,
    api: String,
    rows: Vec<Row>,
    /// The token that was just made, which is shown this once, and its name.
    made: Option<(Secret, String)>,
    name: String,
    is_admins: bool,
    wrong: Wrong,
}

impl TokensPage {
    async fn load(visit: &Visit) -> Result<Self, Error> {
        let project = visit.session.project.id;
        let tokens = visit.host.store.read(move |tx| tx.project_tokens(project));
        let calendar = visit.calendar();
        let row = |token: ListedToken| Row {
            id: token.holder.token,
            name: token.holder.name.clone(),
            role: role_name(token.holder.role),
            made_by: token.made_by,
            made: calendar.moment(token.created_at),
            used: token.holder.used_at.map(|at| calendar.day(at)),
        };
        let rows = tokens.await?.into_iter().map(row).collect();
        let path = format!("/api/v1/projects/{project}");
        Ok(Self {
            frame: visit
                .settings_frame("API tokens", Section::ApiTokens)
                .await?,
            api: visit.host.url(&path).into(),
            rows,
            made: None,
            name: String::new(),
            is_admins: true,
            wrong: Wrong::default(),
        })
    }
}

/// `GET /settings/tokens`.
pub async fn page(visit: Visit) -> Result<Html<String>, Error> {
    html(&TokensPage::load(&visit).await?)
}

/// What the form that makes one sends.
#[derive(serde::Deserialize)]
pub struct NewToken {
    #[serde(default)]
    name: String,
    role: RoleChoice,
}

/// `POST /settings/tokens`.
pub async fn create(visit: Visit, posted: Posted<NewToken>) -> Result<Response, Error> {
    let form = posted.form;
    let name = match rules::name(&form.name) {
        Ok(name) => name,
        Err(told) => {
            let mut page = TokensPage::load(&visit).await?;
            page.wrong.add("name", told);
            page.name = form.name;
            page.is_admins = form.role == RoleChoice::Admin;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response());
        }
    };
    let (token, now) = (random_token(), visit.host.clock.now());
    let (hash, role) = (hash_token(&token), Role::from(form.role));
    let (project, made_by) = (visit.session.project.id, visit.session.person_id());
    let named = name.clone();
    let made = visit.host.store.transact(move |tx| {
        let id = tx.create_token(hash, Some(project), role, Purpose::Api, now, None)?;
        tx.name_token(id, &named, made_by)
    });
    made.await?;
    let mut page = TokensPage::load(&visit).await?;
    page.made = Some((token, name));
    Ok(html(&page)?.into_response())
}

/// `POST /settings/tokens/{token}/revoke`.
pub async fn revoke(
    visit: Visit,
    Path(token): Path<i64>,
    _: Posted<Nothing>,
) -> Result<Response, Error> {
    let project = visit.session.project.id;
    let revoked = visit
        .host
        .store
        .transact(move |tx| tx.revoke_project_token(project, token));
    match revoked.await? {
        true => Ok(see_other("/settings/tokens")),
        false => Err(Error::NotFound("token")),
    }
}
