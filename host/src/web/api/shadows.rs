//! What a plugin version would change, for operators: compared with the active one
//! beside it, on what was received lately and on what comes.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Json, Operator, Path};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, RecordId, Timestamp, UserId},
    store::shadows::{self, Kind, Step},
    sync::versions::shadow::{self, Report},
    web::{error::Error, problem::Problem},
};

/// A version that is compared with the active one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shadow {
    /// The version, by digest.
    digest: String,
    /// The version that it is compared with, by digest; none until the host has begun.
    against: Option<String>,
    /// Who started it.
    by: String,
    /// When.
    at: Timestamp,
    /// It reads what was received since then; none: all that the log keeps.
    since: Option<Timestamp>,
    /// What it compares: first the mappings, then the log.
    step: Step,
    /// How many entries of the log it has not reached.
    waiting: u64,
    /// When it was last at the log's end; none until it was.
    caught_up_at: Option<Timestamp>,
    /// Why it does not go on, where it does not.
    problem: Option<String>,
    /// How much it compared.
    compared: Work,
    /// How often the two differed.
    difference_count: u64,
    /// The same, by how and where.
    differences: Vec<Difference>,
    /// A hundred of these at most.
    examples: Vec<Example>,
    /// What it cannot see; none of a source that only pushes.
    unseen: Option<&'static str>,
}

/// How much a shadow compared.
#[derive(Debug, Serialize, ToSchema)]
pub struct Work {
    /// Object mappings.
    mappings: u64,
    /// Texts that registers keep.
    kept_texts: u64,
    /// Entries of the log.
    entries: u64,
    /// The bytes of these.
    bytes: u64,
    /// The events in them.
    events: u64,
    /// What either version made of all that.
    outcomes: u64,
    /// The version's passes.
    passes: u64,
    /// How many of these failed.
    faults: u64,
    /// How many of the active version's did.
    active_faults: u64,
    /// How long it worked for that, in milliseconds.
    worked_milliseconds: u64,
}

/// How and where two versions differ.
#[derive(Debug, Serialize, ToSchema)]
pub struct Difference {
    /// How.
    kind: Kind,
    /// The object type, where it is of one.
    #[schema(value_type = Option<String>)]
    object_type: Option<ObjectType>,
    /// The property, or what happened.
    name: String,
    /// How often.
    count: u64,
}

/// An example of a difference.
#[derive(Debug, Serialize, ToSchema)]
pub struct Example {
    /// How they differ.
    kind: Kind,
    /// The object type, where it is of one.
    #[schema(value_type = Option<String>)]
    object_type: Option<ObjectType>,
    /// The property, or what happened.
    name: String,
    /// The connection.
    #[schema(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// The record.
    #[schema(value_type = Option<String>)]
    record: Option<RecordId>,
    /// Some of the users whom the record reaches.
    #[schema(value_type = Vec<String>)]
    users: Vec<UserId>,
    /// How many these are.
    user_count: usize,
    /// The variable that the property feeds.
    variable: Option<String>,
    /// The entry of the log, where what differs is of a whole one.
    position: Option<i64>,
    /// What the active version says; none where it says nothing.
    active: Option<serde_json::Value>,
    /// What the other one says.
    candidate: Option<serde_json::Value>,
}

/// How a version is compared.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShadow {
    /// How many hours to look back, beginning anew; as far as the log keeps, when not
    /// said.
    since_hours: Option<u32>,
}

/// Has a version compared with the active one: on what was received lately, and on
/// what comes. Nothing of it is applied, and nothing waits for it. For operators.
#[utoipa::path(
    post, path = "/plugins/{digest}/shadow", tag = "plugins", operation_id = "shadow_plugin",
    params(("digest" = String, Path)),
    request_body = NewShadow,
    responses(
        (status = 202, body = Shadow, description = "The host compares."),
        (status = 409, description = "It is the active version, or cannot be run.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn start(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Path(begins): Path<String>,
    body: Option<Json<NewShadow>>,
) -> Result<(StatusCode, axum::Json<Shadow>), Error> {
    let Json(NewShadow { since_hours }) = body.unwrap_or(Json(NewShadow::default()));
    let within = since_hours.map(|hours| Duration::from_secs(u64::from(hours) * 3_600));
    let (by, now) = (operator.name(), host.clock.now());
    let started = shadow::request(&host.store, begins, within, by, now).await?;
    host.pipeline.notify_changed();
    let report = load(&host, started.digest).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(shown(report))))
}

/// How far the shadow of a version is, and where the two differ. For operators.
#[utoipa::path(
    get, path = "/plugins/{digest}/shadow", tag = "plugins", operation_id = "get_shadow",
    params(("digest" = String, Path)),
    responses(
        (status = 200, body = Shadow),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    _: Operator,
    Path(begins): Path<String>,
) -> Result<axum::Json<Shadow>, Error> {
    Ok(axum::Json(shown(load(&host, begins).await?)))
}

/// Ends the shadow of a version, and forgets what it found. For operators.
#[utoipa::path(
    delete, path = "/plugins/{digest}/shadow", tag = "plugins", operation_id = "end_shadow",
    params(("digest" = String, Path)),
    responses(
        (status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn end(
    State(host): State<Arc<Host>>,
    _: Operator,
    Path(begins): Path<String>,
) -> Result<StatusCode, Error> {
    shadow::end(&host.store, begins).await?;
    host.pipeline.notify_changed();
    Ok(StatusCode::NO_CONTENT)
}

async fn load(host: &Host, begins: String) -> Result<Report, Error> {
    let report = host.store.read(move |tx| {
        let version = tx.plugin_version(&begins)?;
        let report = Report::load(tx, &version.connector)?;
        Ok(report.filter(|report| report.shadow.digest == version.digest))
    });
    report.await?.ok_or(Error::NotFound("shadow"))
}

/// A shadow, as it is shown.
pub fn shown(report: Report) -> Shadow {
    let (difference_count, unseen) = (report.difference_count(), report.unseen());
    let Report {
        shadow,
        differences,
        examples,
    } = report;
    let work = shadow.work;
    Shadow {
        digest: shadow.digest,
        against: shadow.against,
        by: shadow.by,
        at: shadow.at,
        since: shadow.since,
        step: shadow.step,
        waiting: shadow.waiting,
        caught_up_at: shadow.caught_up_at,
        problem: shadow.problem,
        compared: Work {
            mappings: work.mappings,
            kept_texts: work.texts,
            entries: work.entries,
            bytes: work.bytes,
            events: work.events,
            outcomes: work.compared,
            passes: work.passes,
            faults: work.faults,
            active_faults: work.active_faults,
            worked_milliseconds: work.worked_microseconds / 1_000,
        },
        difference_count,
        differences: differences.into_iter().map(difference).collect(),
        examples: examples.into_iter().map(example).collect(),
        unseen,
    }
}

fn difference((difference, count): (shadows::Difference, u64)) -> Difference {
    Difference {
        kind: difference.kind,
        object_type: difference.object_type,
        name: difference.name,
        count,
    }
}

fn example(example: shadows::Example) -> Example {
    Example {
        kind: example.difference.kind,
        object_type: example.difference.object_type,
        name: example.difference.name,
        connection: example.connection,
        record: example.record,
        users: example.users,
        user_count: example.user_count,
        variable: example.variable,
        position: example.position.map(|position| position.0),
        active: example.active,
        candidate: example.candidate,
    }
}
