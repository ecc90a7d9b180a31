//! How a connection fares: what is wrong with it, and what it did hour by hour.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Path, Query, Reader};
use crate::{
    host::Host,
    model::{ConnectionId, Problem as Wrong, ProjectId, RunId, Timestamp},
    store::hours::{self, HOURS_KEPT},
    sync::health as found,
    web::{error::Error, problem::Problem},
};

/// Hours that are told of when nothing is said: a day.
const HOURS: usize = 24;

/// How a connection fares.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// What is wrong, the worst first, each with what to do.
    pub problems: Vec<Wrong>,
    /// The syncs that the brake holds.
    pub held_syncs: Vec<RunId>,
    /// What came and what it did, hour by hour, the present one last.
    pub hours: Vec<Hour>,
}

/// What came in an hour, and what it did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Hour {
    /// When it began.
    pub at: Timestamp,
    /// Changes that webhooks told.
    pub webhooks: i64,
    /// Changes that HubSpot's journal told.
    pub journal: i64,
    /// Records that were read.
    pub reads: i64,
    /// Records that changed what users show.
    pub updated: i64,
    /// Records of users that said nothing new.
    pub unchanged: i64,
    /// Records that match no user.
    pub no_match: i64,
    /// Records that reach users through others alone, while none of these was known to
    /// have them: they are read as soon as one is.
    pub waiting: i64,
    /// Records that did nothing, for another reason.
    pub skipped: i64,
    /// Records of which a value could not be read, whatever else they did.
    pub unreadable: i64,
    /// Values that users show since.
    pub values_written: i64,
    /// Half of the changes took no longer from HubSpot to users.
    pub p50_seconds: Option<f64>,
    /// 95 of 100 changes took no longer.
    pub p95_seconds: Option<f64>,
}

impl From<hours::Hour> for Hour {
    fn from(hour: hours::Hour) -> Self {
        let rounded = |seconds: f64| (seconds * 1_000.0).round() / 1_000.0;
        Self {
            at: hour.at,
            webhooks: hour.tally.webhooks,
            journal: hour.tally.journal,
            reads: hour.tally.reads,
            updated: hour.tally.updated,
            unchanged: hour.tally.unchanged,
            no_match: hour.tally.no_match,
            waiting: hour.tally.waiting,
            skipped: hour.tally.skipped,
            unreadable: hour.tally.unreadable,
            values_written: hour.tally.values_written,
            p50_seconds: hour.p50_seconds.map(rounded),
            p95_seconds: hour.p95_seconds.map(rounded),
        }
    }
}

/// How much of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// How many hours, from 1 to 336; 24 when not said.
    hours: Option<usize>,
}

/// How a connection fares: what is wrong with it, and what it did hour by hour.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/health",
    tag = "connections", operation_id = "get_health",
    params(("project" = String, Path), ("connection" = String, Path), HealthQuery),
    responses(
        (status = 200, body = Health),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<HealthQuery>,
) -> Result<axum::Json<Health>, Error> {
    let hours = query.hours.unwrap_or(HOURS);
    let hours_max = usize::try_from(HOURS_KEPT).unwrap_or(HOURS);
    if !(1..=hours_max).contains(&hours) {
        return Err(Error::Malformed(format!(
            "`hours` is a number from 1 to {hours_max}."
        )));
    }
    show(&host, reader.project, id, hours).await.map(axum::Json)
}

/// How a connection fares, with so many hours of it.
pub async fn show(
    host: &Host,
    project: ProjectId,
    id: ConnectionId,
    hours: usize,
) -> Result<Health, Error> {
    let backlog = found::backlog(host).await?;
    let now = host.clock.now();
    Ok(host
        .store
        .read(move |tx| {
            let connection = tx.connection(project, id)?;
            let told: BTreeSet<String> = tx.alerts(id)?.into_keys().collect();
            let observed = found::observe(tx, &connection, &backlog, now)?;
            let held = found::held_runs(tx, &connection)?;
            Ok(Health {
                problems: found::problems(&observed, &told, now),
                held_syncs: held.into_iter().map(|run| run.id).collect(),
                hours: tx
                    .hours(id, now, hours)?
                    .into_iter()
                    .map(Hour::from)
                    .collect(),
            })
        })
        .await?)
}
