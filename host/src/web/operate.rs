//! What operators and their monitors look at.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;

use crate::host::Host;

/// Health and metrics.
pub fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/health/live", get(|| async { "ok" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready while the store answers and the pipeline can work.
async fn ready(State(host): State<Arc<Host>>) -> (StatusCode, &'static str) {
    if host.pipeline.is_failing() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the pipeline cannot work; see the log",
        );
    }
    match host.store.read(|tx| tx.log_position()).await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not answer; see the log",
        ),
    }
}

async fn metrics(State(host): State<Arc<Host>>) -> impl IntoResponse {
    let waiting = host.log.tail().borrow().0 - host.pipeline.applied().borrow().0;
    host.metrics.log_waiting.set(waiting);
    let day_left = host.hubspot.budgets().least_day_left();
    host.metrics.hubspot.day_left(day_left);
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, text)], host.metrics.render())
}
