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
    model::{
        Actor, ConnectionId, MappingChange, ObjectType, ProjectId, RecordId, Timestamp, UserId,
    },
    store::{self, activity::ActivityFilter},
    web::{error::Error, problem::Problem},
};

/// One line: what came, from where, what it did, or why nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activity {
    /// When.
    at: Timestamp,
    /// Where it came from: `webhook`, `journal`, `catch_up`, `full_sync`,
    /// `arrival`, `mapping`, `brake`, `alert`, `admin` or `operator`.
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
    /// To whom, where they are several: the first fifty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<UserId>,
    /// To how many users in all.
    user_count: u64,
    /// The variables that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<String>,
    /// The plugin version that read it, by digest.
    plugin: Option<String>,
    /// Who did it, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Actor>,
    /// What saving the mappings changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<MappingChange>,
}

impl From<store::activity::Activity> for Activity {
    fn from(line: store::activity::Activity) -> Self {
        let alone = line
            .users
            .first()
            .copied()
            .filter(|_| line.users_count == 1);
        Self {
            at: line.at,
            origin: line.origin,
            object_type: line.object_type,
            record_id: line.record,
            outcome: line.outcome,
            reason: line.reason,
            user: alone,
            users: match alone {
                Some(_) => Vec::new(),
                None => line.users,
            },
            user_count: line.users_count,
            variables: line.variables,
            plugin: line.plugin,
            by: line.by,
            changes: line.changes,
        }
    }
}

/// How much of it, and which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// How many lines, from 1 to 200; 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
    /// From the `Link` of the list before.
    cursor: Option<String>,
    /// Lines that came from there alone.
    origin: Option<String>,
    /// Lines about records of that type alone.
    #[param(value_type = Option<String>)]
    object_type: Option<String>,
    /// Lines with that outcome alone.
    outcome: Option<String>,
    /// Lines with that reason alone, or among others.
    reason: Option<String>,
    /// Lines about that record alone.
    record_id: Option<String>,
    /// Lines about that user alone, or among those that a line names.
    user: Option<UserId>,
}

impl ActivityQuery {
    fn filter(&self) -> ActivityFilter {
        ActivityFilter {
            origin: self.origin.clone(),
            object_type: self.object_type.as_deref().map(ObjectType::from),
            outcome: self.outcome.clone(),
            reason: self.reason.clone(),
            record: self.record_id.as_deref().map(RecordId::from),
            users: self.user.map(|user| vec![user]),
        }
    }

    /// What of the query has to stand in the address of the next lines.
    fn kept(&self) -> String {
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        let user = self.user.map(|user| user.to_string());
        for (name, value) in [
            ("origin", &self.origin),
            ("object_type", &self.object_type),
            ("outcome", &self.outcome),
            ("reason", &self.reason),
            ("record_id", &self.record_id),
            ("user", &user),
        ] {
            if let Some(value) = value {
                kept.append_pair(name, value);
            }
        }
        match kept.finish() {
            kept if kept.is_empty() => kept,
            kept => format!("&{kept}"),
        }
    }
}

/// A part of a connection's activity, newest first, each line with its number.
pub struct Page {
    /// The lines.
    pub lines: Vec<(i64, store::activity::Activity)>,
    /// The number before which there are more; none where there are none.
    pub next: Option<i64>,
}

/// Lines of a connection's activity before a number, newest first.
pub async fn page(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    filter: ActivityFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Page, Error> {
    let mut lines = host
        .store
        .read(move |tx| {
            tx.connection(project, id)?;
            tx.activity(id, &filter, before.unwrap_or(i64::MAX), limit + 1)
        })
        .await?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|(number, _)| *number);
    Ok(Page { lines, next })
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
    let before = query
        .cursor
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| Error::Malformed("`cursor` is not from a list of activity.".into()))?;
    let page = page(&host, reader.project, id, query.filter(), before, limit).await?;
    let next = page.next.map(|number| {
        let (path, kept) = (uri.path(), query.kept());
        format!("<{path}?limit={limit}&cursor={number}{kept}>; rel=\"next\"")
    });
    let lines: Vec<Activity> = page
        .lines
        .into_iter()
        .map(|(_, line)| line.into())
        .collect();
    let body = axum::Json(lines);
    Ok(match next {
        Some(next) => ([(header::LINK, next)], body).into_response(),
        None => body.into_response(),
    })
}
