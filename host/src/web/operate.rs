//! What operators and their monitors look at.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::{host::Host, model::Timestamp, store::Tx, telemetry::MissedLabels};

/// A deletion for privacy that is not over after so long is a problem: most take
/// moments, and those that wait for very many rows to be let go of minutes.
const ERASURE_MAX: Duration = Duration::from_secs(3_600);

/// Health and metrics.
pub fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/health", get(health))
        .route("/health/live", get(|| async { "ok" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready while deliveries can be taken in, the store answers and the pipeline
/// can work. What is wrong with single accounts or connectors does not count: whoever
/// takes the host out for it stops all the others too.
async fn ready(State(host): State<Arc<Host>>) -> (StatusCode, &'static str) {
    match unready(&host).await {
        None => (StatusCode::OK, "ok"),
        Some(wrong) => (StatusCode::SERVICE_UNAVAILABLE, wrong),
    }
}

/// Why the host is not ready; none where it is.
async fn unready(host: &Host) -> Option<&'static str> {
    if host.disk.is_failing() {
        Some("the event log cannot be written, and deliveries are refused; see the log")
    } else if !host.disk.room().is_enough() {
        Some("the disk is nearly full, and deliveries are refused")
    } else if host.pipeline.is_failing() {
        Some("the pipeline cannot work; see the log")
    } else if host.store.read(|tx| tx.log_position()).await.is_err() {
        Some("the store does not answer; see the log")
    } else {
        None
    }
}

/// What is wrong with the host, and with parts of what it does.
#[derive(Debug, Serialize)]
struct Health {
    /// Whether it is ready.
    ready: bool,
    /// What is wrong, in sentences.
    problems: Vec<String>,
    /// Deletions for privacy that are not over.
    erasures: Erasures,
}

/// Records that were deleted for privacy, and of which something may be left in the
/// log, or in what was set aside.
#[derive(Debug, Default, Serialize)]
struct Erasures {
    /// How many there are.
    waiting: i64,
    /// Since when the oldest of them is; none where there are none.
    since: Option<Timestamp>,
}

/// All that is wrong, in plain words. It is answered 200 while the host is ready.
async fn health(State(host): State<Arc<Host>>) -> (StatusCode, Json<Health>) {
    let unready = unready(&host).await;
    let ready = unready.is_none();
    let mut problems: Vec<String> = unready.into_iter().map(str::to_owned).collect();
    match host.metrics.accounts_stuck.get() {
        0 => {}
        1 => problems
            .push("1 account waits for an entry that cannot be applied; see the log".to_owned()),
        stuck => problems.push(format!(
            "{stuck} accounts wait for entries that cannot be applied; see the log"
        )),
    }
    let known = |tx: &Tx<'_>| {
        let erasures = tx.waiting_erasures()?;
        Ok((tx.plugin_problems()?, tx.plugins_failing()?, erasures))
    };
    // A store that does not answer is told of above.
    let (barred, failing, erasures) = host.store.read(known).await.unwrap_or_default();
    let (waiting, since) = erasures;
    if let Some(since) = since.filter(|since| host.clock.now().since(*since) > ERASURE_MAX) {
        problems.push(format!(
            "what was deleted for privacy is not erased everywhere since {since}; see the log"
        ));
    }
    problems.extend(barred.into_iter().map(|(connector, _)| {
        format!("the plugin version of {connector} that was activated cannot be run")
    }));
    problems.extend(failing.into_iter().map(|(connector, failing)| {
        format!(
            "the active plugin version of {connector} fails too often, and there is none to go \
             back to: {failing}"
        )
    }));
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let health = Health {
        ready,
        problems,
        erasures: Erasures { waiting, since },
    };
    (status, Json(health))
}

async fn metrics(State(host): State<Arc<Host>>) -> impl IntoResponse {
    let waiting = host.log.tail().borrow().0 - host.pipeline.applied().borrow().0;
    host.metrics.log_waiting.set(waiting);
    host.metrics.disk(host.disk.room(), host.disk.is_failing());
    // A store that does not answer says so in its health.
    let told = |tx: &Tx<'_>| {
        let failing = tx.plugins_failing()?.len();
        Ok((
            tx.proven()?,
            tx.missed()?,
            tx.held_connections_count()?,
            failing as u64,
            tx.waiting_erasures()?,
        ))
    };
    if let Ok(((compared, equal), missed, held, failing, erasures)) = host.store.read(told).await {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (waiting, since) = erasures;
        let age = since.map_or(Duration::ZERO, |since| host.clock.now().since(since));
        host.metrics.erasures_waiting.set(waiting);
        host.metrics.erasures_oldest.set(number(age.as_secs()));
        host.metrics.held_connections.set(held);
        host.metrics.plugins_failing.set(number(failing));
        host.metrics.proven[0].set(number(compared));
        host.metrics.proven[1].set(number(equal));
        for (kind, count) in missed {
            let kind = kind.as_str();
            let gauge = host.metrics.missed.get_or_create(&MissedLabels { kind });
            gauge.set(number(count));
        }
    }
    let day_left = host.hubspot.budgets().least_day_left();
    host.metrics.hubspot.day_left(day_left);
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, text)], host.metrics.render())
}
