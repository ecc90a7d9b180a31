//! Segments.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    condition_document::{ConditionDocument, Known},
    extract::{Json, Path, Reader, Writer},
    users::ListedUser,
};
use crate::{
    host::Host,
    model::{ProjectId, SegmentId, Timestamp, UserId, condition::Condition},
    store::{
        self, Tx,
        segments::{NewSegment, Refusal},
        users::{User, UserFilter},
    },
    web::{
        error::Error,
        problem::{InputError, Problem},
    },
};

/// The longest name, in characters.
pub const NAME_LENGTH_MAX: usize = 100;

/// The longest description, in characters.
pub const DESCRIPTION_LENGTH_MAX: usize = 500;

/// Users that a preview shows.
const PREVIEW_USERS: usize = 10;

/// A segment: conditions on users, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Segment {
    /// Its id.
    id: SegmentId,
    /// Its name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Whom it has. They are evaluated when they are asked for.
    conditions: ConditionDocument,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

/// A segment, and how many users it has.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedSegment {
    /// The segment.
    #[serde(flatten)]
    segment: Segment,
    /// How many users are in it now.
    count: i64,
    /// The segments that name it in their conditions.
    used_by: Vec<SegmentId>,
}

/// All segments of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Segments {
    /// By name.
    segments: Vec<Segment>,
    /// Always none: they come in one page.
    next: Option<String>,
}

/// A segment as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentDocument {
    /// Its name; another segment of the project differs by more than case.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whom it has.
    #[schema(value_type = ConditionDocument)]
    pub conditions: Value,
}

/// Conditions to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewDocument {
    /// Whom a segment would have.
    #[schema(value_type = ConditionDocument)]
    conditions: Value,
}

/// Whom conditions have.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewAnswer {
    /// How many users.
    count: i64,
    /// The first few of them.
    users: Vec<ListedUser>,
}

/// The project's segments.
#[utoipa::path(
    get, path = "/projects/{project}/segments", tag = "segments", operation_id = "list_segments",
    params(("project" = String, Path)),
    responses(
        (status = 200, body = Segments),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
) -> Result<axum::Json<Segments>, Error> {
    let segments = host.store.read(move |tx| {
        let known = known(tx, reader.project)?;
        let segments = tx.segments(reader.project)?.into_iter();
        Ok(segments.map(|segment| shown(segment, &known)).collect())
    });
    Ok(axum::Json(Segments {
        segments: segments.await?,
        next: None,
    }))
}

/// Makes a segment.
#[utoipa::path(
    post, path = "/projects/{project}/segments", tag = "segments", operation_id = "create_segment",
    params(("project" = String, Path)),
    request_body = SegmentDocument,
    responses(
        (status = 201, body = CountedSegment),
        (status = 409, description = "There is one of that name, or as many as may be.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Json(document): Json<SegmentDocument>,
) -> Result<impl IntoResponse, Error> {
    let id = save(&host, writer.project, None, document).await?;
    let segment = load(&host, writer.project, id).await?;
    let location = format!("/api/v1/projects/{}/segments/{id}", writer.project);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        axum::Json(segment),
    ))
}

/// A segment, with how many users are in it now.
#[utoipa::path(
    get, path = "/projects/{project}/segments/{segment}", tag = "segments", operation_id = "get_segment",
    params(("project" = String, Path), ("segment" = String, Path)),
    responses(
        (status = 200, body = CountedSegment),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, SegmentId)>,
) -> Result<axum::Json<CountedSegment>, Error> {
    load(&host, reader.project, id).await.map(axum::Json)
}

/// Replaces a segment. Whatever names it follows at once.
#[utoipa::path(
    put, path = "/projects/{project}/segments/{segment}", tag = "segments", operation_id = "put_segment",
    params(("project" = String, Path), ("segment" = String, Path)),
    request_body = SegmentDocument,
    responses(
        (status = 200, body = CountedSegment),
        (status = 409, description = "Another one has that name.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, SegmentId)>,
    Json(document): Json<SegmentDocument>,
) -> Result<axum::Json<CountedSegment>, Error> {
    save(&host, writer.project, Some(id), document).await?;
    load(&host, writer.project, id).await.map(axum::Json)
}

/// Deletes a segment. Refused while another one names it in its conditions.
#[utoipa::path(
    delete, path = "/projects/{project}/segments/{segment}", tag = "segments", operation_id = "delete_segment",
    params(("project" = String, Path), ("segment" = String, Path)),
    responses(
        (status = 204),
        (status = 409, description = "Others name it; `detail` says which.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, SegmentId)>,
) -> Result<StatusCode, Error> {
    remove(&host, writer.project, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whom conditions have; saves nothing.
#[utoipa::path(
    post, path = "/projects/{project}/segments/preview", tag = "segments", operation_id = "preview_segment",
    params(("project" = String, Path)),
    request_body = PreviewDocument,
    responses(
        (status = 200, body = PreviewAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn preview(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Json(document): Json<PreviewDocument>,
) -> Result<axum::Json<PreviewAnswer>, Error> {
    let now = host.clock.now();
    let previewed = host.store.ask(move |tx| {
        let condition = match read(tx, reader.project, None, &document.conditions)? {
            Ok(condition) => condition,
            Err(errors) => return Ok(Err(errors)),
        };
        preview_of(tx, reader.project, &condition, PREVIEW_USERS, now).map(Ok)
    });
    let (count, users) = previewed.await?.map_err(Error::Invalid)?;
    let users = users.into_iter().map(ListedUser::from).collect();
    Ok(axum::Json(PreviewAnswer { count, users }))
}

/// What conditions of a project can name.
///
/// # Errors
///
/// The store's own.
pub fn known(tx: &Tx<'_>, project: ProjectId) -> Result<Known, store::Error> {
    let segments = tx.segment_conditions(project)?;
    Ok(Known::new(&tx.variables(project)?, segments))
}

/// Reads the conditions of a segment (`of`, where there is one already) or of a
/// preview; else says all that is wrong with them.
///
/// # Errors
///
/// The store's own.
pub fn read(
    tx: &Tx<'_>,
    project: ProjectId,
    of: Option<SegmentId>,
    document: &Value,
) -> Result<Result<Condition, Vec<InputError>>, store::Error> {
    let known = known(tx, project)?;
    let condition = known.read(document, CONDITIONS);
    Ok(condition.and_then(|condition| {
        let checked = known.segments().check(of, &condition);
        checked.map_err(|refusal| refusal_errors(&refusal))?;
        Ok(condition)
    }))
}

/// What is wrong with conditions, as a refusal says it.
pub fn refusal_errors(refusal: &Refusal) -> Vec<InputError> {
    vec![InputError::new(CONDITIONS, refusal.to_string())]
}

/// Where conditions stand in a document.
pub const CONDITIONS: &str = "/conditions";

/// How many users pass a condition, and the first of them.
///
/// # Errors
///
/// The store's own.
pub fn preview_of(
    tx: &Tx<'_>,
    project: ProjectId,
    condition: &Condition,
    users: usize,
    now: Timestamp,
) -> Result<(i64, Vec<User>), store::Error> {
    let audience = tx.audience(project, condition, now)?;
    let count = tx.audience_count(&audience)?;
    let users = tx.audience_users(&audience, &UserFilter::default(), UserId(0), users)?;
    Ok((count, users))
}

/// Makes a segment, or replaces one; its id.
///
/// # Errors
///
/// [`Error::Invalid`], [`Error::Conflict`] where the name is taken, and the
/// store's own.
pub async fn save(
    host: &Host,
    project: ProjectId,
    id: Option<SegmentId>,
    document: SegmentDocument,
) -> Result<SegmentId, Error> {
    let now = host.clock.now();
    let saved = host.store.transact_much(move |tx| {
        let mut errors = name_errors(&document);
        let name = document.name.trim().to_owned();
        let description = document
            .description
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        let condition = match read(tx, project, id, &document.conditions)? {
            Ok(condition) => condition,
            Err(wrong) => {
                errors.extend(wrong);
                return Ok(Err(Error::Invalid(errors)));
            }
        };
        if !errors.is_empty() {
            return Ok(Err(Error::Invalid(errors)));
        }
        let wanted = NewSegment {
            name,
            description,
            condition,
        };
        let saved = tx.save_segment(project, id, &wanted, now)?;
        Ok(saved.map_err(refused))
    });
    let id = saved.await??;
    host.pipeline.notify_changed();
    Ok(id)
}

/// Deletes a segment.
///
/// # Errors
///
/// [`Error::Conflict`] while another one names it, and the store's own.
pub async fn remove(host: &Host, project: ProjectId, id: SegmentId) -> Result<(), Error> {
    let deleted = host
        .store
        .transact(move |tx| tx.delete_segment(project, id));
    deleted.await?.map_err(refused)?;
    host.pipeline.notify_changed();
    Ok(())
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NameTaken | Refusal::TooMany | Refusal::Used(_) => {
            Error::Conflict(refusal.to_string())
        }
        Refusal::NoSegment(_) | Refusal::ContainsItself(_) | Refusal::TooLarge(_) => {
            Error::Invalid(refusal_errors(&refusal))
        }
    }
}

/// What is wrong with the texts of a segment.
pub fn name_errors(document: &SegmentDocument) -> Vec<InputError> {
    let mut errors = Vec::new();
    let name = document.name.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_LENGTH_MAX || name.chars().any(char::is_control) {
        errors.push(InputError::new(
            "/name",
            format!("A name has 1 to {NAME_LENGTH_MAX} characters, on one line."),
        ));
    }
    let description = document.description.as_deref().unwrap_or_default();
    if description.trim().chars().count() > DESCRIPTION_LENGTH_MAX {
        errors.push(InputError::new(
            "/description",
            format!("A description has at most {DESCRIPTION_LENGTH_MAX} characters."),
        ));
    }
    errors
}

async fn load(host: &Host, project: ProjectId, id: SegmentId) -> Result<CountedSegment, Error> {
    let now = host.clock.now();
    let loaded = host.store.ask(move |tx| {
        let segment = tx.segment(project, id)?;
        let audience = tx.audience(project, &segment.wanted.condition, now)?;
        let using = tx.segments_using(id)?.into_iter();
        Ok(CountedSegment {
            count: tx.audience_count(&audience)?,
            segment: shown(segment, &known(tx, project)?),
            used_by: using.map(|named| named.id).collect(),
        })
    });
    Ok(loaded.await?)
}

fn shown(segment: store::segments::Segment, known: &Known) -> Segment {
    Segment {
        id: segment.id,
        conditions: known.write(&segment.wanted.condition),
        name: segment.wanted.name,
        description: segment.wanted.description,
        created_at: segment.created_at,
        updated_at: segment.updated_at,
    }
}
