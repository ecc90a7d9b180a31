//! What could not be worked on, for operators: listed with its reason, looked at,
//! and worked on again.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Json, Limit, Operator, Path, Query};
use crate::{
    host::Host,
    model::{AccountKey, Timestamp},
    store::set_aside::{Filter, Listed},
    sync::replays,
    web::{error::Error, problem::Problem},
};

/// How long an answer waits for a replay: less than a request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Something that is set aside.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetAside {
    /// Its number.
    id: i64,
    /// When it was set aside.
    at: Timestamp,
    /// What it came in: `delivery` or `journal_file`.
    kind: &'static str,
    /// The connector to the source that it is of, for example `hubspot`.
    connector: String,
    /// The account, in the source's words, where it is of one.
    account: Option<AccountKey>,
    /// Why it was set aside. Some of the words may be the plugin's.
    reason: String,
    /// The plugin version that could not work on it, by digest.
    plugin: Option<String>,
    /// How many bytes it has.
    size_bytes: u64,
    /// Whether it waits to be worked on again.
    waits: bool,
    /// When it was last worked on again, in vain.
    replayed_at: Option<Timestamp>,
    /// Its bytes, in base64; none in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// What is set aside.
#[derive(Debug, Serialize, ToSchema)]
pub struct AllSetAside {
    /// Oldest first.
    set_aside: Vec<SetAside>,
    /// The cursor of those after; none where there are none.
    next: Option<String>,
}

/// Which of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SetAsideQuery {
    /// Those whose reason has this in it.
    reason: Option<String>,
    /// How many, from 1 to 200; 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
    /// `next` of the list before.
    cursor: Option<i64>,
}

/// What is to be worked on again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReplay {
    /// That whose reason has this in it; all, when not said.
    reason: Option<String>,
}

/// What came of working on it again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// Is set aside no more.
    done: u64,
    /// Could not be worked on, and stays.
    stayed: u64,
    /// Is still to be worked on.
    waiting: u64,
}

/// What is set aside. For operators.
#[utoipa::path(
    get, path = "/set-aside", tag = "set-aside", operation_id = "list_set_aside",
    params(SetAsideQuery),
    responses(
        (status = 200, body = AllSetAside),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    _: Operator,
    Query(query): Query<SetAsideQuery>,
) -> Result<axum::Json<AllSetAside>, Error> {
    let limit = query.limit.get()?;
    let filter = Filter {
        reason: query.reason,
        ..Filter::default()
    };
    let after = query.cursor.unwrap_or_default();
    let mut listed = host
        .store
        .read(move |tx| tx.list_set_aside(&filter, after, limit + 1))
        .await?;
    let has_more = listed.len() > limit;
    listed.truncate(limit);
    let last = listed.last().map(|last| last.id.to_string());
    Ok(axum::Json(AllSetAside {
        set_aside: listed.into_iter().map(|one| told(one, None)).collect(),
        next: last.filter(|_| has_more),
    }))
}

/// Something that is set aside, with its bytes. They hold what HubSpot said of
/// people. For operators.
#[utoipa::path(
    get, path = "/set-aside/{id}", tag = "set-aside", operation_id = "get_set_aside",
    params(("id" = i64, Path)),
    responses(
        (status = 200, body = SetAside),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    _: Operator,
    Path(id): Path<i64>,
) -> Result<axum::Json<SetAside>, Error> {
    let (listed, body) = host.store.read(move |tx| tx.one_set_aside(id)).await?;
    Ok(axum::Json(told(listed, Some(&body))))
}

/// Works on something again that is set aside, with the active plugin version. What
/// is older than what is known changes nothing. For operators.
#[utoipa::path(
    post, path = "/set-aside/{id}/replay", tag = "set-aside", operation_id = "replay_one_set_aside",
    params(("id" = i64, Path)),
    responses(
        (status = 200, body = Replayed),
        (status = 202, body = Replayed, description = "Not all of it is done yet."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay_one(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Path(id): Path<i64>,
) -> Result<(StatusCode, axum::Json<Replayed>), Error> {
    host.store.read(move |tx| tx.one_set_aside(id)).await?;
    let filter = Filter {
        id: Some(id),
        ..Filter::default()
    };
    replayed(&host, filter, operator.name()).await
}

/// Works again on all that is set aside, or on all that was for a reason. For
/// operators.
#[utoipa::path(
    post, path = "/set-aside/replay", tag = "set-aside", operation_id = "replay_set_aside",
    request_body = NewReplay,
    responses(
        (status = 200, body = Replayed),
        (status = 202, body = Replayed, description = "Not all of it is done yet."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay(
    State(host): State<Arc<Host>>,
    operator: Operator,
    body: Option<Json<NewReplay>>,
) -> Result<(StatusCode, axum::Json<Replayed>), Error> {
    let Json(NewReplay { reason }) = body.unwrap_or(Json(NewReplay::default()));
    let filter = Filter {
        reason,
        ..Filter::default()
    };
    replayed(&host, filter, operator.name()).await
}

async fn replayed(
    host: &Host,
    filter: Filter,
    by: String,
) -> Result<(StatusCode, axum::Json<Replayed>), Error> {
    let now = host.clock.now();
    let replay = replays::request(&host.store, &filter, &by, now).await?;
    host.pipeline.notify_changed();
    let state = replays::state(&host.store, replay, PATIENCE).await?;
    let status = match state.waiting {
        0 => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    };
    Ok((
        status,
        axum::Json(Replayed {
            done: state.done(),
            stayed: state.stayed,
            waiting: state.waiting,
        }),
    ))
}

fn told(listed: Listed, body: Option<&[u8]>) -> SetAside {
    SetAside {
        id: listed.id,
        at: listed.at,
        kind: listed.kind.as_str(),
        connector: listed.connector,
        account: listed.account,
        reason: listed.reason,
        plugin: listed.plugin,
        size_bytes: listed.size_bytes,
        waits: listed.waits,
        replayed_at: listed.replayed_at,
        body: body.map(|body| BASE64_STANDARD.encode(body)),
    }
}
