//! Full syncs and catch-ups: estimated, started, watched, ended.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Json, Limit, Path, Query, Reader, Writer},
    users::{self, ListedUser},
};
use crate::{
    host::Host,
    model::{
        Actor, ConnectionId, Missed, Planned, Problem as RunProblem, ProjectId, Run, RunId,
        RunKind, RunStatus, Timestamp,
    },
    pipeline::report::MISSED,
    store::{
        self, Tx,
        runs::{Counts, USERS},
    },
    sync::runs,
    web::{error::Error, problem::Problem},
};

/// A sync to be started.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSync {
    /// What it is.
    kind: RunKind,
    /// Whether it writes nothing, and counts what it would.
    #[serde(default)]
    dry_run: bool,
}

/// A sync that was started.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedSync {
    /// Its id.
    id: RunId,
}

/// What a sync will cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncEstimate {
    /// How it goes about each object type.
    plan: Vec<Planned>,
    /// How many calls to HubSpot it takes.
    calls: u64,
    /// How long it takes, if nothing else needs the account's request limit.
    seconds: u64,
}

/// A full sync or a catch-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sync {
    /// Its id.
    pub id: RunId,
    /// What it is.
    pub kind: RunKind,
    /// Whether it writes nothing.
    pub dry_run: bool,
    /// Whether it looks at what changed alone, as where nothing tells of changes live.
    pub brief: bool,
    /// Who asked for it: `admin`, `operator` or `schedule`.
    pub origin: String,
    /// How it goes about each object type.
    pub plan: Vec<Planned>,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// How far it is.
    pub progress: Progress,
    /// What it did.
    pub counts: SyncCounts,
    /// What could not be done, or what holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<RunProblem>,
    /// Some of those whose values it would take, where it is held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_users: Vec<ListedUser>,
}

/// How far a sync is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    /// Records and associations that are done.
    pub done: u64,
    /// Those in all, as far as is known.
    pub total: Option<u64>,
    /// How many were done a second, on average.
    pub per_second: Option<f64>,
    /// How long it still takes.
    pub eta_seconds: Option<u64>,
}

/// What a sync did, by records.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct SyncCounts {
    /// Were read.
    pub read: i64,
    /// Reach users.
    pub matched: i64,
    /// Changed what users show.
    pub updated: i64,
    /// Of a catch-up: those that live had missed, by kind: `deletion` (or coming
    /// back), `merge`, `match` (of a new record too), `association`, `property`, and
    /// `calculated`, which is a value that changed without its record's stamp.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub missed: BTreeMap<String, i64>,
    /// Were as they were known.
    pub unchanged: i64,
    /// Did nothing, by reason.
    pub skipped: BTreeMap<String, i64>,
    /// Could not be read.
    pub failed: i64,
    /// Of these: records whose associations could not be read, by the type that they
    /// lead to. The records themselves may have been read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_associations: BTreeMap<String, i64>,
    /// Users' values that were set, changed and cleared.
    pub values: BTreeMap<String, i64>,
    /// Of a dry run: the users whose values these are, each once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<i64>,
}

/// A connection's syncs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Syncs {
    /// Newest first.
    syncs: Vec<Sync>,
    /// The cursor of those before; none where there are none.
    next: Option<String>,
}

/// Which syncs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SyncsQuery {
    /// How many, from 1 to 200; 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<usize>)]
    limit: Limit,
    /// `next` of the list before.
    cursor: Option<RunId>,
}

/// Starts a sync.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/syncs", tag = "syncs", operation_id = "start_sync",
    params(("project" = String, Path), ("connection" = String, Path)),
    request_body = NewSync,
    responses(
        (status = 202, body = StartedSync),
        (status = 409, description = "One of that kind is under way, or the connection cannot sync.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn start(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Json(new): Json<NewSync>,
) -> Result<(StatusCode, axum::Json<StartedSync>), Error> {
    let id = begin(
        &host,
        writer.project,
        id,
        (new.kind, new.dry_run),
        &writer.by,
    )
    .await?;
    Ok((StatusCode::ACCEPTED, axum::Json(StartedSync { id })))
}

/// Starts a sync of a connection; `asked`: which, and whether it writes nothing.
pub async fn begin(
    host: &Host,
    project: ProjectId,
    connection: ConnectionId,
    asked: (RunKind, bool),
    by: &Actor,
) -> Result<RunId, Error> {
    let (now, by) = (host.clock.now(), by.clone());
    let run = host
        .store
        .transact(move |tx| {
            tx.connection(project, connection)?;
            runs::request(tx, connection, asked, &by, now)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(run)
}

/// Estimates a sync.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/syncs/estimate", tag = "syncs", operation_id = "estimate_sync",
    params(("project" = String, Path), ("connection" = String, Path)),
    request_body = NewSync,
    responses(
        (status = 200, body = SyncEstimate),
        (status = 409, description = "The connection cannot sync.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn estimate(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Json(new): Json<NewSync>,
) -> Result<axum::Json<SyncEstimate>, Error> {
    let estimate = estimated(&host, writer.project, id, new.kind).await?;
    Ok(axum::Json(SyncEstimate {
        plan: estimate.types,
        calls: estimate.calls,
        seconds: estimate.seconds,
    }))
}

/// What a sync of a connection will cost.
pub async fn estimated(
    host: &Arc<Host>,
    project: ProjectId,
    id: ConnectionId,
    kind: RunKind,
) -> Result<runs::Estimate, Error> {
    host.store
        .read(move |tx| {
            tx.connection(project, id)?;
            runs::check(tx, id)
        })
        .await?;
    Ok(runs::estimate(host, id, kind).await?)
}

/// A connection's syncs, newest first.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/syncs", tag = "syncs", operation_id = "list_syncs",
    params(("project" = String, Path), ("connection" = String, Path), SyncsQuery),
    responses(
        (status = 200, body = Syncs),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<SyncsQuery>,
) -> Result<axum::Json<Syncs>, Error> {
    let limit = query.limit.get()?;
    let before = query.cursor.unwrap_or(RunId(i64::MAX));
    let now = host.clock.now();
    let mut syncs = host
        .store
        .read(move |tx| {
            tx.connection(reader.project, id)?;
            let runs = tx.runs(id, before, limit + 1)?.into_iter();
            runs.map(|run| show(tx, run, now))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let more = syncs.len() > limit;
    syncs.truncate(limit);
    let next = syncs
        .last()
        .filter(|_| more)
        .map(|last| last.id.to_string());
    Ok(axum::Json(Syncs { syncs, next }))
}

/// A sync.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/syncs/{sync}", tag = "syncs", operation_id = "get_sync",
    params(("project" = String, Path), ("connection" = String, Path), ("sync" = String, Path)),
    responses(
        (status = 200, body = Sync),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, connection, id)): Path<(String, ConnectionId, RunId)>,
) -> Result<axum::Json<Sync>, Error> {
    let now = host.clock.now();
    let sync = host
        .store
        .read(move |tx| show(tx, of(tx, reader.project, connection, id)?, now))
        .await?;
    Ok(axum::Json(sync))
}

/// Ends a sync. What it did stays.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/syncs/{sync}/cancel", tag = "syncs", operation_id = "cancel_sync",
    params(("project" = String, Path), ("connection" = String, Path), ("sync" = String, Path)),
    responses(
        (status = 202),
        (status = 409, description = "It is over.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, connection, id)): Path<(String, ConnectionId, RunId)>,
) -> Result<StatusCode, Error> {
    let sync = (connection, id);
    steer(&host, writer.project, sync, &writer.by, runs::cancel).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Lets a sync go on that is held because it would clear or move the values of
/// many users.
#[utoipa::path(
    post, path = "/projects/{project}/connections/{connection}/syncs/{sync}/continue", tag = "syncs", operation_id = "continue_sync",
    params(("project" = String, Path), ("connection" = String, Path), ("sync" = String, Path)),
    responses(
        (status = 202),
        (status = 409, description = "It is not held.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn go_on(
    State(host): State<Arc<Host>>,
    writer: Writer,
    Path((_project, connection, id)): Path<(String, ConnectionId, RunId)>,
) -> Result<StatusCode, Error> {
    let sync = (connection, id);
    steer(&host, writer.project, sync, &writer.by, runs::go_on).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Ends a sync of the project, or lets it go on: `how` is of [`runs`].
pub async fn steer(
    host: &Host,
    project: ProjectId,
    (connection, id): (ConnectionId, RunId),
    by: &Actor,
    how: fn(&Tx<'_>, RunId, &Actor, Timestamp) -> Result<(), store::Error>,
) -> Result<(), Error> {
    let (now, by) = (host.clock.now(), by.clone());
    host.store
        .transact(move |tx| {
            of(tx, project, connection, id)?;
            how(tx, id, &by, now)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(())
}

/// A sync of a connection of the project.
pub fn of(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    id: RunId,
) -> Result<Run, store::Error> {
    tx.connection(project, connection)?;
    let run = tx.run(id)?;
    if run.connection == connection {
        Ok(run)
    } else {
        Err(store::Error::NotFound("sync"))
    }
}

/// A run as it is shown.
pub fn show(tx: &Tx<'_>, run: Run, now: Timestamp) -> Result<Sync, store::Error> {
    let counts = counts(&run, tx.run_counts(run.id)?);
    let progress = progress(&run, now);
    let held_users = match run.status {
        RunStatus::Braked => {
            let project = tx.any_connection(run.connection)?.project;
            users::listed(tx, project, tx.held_users(run.id)?)?
        }
        _ => Vec::new(),
    };
    Ok(Sync {
        id: run.id,
        kind: run.kind,
        dry_run: run.dry_run,
        brief: run.brief,
        origin: run.origin,
        plan: run.plan,
        status: run.status,
        requested_at: run.requested_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        progress,
        counts,
        problem: run.held.or(run.problem),
        held_users,
    })
}

fn progress(run: &Run, now: Timestamp) -> Progress {
    let until = run.finished_at.unwrap_or(now);
    let seconds = run.started_at.map(|at| until.since(at).as_secs_f64());
    // Records are far below what a float holds exactly.
    let per_second = seconds
        .filter(|seconds| *seconds > 0.0)
        .map(|seconds| run.done as f64 / seconds);
    let left = run.total.map(|total| total.saturating_sub(run.done));
    let eta_seconds = match (left, per_second) {
        (Some(left), Some(rate)) if rate > 0.0 && run.status.is_open() => {
            Some((left as f64 / rate).ceil() as u64)
        }
        _ => None,
    };
    Progress {
        done: run.done,
        total: run.total,
        per_second: per_second.map(|rate| (rate * 10.0).round() / 10.0),
        eta_seconds,
    }
}

fn counts(run: &Run, all: Counts) -> SyncCounts {
    let mut counts = SyncCounts {
        users: run.dry_run.then_some(0),
        ..SyncCounts::default()
    };
    if run.kind == RunKind::CatchUp {
        let kinds = Missed::ALL.iter().map(|kind| kind.as_str().to_owned());
        counts.missed.extend(kinds.map(|kind| (kind, 0)));
    }
    for (name, count) in all {
        match name.as_str() {
            "read" => counts.read = count,
            "matched" => counts.matched = count,
            "updated" => counts.updated = count,
            "unchanged" => counts.unchanged = count,
            USERS => counts.users = Some(count),
            "failed" | "read_put_off" => counts.failed += count,
            _ => {
                if let Some(to_type) = name.strip_prefix("failed.") {
                    counts.failed += count;
                    let of = &mut counts.failed_associations;
                    of.insert(to_type.to_owned(), count);
                } else if let Some(reason) = name.strip_prefix("skipped.") {
                    counts.skipped.insert(reason.to_owned(), count);
                } else if let Some(what) = name.strip_prefix("values.") {
                    counts.values.insert(what.to_owned(), count);
                } else if let Some((MISSED, kind)) = name.split_once('.') {
                    counts.missed.insert(kind.to_owned(), count);
                }
            }
        }
    }
    counts
}
