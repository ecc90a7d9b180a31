//! The simulator's own API over HTTP, below `/_sim`: what the handle does, for other languages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{AccountSpec, ApiKnobs, Limits, WebhookKnobs};
use crate::control_account;
use crate::crm::{Error, ObjectType};
use crate::faults::FaultRule;
use crate::request::Sim;
use crate::state::Shared;

/// An error of this API: a sentence.
pub(crate) struct Failure(pub StatusCode, pub String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NoAccount(_) | Error::NoRecord { .. } => StatusCode::NOT_FOUND,
            Error::Conflict { .. } => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self(status, error.to_string())
    }
}

pub(crate) type Answer = Result<Json<Value>, Failure>;

/// Routes below `/_sim`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/state", get(state))
        .route("/clock", post(turn))
        .route("/limits", put(limits))
        .route("/api", put(api))
        .route("/app", put(app))
        .route("/webhooks", put(webhooks))
        .route("/webhooks/subscriptions", post(subscribe))
        .route("/webhooks/settle", post(settle))
        .route("/webhooks/drain", post(drain))
        .route("/webhooks/attempts", get(attempts))
        .route("/faults", post(inject).delete(clear_faults))
        .route("/calls", get(calls).delete(clear_calls))
        .route("/accounts", post(add_account))
        .nest("/accounts/{portal}", control_account::routes())
}

/// A success with nothing to say.
pub(crate) fn done() -> Answer {
    Ok(Json(json!({})))
}

async fn state(State(shared): Sim) -> Answer {
    let state = shared.lock();
    let accounts: Vec<Value> = state
        .world
        .accounts
        .iter()
        .map(|(portal, account)| {
            let counts: BTreeMap<&str, usize> = ObjectType::ALL
                .into_iter()
                .map(|of| (of.name(), account.store(of).live.len()))
                .collect();
            json!({
                "account": account.spec,
                "installed": state.grants.installed(*portal),
                "records": counts,
            })
        })
        .collect();
    Ok(Json(json!({
        "seed": shared.seed,
        "now_ms": shared.clock.now_ms(),
        "app": {
            "id": state.app.id,
            "client_id": state.app.client_id,
            "client_secret": state.app.client_secret,
            "developer_key": state.app.developer_key,
        },
        "webhook_target": state.target,
        "deliveries": state.outboxes.settled(),
        "accounts": accounts,
    })))
}

#[derive(Deserialize)]
struct Turn {
    turn_ms: u64,
}

async fn turn(State(shared): Sim, Json(body): Json<Turn>) -> Answer {
    shared.clock.turn(Duration::from_millis(body.turn_ms));
    shared.wake_now();
    Ok(Json(json!({"now_ms": shared.clock.now_ms()})))
}

async fn limits(State(shared): Sim, Json(body): Json<Limits>) -> Answer {
    shared.lock().limits = body;
    done()
}

async fn api(State(shared): Sim, Json(body): Json<ApiKnobs>) -> Answer {
    shared.lock().api = body;
    done()
}

#[derive(Deserialize)]
struct AppChange {
    auto_approve: Option<u64>,
    rotate_refresh_tokens: Option<bool>,
}

async fn app(State(shared): Sim, Json(body): Json<AppChange>) -> Answer {
    let mut state = shared.lock();
    state.app.auto_approve = body.auto_approve;
    if let Some(rotate) = body.rotate_refresh_tokens {
        state.app.rotate_refresh_tokens = rotate;
    }
    done()
}

#[derive(Deserialize)]
struct Webhooks {
    target: Option<String>,
    knobs: Option<WebhookKnobs>,
}

async fn webhooks(State(shared): Sim, Json(body): Json<Webhooks>) -> Answer {
    {
        let mut state = shared.lock();
        if let Some(target) = body.target {
            state.target = Some(target);
        }
        if let Some(knobs) = body.knobs {
            state.hooks = knobs;
        }
    }
    shared.wake_now();
    done()
}

#[derive(Deserialize)]
struct Subscribe {
    /// `defaults`, or a subscription type.
    event_type: String,
    property: Option<String>,
    object_type: Option<String>,
}

async fn subscribe(State(shared): Sim, Json(body): Json<Subscribe>) -> Answer {
    if body.event_type == "defaults" {
        shared.subscribe_defaults();
        return done();
    }
    let type_id = body.object_type.as_deref().and_then(ObjectType::parse);
    let made = shared.subscribe(
        &body.event_type,
        body.property.as_deref(),
        type_id.map(ObjectType::type_id),
    )?;
    Ok(Json(json!(made)))
}

async fn settle(State(shared): Sim) -> Answer {
    Ok(Json(json!(shared.settle().await)))
}

async fn drain(State(shared): Sim) -> Answer {
    Ok(Json(json!(shared.drain().await)))
}

async fn attempts(State(shared): Sim) -> Answer {
    Ok(Json(json!(shared.lock().outboxes.log)))
}

async fn inject(State(shared): Sim, Json(rule): Json<FaultRule>) -> Answer {
    shared.lock().faults.add(rule);
    done()
}

async fn clear_faults(State(shared): Sim) -> Answer {
    shared.lock().faults.clear();
    done()
}

async fn calls(State(shared): Sim) -> Answer {
    Ok(Json(json!(shared.lock().calls)))
}

async fn clear_calls(State(shared): Sim) -> Answer {
    shared.lock().calls.clear();
    done()
}

async fn add_account(State(shared): Sim, Json(spec): Json<AccountSpec>) -> Answer {
    shared.ensure(spec);
    done()
}
