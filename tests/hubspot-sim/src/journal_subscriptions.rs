//! Subscriptions to the webhooks journal over HTTP, with the app's own token (HubSpot: webhooks
//! journal guide).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, listed, nothing};
use crate::crm::ObjectType;
use crate::fault::Fault;
use crate::faults::{Route, Trouble};
use crate::journal::{INSTALLED, JournalSubscription, UNINSTALLED, Wanted};
use crate::journal_http::check;
use crate::request::{AppCaller, Input, Sim};
use crate::state::{Shared, State as World};
use crate::values::iso;

const READ: &str = "developer.webhooks_journal.subscriptions.read";
const WRITE: &str = "developer.webhooks_journal.subscriptions.write";

/// Routes below `/webhooks-journal/subscriptions/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(list).post(subscribe))
        .route("/{id}", get(read).delete(remove))
        .route("/portals/{portal}", delete(remove_portal))
}

/// A subscription, as HubSpot tells it.
pub(crate) fn subscription_json(held: &JournalSubscription, app: u64) -> Value {
    let wanted = &held.wanted;
    json!({
        "id": held.id,
        "appId": app,
        "subscriptionType": wanted.subscription_type,
        "objectTypeId": wanted.object_type_id,
        "portalId": wanted.portal_id,
        "actions": wanted.actions,
        "properties": wanted.properties,
        "objectIds": wanted.object_ids,
        "associatedObjectTypeIds": wanted.associated_object_type_ids,
        "createdBy": crate::grants::USER_ID,
        "createdAt": iso(held.created_at),
        "updatedAt": iso(held.updated_at),
        "deletedAt": null,
    })
}

async fn list(State(shared): Sim, caller: AppCaller) -> Answer {
    let state = shared.lock();
    check(&state, &caller, READ)?;
    let results: Vec<Value> = state
        .journal
        .subscriptions
        .values()
        .map(|held| subscription_json(held, state.app.id))
        .collect();
    listed(results)
}

async fn subscribe(State(shared): Sim, caller: AppCaller, input: Input<Wanted>) -> Answer {
    let wanted = input.body;
    if let Some(portal) = wanted.portal_id {
        held(&shared, portal).await;
    }
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    check(&state, &caller, WRITE)?;
    match wanted.subscription_type.as_str() {
        "APP_LIFECYCLE_EVENT" => {
            if !matches!(wanted.object_type_id.as_str(), INSTALLED | UNINSTALLED) {
                return Err(Fault::invalid("Invalid event type provided"));
            }
        }
        "OBJECT" | "ASSOCIATION" | "GDPR_PRIVACY_DELETION" => check_account(&state, &wanted)?,
        _ => return Err(Fault::invalid("Invalid subscription type provided")),
    }
    let app = state.app.id;
    let made = state.journal.subscribe(wanted, now);
    Ok(Json(subscription_json(&made, app)).into_response())
}

/// Waits where calls about an account are held, until they are not.
async fn held(shared: &Shared, portal: u64) {
    let (struck, mut cleared) = {
        let mut state = shared.lock();
        let faults = &mut state.faults;
        let struck = faults.strike_about(Route::Journal, portal);
        (struck, faults.cleared())
    };
    if struck == Some(Trouble::Held) {
        // It fails only when the simulator is gone.
        let _ = cleared.changed().await;
    }
}

/// An account's events are had only with the app installed and the scope to read the records.
fn check_account(state: &World, wanted: &Wanted) -> Result<(), Fault> {
    let of = ObjectType::parse(&wanted.object_type_id)
        .ok_or_else(|| Fault::invalid("Invalid objectTypeId provided"))?;
    let portal = wanted
        .portal_id
        .ok_or_else(|| Fault::invalid("portalId is required"))?;
    if wanted.actions.is_empty() {
        return Err(Fault::invalid("actions are required"));
    }
    let scope = format!("crm.objects.{}.read", of.name());
    let granted = state
        .grants
        .grant(portal)
        .is_some_and(|grant| !grant.revoked && grant.scopes.contains(&scope));
    if granted {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::FORBIDDEN,
        "MISSING_SCOPES",
        format!("The app has no access to {} of account {portal}", of.name()),
    )
    .with("context", json!({"requiredGranularScopes": [scope]})))
}

#[derive(Deserialize)]
struct IdPath {
    id: u64,
}

async fn read(State(shared): Sim, caller: AppCaller, Path(path): Path<IdPath>) -> Answer {
    let state = shared.lock();
    check(&state, &caller, READ)?;
    let held = state.journal.subscriptions.get(&path.id);
    let held = held.ok_or_else(Fault::not_found)?;
    Ok(Json(subscription_json(held, state.app.id)).into_response())
}

async fn remove(State(shared): Sim, caller: AppCaller, Path(path): Path<IdPath>) -> Answer {
    let mut state = shared.lock();
    check(&state, &caller, WRITE)?;
    let held = state.journal.subscriptions.remove(&path.id);
    held.ok_or_else(Fault::not_found)?;
    nothing()
}

#[derive(Deserialize)]
struct PortalPath {
    portal: u64,
}

async fn remove_portal(
    State(shared): Sim,
    caller: AppCaller,
    Path(path): Path<PortalPath>,
) -> Answer {
    let mut state = shared.lock();
    check(&state, &caller, WRITE)?;
    let held = &mut state.journal.subscriptions;
    held.retain(|_, subscription| subscription.wanted.portal_id != Some(path.portal));
    nothing()
}
