//! The webhook management API of legacy public apps, with the developer's key.
//!
//! HubSpot: webhooks guide. What is set here is the app's and holds for every account.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Json, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, complete, listed, nothing};
use crate::fault::Fault;
use crate::request::{Input, Params, Sim};
use crate::state::{Shared, State as World};
use crate::values::iso;
use crate::webhooks::Subscription;

/// Least concurrency that can be set.
const CONCURRENT_MIN: usize = 5;

/// Routes below `/webhooks/v3` and `/app-webhooks/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/{app}/settings",
            get(settings).put(configure).delete(clear),
        )
        .route("/{app}/subscriptions", get(list).post(create))
        .route("/{app}/subscriptions/batch/update", post(update_batch))
        .route(
            "/{app}/subscriptions/{id}",
            get(read).patch(change).delete(remove),
        )
}

#[derive(Deserialize)]
struct AppPath {
    app: String,
}

#[derive(Deserialize)]
struct SubscriptionPath {
    id: u64,
}

/// Who calls is the app's developer: the key says so, and the path names the app.
struct Developer;

impl FromRequestParts<Arc<Shared>> for Developer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Fault> {
        let params = Params::from_request_parts(parts, shared).await?;
        let path = Path::<AppPath>::from_request_parts(parts, shared).await;
        let path = path.map_err(|_| Fault::not_found())?;
        let state = shared.lock();
        if params.get("hapikey") != Some(state.app.developer_key.as_str()) {
            return Err(Fault::new(
                StatusCode::UNAUTHORIZED,
                "INVALID_AUTHENTICATION",
                "The developer API key provided is invalid.",
            ));
        }
        if path.app != state.app.id.to_string() {
            return Err(Fault::not_found());
        }
        Ok(Self)
    }
}

/// A subscription by its number.
fn held(state: &mut World, id: u64) -> Result<&mut Subscription, Fault> {
    let all = &mut state.subscriptions.all;
    all.get_mut(&id).ok_or_else(Fault::not_found)
}

fn settings_json(state: &World) -> Result<Response, Fault> {
    let target = state.target.as_ref().ok_or_else(Fault::not_found)?;
    Ok(Json(json!({
        "targetUrl": target,
        "throttling": {"maxConcurrentRequests": state.max_concurrent, "period": "SECONDLY"},
        "createdAt": iso(0),
        "updatedAt": iso(0),
    }))
    .into_response())
}

async fn settings(State(shared): Sim, _: Developer) -> Answer {
    settings_json(&shared.lock())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    target_url: String,
    throttling: Throttling,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    max_concurrent_requests: usize,
}

async fn configure(State(shared): Sim, _: Developer, input: Input<Settings>) -> Answer {
    let mut state = shared.lock();
    let concurrent = input.body.throttling.max_concurrent_requests;
    if concurrent <= CONCURRENT_MIN {
        return Err(Fault::invalid(format!(
            "maxConcurrentRequests must be above {CONCURRENT_MIN}"
        )));
    }
    state.max_concurrent = concurrent;
    state.target = Some(input.body.target_url);
    settings_json(&state)
}

async fn clear(State(shared): Sim, _: Developer) -> Answer {
    shared.lock().target = None;
    nothing()
}

fn subscription_json(subscription: &Subscription) -> Value {
    let mut out = json!({
        "id": subscription.id.to_string(),
        "eventType": subscription.event_type,
        "active": subscription.active,
        "createdAt": iso(subscription.created_at),
        "updatedAt": iso(subscription.created_at),
    });
    if let Some(name) = &subscription.property_name {
        out["propertyName"] = json!(name);
    }
    if let Some(id) = &subscription.object_type_id {
        out["objectTypeId"] = json!(id);
    }
    out
}

async fn list(State(shared): Sim, _: Developer) -> Answer {
    let state = shared.lock();
    let results: Vec<Value> = state
        .subscriptions
        .all
        .values()
        .map(subscription_json)
        .collect();
    listed(results)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    event_type: String,
    property_name: Option<String>,
    object_type_id: Option<String>,
    #[serde(default)]
    active: bool,
}

async fn create(State(shared): Sim, _: Developer, input: Input<Create>) -> Answer {
    let now = shared.clock.now_ms();
    let wanted = input.body;
    let made = shared
        .lock()
        .subscriptions
        .add(
            &wanted.event_type,
            wanted.property_name.as_deref(),
            wanted.object_type_id.as_deref(),
            wanted.active,
            now,
        )
        .map_err(Fault::invalid)?;
    Ok((StatusCode::CREATED, Json(subscription_json(&made))).into_response())
}

async fn read(State(shared): Sim, _: Developer, Path(path): Path<SubscriptionPath>) -> Answer {
    let mut state = shared.lock();
    Ok(Json(subscription_json(held(&mut state, path.id)?)).into_response())
}

#[derive(Deserialize)]
struct Change {
    active: Option<bool>,
}

async fn change(
    State(shared): Sim,
    _: Developer,
    Path(path): Path<SubscriptionPath>,
    input: Input<Change>,
) -> Answer {
    let mut state = shared.lock();
    let held = held(&mut state, path.id)?;
    if let Some(active) = input.body.active {
        held.active = active;
    }
    Ok(Json(subscription_json(held)).into_response())
}

async fn remove(State(shared): Sim, _: Developer, Path(path): Path<SubscriptionPath>) -> Answer {
    let removed = shared.lock().subscriptions.all.remove(&path.id);
    removed.ok_or_else(Fault::not_found)?;
    nothing()
}

#[derive(Deserialize)]
struct Batch {
    inputs: Vec<BatchChange>,
}

#[derive(Deserialize)]
struct BatchChange {
    id: u64,
    active: bool,
}

async fn update_batch(State(shared): Sim, _: Developer, input: Input<Batch>) -> Answer {
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let mut results = Vec::new();
    for wanted in &input.body.inputs {
        let held = held(&mut state, wanted.id)?;
        held.active = wanted.active;
        results.push(subscription_json(held));
    }
    Ok(complete(results, Vec::new(), now))
}
