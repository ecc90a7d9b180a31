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
    let time_zone = new.time_zone.unwrap_or_else(|| TIME_ZONE.to_owned());
    let name = new.name.trim().to_owned();
    check(Some(&name), Some(&time_zone))?;
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
    let name = change.name.map(|name| name.trim().to_owned());
    check(name.as_deref(), change.time_zone.as_deref())?;
    let project = host
        .store
        .transact(move |tx| {
            let mut project = tx.project(writer.project)?;
            project.name = name.unwrap_or(project.name);
            project.time_zone = change.time_zone.unwrap_or(project.time_zone);
            tx.update_project(&project)?;
            Ok(project)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(axum::Json(project.into()))
}

fn check(name: Option<&str>, time_zone: Option<&str>) -> Result<(), Error> {
    let mut errors = Vec::new();
    if let Some(name) = name
        && (name.is_empty()
            || name.chars().count() > NAME_LENGTH_MAX
            || name.chars().any(char::is_control))
    {
        errors.push(InputError::new(
            "/name",
            format!("A name has 1 to {NAME_LENGTH_MAX} characters, on one line."),
        ));
    }
    if let Some(zone) = time_zone
        && jiff::tz::TimeZone::get(zone).is_err()
    {
        errors.push(InputError::new(
            "/time_zone",
            "This is no IANA time zone, such as Europe/Paris.",
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(errors))
    }
}
