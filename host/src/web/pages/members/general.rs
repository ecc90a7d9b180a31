//! Settings → General: the project itself.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{Error, Frame, Section, Visit, extract::Query, html, see_other},
    TIME_ZONES, Wrong,
};
use crate::{
    model::ProjectId,
    web::{api::projects, session::Posted},
};

#[derive(Template)]
#[template(path = "members/general.html")]
struct GeneralPage {
    frame: Frame,
    id: ProjectId,
    name: String,
    time_zone: String,
    time_zones: &'static [String],
    wrong: Wrong,
    is_saved: bool,
}

async fn show(
    visit: &Visit,
    (name, time_zone): (String, String),
    wrong: Wrong,
    is_saved: bool,
) -> Result<Html<String>, Error> {
    html(&GeneralPage {
        frame: visit.settings_frame("General", Section::General).await?,
        id: visit.session.project.id,
        name,
        time_zone,
        time_zones: &TIME_ZONES,
        wrong,
        is_saved,
    })
}

/// What the page is told by the form that led to it.
#[derive(serde::Deserialize)]
pub struct PageQuery {
    saved: Option<String>,
}

/// `GET /settings/general`.
pub async fn page(visit: Visit, Query(query): Query<PageQuery>) -> Result<Html<String>, Error> {
    let project = visit.session.project.clone();
    let shown = (project.name, project.time_zone);
    show(&visit, shown, Wrong::default(), query.saved.is_some()).await
}

/// What the form of [`GeneralPage`] sends.
#[derive(serde::Deserialize)]
pub struct GeneralForm {
    #[serde(default)]
    name: String,
    time_zone: String,
}

/// `POST /settings/general`.
pub async fn change(visit: Visit, posted: Posted<GeneralForm>) -> Result<Response, Error> {
    let form = posted.form;
    let mut wrong = Wrong::default();
    let name = wrong.take("name", projects::name(&form.name));
    let time_zone = wrong.take("time_zone", projects::time_zone(&form.time_zone));
    if let Some((name, time_zone)) = name.zip(time_zone) {
        let project = visit.session.project.id;
        projects::change(&visit.host, project, Some(name), Some(time_zone)).await?;
        return Ok(see_other("/settings/general?saved=1"));
    }
    let page = show(&visit, (form.name, form.time_zone), wrong, false).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
