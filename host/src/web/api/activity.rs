//! What a connection did, newest first.

use std::sync::Arc;

use axum::{
    extract::{OriginalUri, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Limit, Path, Query, Reader};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, RecordId, Timestamp, UserId},
    store,
    web::{error::Error, problem::Problem},
};

/// One line: what came, from where, what it did, or why nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activity {
    /// When.
    at: Timestamp,
    /// Where it came from: `webhook`, `journal`, `catch_up`, `full_sync`,
    /// `arrival`, `mapping`, `brake`, `admin` or `operator`.
    origin: String,
    /// The record's type.
    object_type: Option<ObjectType>,
    /// The record.
    record_id: Option<RecordId>,
    /// What it did: `updated`, `unchanged`, `read_requested`, `skipped`, ….
    outcome: String,
    /// Why nothing, or not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// To whom, where it is one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// The variables that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<String>,
    /// The plugin version that read it, by digest.
    plugin: Option<String>,
}

impl From<store::history::Activity> for Activity {
    fn from(line: store::history::Activity) -> Self {
        Self {
            at: line.at,
            origin: line.origin,
            object_type: line.object_type,
            record_id: line.record,
            outcome: line.outcome,
            reason: line.reason,
            user: line.user,
            variables: line.variables,
            plugin: line.plugin,
        }
    }
}

/// How much of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// How many lines, from 1 to 200; 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
    /// From the `Link` of the list before.
    cursor: Option<String>,
}

/// What a connection did, newest first. The address of what is older stands in
/// the header `Link`, with `rel="next"`.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/activity",
    tag = "connections", operation_id = "list_activity",
    params(("project" = String, Path), ("connection" = String, Path), ActivityQuery),
    responses(
        (status = 200, body = Vec<Activity>, headers(("Link" = String, description = "The address of what is older, as `rel=\"next\"`."))),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ActivityQuery>,
) -> Result<Response, Error> {
    let limit = query.limit.get()?;
    let before = match &query.cursor {
        None => i64::MAX,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::Malformed("`cursor` is not from a list of activity.".into()))?,
    };
    let mut lines = host
        .store
        .read(move |tx| {
            tx.connection(reader.project, id)?;
            tx.activity(id, before, limit + 1)
        })
        .await?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|(number, _)| {
        let path = uri.path();
        format!("<{path}?limit={limit}&cursor={number}>; rel=\"next\"")
    });
    let lines: Vec<Activity> = lines.into_iter().map(|(_, line)| line.into()).collect();
    let body = axum::Json(lines);
    Ok(match next {
        Some(next) => ([(header::LINK, next)], body).into_response(),
        None => body.into_response(),
    })
}
