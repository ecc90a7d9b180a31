//! What an account is: its details, its pipelines, and uninstalling the app from it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::response::IntoResponse;
use axum::routing::{delete, get};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, listed, nothing};
use crate::crm::ObjectType;
use crate::defaults::STAGES;
use crate::fault::Fault;
use crate::request::{Caller, Sim, TypePath};
use crate::state::Shared;

/// Routes below `/account-info/{version}`.
pub(crate) fn details() -> Router<Arc<Shared>> {
    Router::new().route("/details", get(read_details))
}

/// Routes below `/appinstalls/{version}`.
pub(crate) fn installs() -> Router<Arc<Shared>> {
    Router::new().route("/external-install", delete(uninstall))
}

/// Routes below `/crm/pipelines/{version}`.
pub(crate) fn pipelines() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}", get(list_pipelines))
        .route("/{object_type}/{pipeline}", get(read_pipeline))
}

async fn read_details(State(shared): Sim, caller: Caller) -> Answer {
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let spec = &account.spec;
    let zone = TimeZone::get(&spec.time_zone).unwrap_or(TimeZone::UTC);
    let offset_s =
        Timestamp::from_millisecond(now).map_or(0, |at| i64::from(zone.to_offset(at).seconds()));
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.abs() / 60;
    let ui_domain = match spec.hosting.as_str() {
        "na1" => "app.hubspot.com".to_owned(),
        region => format!("app-{region}.hubspot.com"),
    };
    Ok(Json(json!({
        "portalId": spec.portal,
        "accountType": spec.account_type,
        "timeZone": spec.time_zone,
        "companyCurrency": spec.currency,
        "additionalCurrencies": [],
        "utcOffset": format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        "utcOffsetMilliseconds": offset_s * 1_000,
        "uiDomain": ui_domain,
        "dataHostingLocation": spec.hosting,
    }))
    .into_response())
}

async fn uninstall(State(shared): Sim, caller: Caller) -> Answer {
    shared.uninstall(caller.portal);
    nothing()
}

/// The one pipeline of an object type; only deals have one here.
fn sales() -> Value {
    let stages: Vec<Value> = STAGES
        .iter()
        .enumerate()
        .map(|(at, (id, label, closed, probability))| {
            json!({
                "id": id,
                "label": label,
                "displayOrder": at,
                "archived": false,
                "metadata": {
                    "isClosed": closed.to_string(),
                    "probability": probability,
                },
                "createdAt": "1970-01-01T00:00:00Z",
                "updatedAt": "1970-01-01T00:00:00Z",
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            })
        })
        .collect();
    json!({
        "id": "default",
        "label": "Sales Pipeline",
        "displayOrder": 0,
        "archived": false,
        "stages": stages,
        "createdAt": "1970-01-01T00:00:00Z",
        "updatedAt": "1970-01-01T00:00:00Z",
    })
}

async fn list_pipelines(caller: Caller, Path(path): Path<TypePath>) -> Answer {
    let of = caller.reads(&path.object_type)?;
    let results = if of == ObjectType::Deals {
        vec![sales()]
    } else {
        Vec::new()
    };
    listed(results)
}

#[derive(Deserialize)]
struct PipelinePath {
    object_type: String,
    pipeline: String,
}

async fn read_pipeline(caller: Caller, Path(path): Path<PipelinePath>) -> Answer {
    let of = caller.reads(&path.object_type)?;
    if of == ObjectType::Deals && path.pipeline == "default" {
        return Ok(Json(sales()).into_response());
    }
    Err(Fault::not_found())
}
