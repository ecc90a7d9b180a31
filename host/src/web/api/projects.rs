//! Projects.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Json, Operator, Reader, Writer};
use crate::{
    host::Host,
    model::ProjectId,
    store,
    web::{
        error::Error,
        problem::{InputError, Problem},
    },
};

/// The longest name, in characters.
const NAME_LENGTH_MAX: usize = 200;

/// The time zone of a project that names none.
const TIME_ZONE: &str = "UTC";

/// A Jimo workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct Project {
    /// Its id.
    id: ProjectId,
    /// What people call it.
    name: String,
    /// Its IANA time zone.
    #[schema(example = "Europe/Paris")]
    time_zone: String,
}

impl From<store::projects::Project> for Project {
    fn from(project: store::projects::Project) -> Self {
        Self {
            id: project.id,
            name: project.name,
            time_zone: project.time_zone,
        }
    }
}

/// A project to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// What people call it.
    name: String,
    /// Its IANA time zone; UTC when not said.
    time_zone: Option<String>,
}

/// What of a project is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// What people call it.
    name: Option<String>,
    /// Its IANA time zone.
    time_zone: Option<String>,
}

/// Makes a project. For operators.
#[utoipa::path(
    post, path = "/projects", tag = "projects", operation_id = "create_project",
    request_body = NewProject,
    responses(
        (status = 201, body = Project),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(host): State<Arc<Host>>,
    _: Operator,
    Json(new): Json<NewProject>,
) -> Result<impl IntoResponse, Error> {
    let mut errors = Vec::new();
    let name = read("/name", name(&new.name), &mut errors);
    let zone = time_zone(new.time_zone.as_deref().unwrap_or(TIME_ZONE));
    let zone = read("/time_zone", zone, &mut errors);
    let Some((name, time_zone)) = name.zip(zone) else {
        return Err(Error::Invalid(errors));
    };
    let now = host.clock.now();
    let project = host
        .store
        .transact(move |tx| tx.create_project(&name, &time_zone, now))
        .await?;
    let location = format!("/api/v1/projects/{}", project.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        axum::Json(Project::from(project)),
    ))
}

/// A project.
#[utoipa::path(
    get, path = "/projects/{project}", tag = "projects", operation_id = "get_project",
    params(("project" = String, Path)),
    responses(
        (status = 200, body = Project),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
) -> Result<axum::Json<Project>, Error> {
    let project = host
        .store
        .read(move |tx| tx.project(reader.project))
        .await?;
    Ok(axum::Json(project.into()))
}

/// Changes a project's name or time zone.
#[utoipa::path(
    patch, path = "/projects/{project}", tag = "projects", operation_id = "update_project",
    params(("project" = String, Path)),
    request_body = ProjectChange,
    responses(
        (status = 200, body = Project),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Json(change): Json<ProjectChange>,
) -> Result<axum::Json<Project>, Error> {
    let mut errors = Vec::new();
    let name = change
        .name
        .and_then(|text| read("/name", name(&text), &mut errors));
    let time_zone = change
        .time_zone
        .and_then(|text| read("/time_zone", time_zone(&text), &mut errors));
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let project = self::change(&host, writer.project, name, time_zone).await?;
    Ok(axum::Json(project.into()))
}

/// Changes a project, by what [`name`] and [`time_zone`] have read.
///
/// # Errors
///
/// The store's own.
pub async fn change(
    host: &Host,
    project: ProjectId,
    name: Option<String>,
    time_zone: Option<String>,
) -> Result<store::projects::Project, store::Error> {
    let changed = host.store.transact(move |tx| {
        let mut project = tx.project(project)?;
        project.name = name.unwrap_or(project.name);
        project.time_zone = time_zone.unwrap_or(project.time_zone);
        tx.update_project(&project)?;
        Ok(project)
    });
    let project = changed.await?;
    host.pipeline.notify_changed();
    Ok(project)
}

/// A project's name.
///
/// # Errors
///
/// What is wrong with it.
pub fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let length = name.chars().count();
    if !(1..=NAME_LENGTH_MAX).contains(&length) || name.chars().any(char::is_control) {
        return Err(format!(
            "A name has 1 to {NAME_LENGTH_MAX} characters, on one line."
        ));
    }
    Ok(name.to_owned())
}

/// A time zone's name.
///
/// # Errors
///
/// What is wrong with it.
pub fn time_zone(text: &str) -> Result<String, String> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("This is no IANA time zone, such as Europe/Paris.".to_owned()),
    }
}

/// What was read at a pointer; none where something is wrong with it.
fn read<T>(pointer: &str, read: Result<T, String>, errors: &mut Vec<InputError>) -> Option<T> {
    read.map_err(|told| errors.push(InputError::new(pointer, told)))
        .ok()
}
