//! What operators and their monitors look at.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;

use crate::{host::Host, store::Tx, telemetry::MissedLabels};

/// Health and metrics.
pub fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/health/live", get(|| async { "ok" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready while deliveries can be taken in, the store answers and the pipeline
/// can work.
async fn ready(State(host): State<Arc<Host>>) -> (StatusCode, &'static str) {
    let wrong = if host.disk.is_failing() {
        "the event log cannot be written, and deliveries are refused; see the log"
    } else if !host.disk.room().is_enough() {
        "the disk is nearly full, and deliveries are refused"
    } else if host.pipeline.is_failing() {
        "the pipeline cannot work; see the log"
    } else if host.store.read(|tx| tx.log_position()).await.is_err() {
        "the store does not answer; see the log"
    } else {
        return (StatusCode::OK, "ok");
    };
    (StatusCode::SERVICE_UNAVAILABLE, wrong)
}

async fn metrics(State(host): State<Arc<Host>>) -> impl IntoResponse {
    let waiting = host.log.tail().borrow().0 - host.pipeline.applied().borrow().0;
    host.metrics.log_waiting.set(waiting);
    host.metrics.disk(host.disk.room(), host.disk.is_failing());
    // A store that does not answer says so in its health.
    let told = |tx: &Tx<'_>| Ok((tx.proven()?, tx.missed()?, tx.held_connections_count()?));
    if let Ok(((compared, equal), missed, held)) = host.store.read(told).await {
        host.metrics.held_connections.set(held);
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
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
