//! The simulator's own API over HTTP, below `/_sim`: what the handle does, for other languages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{AccountSpec, ApiKnobs, Limits, WebhookKnobs};
use crate::control::{Account, Link};
use crate::crm::{Error, ObjectType};
use crate::definitions::PropertySpec;
use crate::faults::FaultRule;
use crate::objects::values;
use crate::record::Source;
use crate::state::Shared;

/// An error of this API: a sentence.
struct Failure(StatusCode, String);

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

type Answer = Result<Json<Value>, Failure>;
type Sim = State<Arc<Shared>>;

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
        .route("/accounts/{portal}/truth", get(truth))
        .route("/accounts/{portal}/install", post(install))
        .route("/accounts/{portal}/revoke", post(revoke))
        .route("/accounts/{portal}/uninstall", post(uninstall))
        .route("/accounts/{portal}/expire", post(expire))
        .route("/accounts/{portal}/misroute", post(misroute))
        .route("/accounts/{portal}/drop-scope", post(drop_scope))
        .route("/accounts/{portal}/properties/{object_type}", post(define))
        .route(
            "/accounts/{portal}/properties/{object_type}/{name}",
            axum::routing::delete(archive_property),
        )
        .route(
            "/accounts/{portal}/associations",
            post(associate).delete(dissociate),
        )
        .route("/accounts/{portal}/objects/{object_type}", post(create))
        .route(
            "/accounts/{portal}/objects/{object_type}/merge",
            post(merge),
        )
        .route(
            "/accounts/{portal}/objects/{object_type}/{id}",
            get(record).patch(patch).delete(delete),
        )
        .route(
            "/accounts/{portal}/objects/{object_type}/{id}/{action}",
            post(act),
        )
}

fn handle(shared: &Arc<Shared>, portal: u64) -> Account {
    Account {
        shared: shared.clone(),
        portal,
        source: Source::default(),
    }
}

fn done() -> Answer {
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

async fn truth(State(shared): Sim, Path(portal): Path<u64>) -> Answer {
    Ok(Json(json!(handle(&shared, portal).truth()?)))
}

#[derive(Deserialize)]
struct Install {
    scopes: Vec<String>,
}

async fn install(State(shared): Sim, Path(portal): Path<u64>, Json(body): Json<Install>) -> Answer {
    let scopes: Vec<&str> = body.scopes.iter().map(String::as_str).collect();
    Ok(Json(json!(handle(&shared, portal).install(&scopes))))
}

async fn revoke(State(shared): Sim, Path(portal): Path<u64>) -> Answer {
    handle(&shared, portal).revoke_grant();
    done()
}

async fn uninstall(State(shared): Sim, Path(portal): Path<u64>) -> Answer {
    handle(&shared, portal).uninstall();
    done()
}

async fn expire(State(shared): Sim, Path(portal): Path<u64>) -> Answer {
    handle(&shared, portal).expire_access();
    done()
}

#[derive(Deserialize)]
struct Misroute {
    misrouted: bool,
}

async fn misroute(
    State(shared): Sim,
    Path(portal): Path<u64>,
    Json(body): Json<Misroute>,
) -> Answer {
    handle(&shared, portal).misroute(body.misrouted)?;
    done()
}

async fn define(
    State(shared): Sim,
    Path((portal, object_type)): Path<(u64, String)>,
    Json(spec): Json<PropertySpec>,
) -> Answer {
    handle(&shared, portal).define(&object_type, spec)?;
    done()
}

async fn archive_property(
    State(shared): Sim,
    Path((portal, object_type, name)): Path<(u64, String, String)>,
) -> Answer {
    handle(&shared, portal).archive_property(&object_type, &name)?;
    done()
}

#[derive(Deserialize)]
struct DropScope {
    scope: String,
}

async fn drop_scope(
    State(shared): Sim,
    Path(portal): Path<u64>,
    Json(body): Json<DropScope>,
) -> Answer {
    handle(&shared, portal).drop_scope(&body.scope);
    done()
}

#[derive(Deserialize)]
struct Associate {
    from: (String, u64),
    to: (String, u64),
    #[serde(default)]
    link: Link,
}

async fn associate(
    State(shared): Sim,
    Path(portal): Path<u64>,
    Json(body): Json<Associate>,
) -> Answer {
    handle(&shared, portal).associate(
        (&body.from.0, body.from.1),
        (&body.to.0, body.to.1),
        body.link,
    )?;
    done()
}

async fn dissociate(
    State(shared): Sim,
    Path(portal): Path<u64>,
    Json(body): Json<Associate>,
) -> Answer {
    handle(&shared, portal).dissociate((&body.from.0, body.from.1), (&body.to.0, body.to.1))?;
    done()
}

#[derive(Deserialize)]
struct Write {
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    source: Source,
}

fn of(name: &str) -> Result<ObjectType, Failure> {
    ObjectType::parse(name).ok_or_else(|| Error::NoType(name.to_owned()).into())
}

async fn create(
    State(shared): Sim,
    Path((portal, object_type)): Path<(u64, String)>,
    Json(body): Json<Write>,
) -> Answer {
    let account = handle(&shared, portal).by(body.source);
    let id = account.create_from(of(&object_type)?, &values(body.properties))?;
    Ok(Json(json!({"id": id})))
}

async fn record(
    State(shared): Sim,
    Path((portal, object_type, id)): Path<(u64, String, u64)>,
) -> Answer {
    Ok(Json(json!(
        handle(&shared, portal).record(&object_type, id)?
    )))
}

async fn patch(
    State(shared): Sim,
    Path((portal, object_type, id)): Path<(u64, String, u64)>,
    Json(body): Json<Write>,
) -> Answer {
    let account = handle(&shared, portal).by(body.source);
    account.patch_from(of(&object_type)?, id, &values(body.properties))?;
    done()
}

async fn delete(
    State(shared): Sim,
    Path((portal, object_type, id)): Path<(u64, String, u64)>,
) -> Answer {
    handle(&shared, portal).delete(&object_type, id)?;
    done()
}

#[derive(Deserialize)]
struct Merge {
    primary: u64,
    loser: u64,
}

async fn merge(
    State(shared): Sim,
    Path((portal, object_type)): Path<(u64, String)>,
    Json(body): Json<Merge>,
) -> Answer {
    let id = handle(&shared, portal).merge(&object_type, body.primary, body.loser)?;
    Ok(Json(json!({"id": id})))
}

/// Restoring, erasing and touching a record; recalculating its computed properties.
async fn act(
    State(shared): Sim,
    Path((portal, object_type, id, action)): Path<(u64, String, u64, String)>,
    body: Option<Json<Write>>,
) -> Answer {
    let account = handle(&shared, portal);
    match action.as_str() {
        "recalculate" => {
            let given = body.map(|Json(write)| values(write.properties));
            for (name, value) in given.unwrap_or_default() {
                account.recalculate(&object_type, id, &name, &value)?;
            }
        }
        "restore" => account.restore(&object_type, id)?,
        "erase" => account.erase(&object_type, id)?,
        "touch" => account.touch(&object_type, id)?,
        _ => {
            return Err(Failure(
                StatusCode::NOT_FOUND,
                format!("no action {action}"),
            ));
        }
    }
    done()
}
