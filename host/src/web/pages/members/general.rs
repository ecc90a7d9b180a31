//! Settings → General: the project itself.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{Error, Frame, Section, Visit, html, see_other},
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
}

async fn show(
    visit: &Visit,
    name: String,
    time_zone: String,
    wrong: Wrong,
) -> Result<Html<String>, Error> {
    html(&GeneralPage {
        frame: visit.settings_frame("General", Section::General).await?,
        id: visit.session.project.id,
        name,
        time_zone,
        time_zones: &TIME_ZONES,
        wrong,
    })
}

/// `GET /settings/general`.
pub async fn page(visit: Visit) -> Result<Html<String>, Error> {
    let project = visit.session.project.clone();
    show(&visit, project.name, project.time_zone, Wrong::default()).await
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
        return Ok(see_other("/settings/general"));
    }
    let page = show(&visit, form.name, form.time_zone, wrong).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
