//! The webhooks journal over HTTP, with the app's own token (HubSpot: webhooks journal guide).
//!
//! An entry is a pointer to a file, at an address that needs no token and soon ends.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::batch;
use crate::crm::ObjectType;
use crate::fault::Fault;
use crate::journal::{File, INSTALLED, JournalSubscription, UNINSTALLED, Wanted};
use crate::request::{AppCaller, Input, Params};
use crate::sign;
use crate::state::{Shared, State as World};
use crate::values::iso;

/// How long a file's address holds.
const ADDRESS_LIFE_MS: i64 = 15 * 60_000;
/// Most entries of a batch.
const BATCH_MAX: usize = 100;

const READ: &str = "developer.webhooks_journal.read";
const SUBSCRIPTIONS_READ: &str = "developer.webhooks_journal.subscriptions.read";
const SUBSCRIPTIONS_WRITE: &str = "developer.webhooks_journal.subscriptions.write";

type Answer = Result<Response, Fault>;

/// Routes below `/webhooks-journal`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let journal = Router::new()
        .route("/earliest", get(earliest))
        .route("/latest", get(latest))
        .route("/offset/{offset}/next", get(next))
        .route("/batch/earliest/{count}", get(earliest_batch))
        .route("/batch/latest/{count}", get(latest_batch))
        .route("/batch/{offset}/next/{count}", get(next_batch));
    Router::new()
        .route("/subscriptions/{version}", get(list).post(subscribe))
        .route("/subscriptions/{version}/{id}", get(read).delete(remove))
        .route(
            "/subscriptions/{version}/portals/{portal}",
            delete(remove_portal),
        )
        .nest("/journal/{version}", journal.clone())
        .nest("/journal-local/{version}", journal)
        .route("/files/{offset}", get(file))
}

fn subscription_json(held: &JournalSubscription, app: u64) -> Value {
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

fn check(state: &World, caller: &AppCaller, scope: &str) -> Result<(), Fault> {
    if state.api.journal_refused {
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            "MISSING_SCOPES",
            "This app may not use the webhooks journal.",
        ));
    }
    caller.need(scope)
}

async fn list(State(shared): State<Arc<Shared>>, caller: AppCaller) -> Answer {
    let state = shared.lock();
    check(&state, &caller, SUBSCRIPTIONS_READ)?;
    let results: Vec<Value> = state
        .journal
        .subscriptions
        .values()
        .map(|held| subscription_json(held, state.app.id))
        .collect();
    Ok(Json(json!({"results": results})).into_response())
}

async fn subscribe(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    input: Input<Wanted>,
) -> Answer {
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    check(&state, &caller, SUBSCRIPTIONS_WRITE)?;
    let wanted = input.body;
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

async fn read(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    Path(path): Path<IdPath>,
) -> Answer {
    let state = shared.lock();
    check(&state, &caller, SUBSCRIPTIONS_READ)?;
    let held = state.journal.subscriptions.get(&path.id);
    let held = held.ok_or_else(Fault::not_found)?;
    Ok(Json(subscription_json(held, state.app.id)).into_response())
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    Path(path): Path<IdPath>,
) -> Answer {
    let mut state = shared.lock();
    check(&state, &caller, SUBSCRIPTIONS_WRITE)?;
    let held = state.journal.subscriptions.remove(&path.id);
    held.ok_or_else(Fault::not_found)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct PortalPath {
    portal: u64,
}

async fn remove_portal(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    Path(path): Path<PortalPath>,
) -> Answer {
    let mut state = shared.lock();
    check(&state, &caller, SUBSCRIPTIONS_WRITE)?;
    let held = &mut state.journal.subscriptions;
    held.retain(|_, subscription| subscription.wanted.portal_id != Some(path.portal));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a read of the journal needs to know.
struct Reader {
    host: String,
    portal: Option<u64>,
    secret: String,
    now: i64,
}

impl Reader {
    fn new(shared: &Shared, state: &World, headers: &HeaderMap, params: &Params) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("127.0.0.1");
        Self {
            host: host.to_owned(),
            portal: params.get("installPortalId").and_then(|id| id.parse().ok()),
            secret: state.app.client_secret.clone(),
            now: shared.clock.now_ms(),
        }
    }

    /// A pointer to a file.
    fn entry(&self, file: &File) -> Value {
        let expires = self.now + ADDRESS_LIFE_MS;
        let portal = self.portal.map(|id| id.to_string()).unwrap_or_default();
        let seal = seal(&self.secret, &file.offset, expires, &portal);
        json!({
            "url": format!(
                "http://{}/webhooks-journal/files/{}?expires={expires}&portal={portal}&seal={seal}",
                self.host, file.offset
            ),
            "expiresAt": iso(expires),
            "currentOffset": file.offset,
        })
    }

    fn one(&self, file: Option<&&File>) -> Response {
        match file {
            Some(file) => Json(self.entry(file)).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

fn seal(secret: &str, offset: &str, expires: i64, portal: &str) -> String {
    sign::v1(secret, format!("{offset} {expires} {portal}").as_bytes())
}

/// Runs a read of the journal over the files after an offset.
fn over<T>(
    shared: &Shared,
    caller: &AppCaller,
    headers: &HeaderMap,
    params: &Params,
    offset: Option<&str>,
    answer: impl FnOnce(&Reader, &[&File]) -> T,
) -> Result<T, Fault> {
    let mut state = shared.lock();
    check(&state, caller, READ)?;
    let reader = Reader::new(shared, &state, headers, params);
    state.journal.publish(reader.now);
    let files = state.journal.after(offset, reader.portal);
    let files = files.ok_or_else(Fault::not_found)?;
    Ok(answer(&reader, &files))
}

async fn earliest(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    over(
        &shared,
        &caller,
        &headers,
        &params,
        None,
        |reader, files| reader.one(files.first()),
    )
}

async fn latest(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    headers: HeaderMap,
    params: Params,
) -> Answer {
    over(
        &shared,
        &caller,
        &headers,
        &params,
        None,
        |reader, files| reader.one(files.last()),
    )
}

#[derive(Deserialize)]
struct OffsetPath {
    offset: String,
}

async fn next(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    headers: HeaderMap,
    Path(path): Path<OffsetPath>,
    params: Params,
) -> Answer {
    let offset = Some(path.offset.as_str());
    over(
        &shared,
        &caller,
        &headers,
        &params,
        offset,
        |reader, files| reader.one(files.first()),
    )
}

#[derive(Deserialize)]
struct CountPath {
    offset: Option<String>,
    count: usize,
}

fn several(reader: &Reader, files: &[&File]) -> Response {
    let results = files.iter().map(|file| reader.entry(file)).collect();
    batch::complete(results, Vec::new(), reader.now)
}

fn count(path: &CountPath) -> Result<usize, Fault> {
    if (1..=BATCH_MAX).contains(&path.count) {
        Ok(path.count)
    } else {
        Err(Fault::invalid(format!(
            "count must be from 1 to {BATCH_MAX}"
        )))
    }
}

async fn earliest_batch(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    headers: HeaderMap,
    Path(path): Path<CountPath>,
    params: Params,
) -> Answer {
    let count = count(&path)?;
    over(
        &shared,
        &caller,
        &headers,
        &params,
        None,
        |reader, files| several(reader, &files[..files.len().min(count)]),
    )
}

async fn latest_batch(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    headers: HeaderMap,
    Path(path): Path<CountPath>,
    params: Params,
) -> Answer {
    let count = count(&path)?;
    over(
        &shared,
        &caller,
        &headers,
        &params,
        None,
        |reader, files| several(reader, &files[files.len().saturating_sub(count)..]),
    )
}

async fn next_batch(
    State(shared): State<Arc<Shared>>,
    caller: AppCaller,
    headers: HeaderMap,
    Path(path): Path<CountPath>,
    params: Params,
) -> Answer {
    let count = count(&path)?;
    let offset = path.offset.as_deref();
    over(
        &shared,
        &caller,
        &headers,
        &params,
        offset,
        |reader, files| several(reader, &files[..files.len().min(count)]),
    )
}

/// The file itself: a store of another kind, which takes the sealed address and no token.
async fn file(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(path): Path<OffsetPath>,
    params: Params,
) -> Answer {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(Fault::raw(
            StatusCode::BAD_REQUEST,
            json!({"message": "Only one auth mechanism allowed"}),
        ));
    }
    let state = shared.lock();
    let portal = params.get("portal").unwrap_or_default();
    let expires: i64 = params
        .get("expires")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let sealed = seal(&state.app.client_secret, &path.offset, expires, portal);
    if params.get("seal") != Some(sealed.as_str()) || expires <= shared.clock.now_ms() {
        return Err(Fault::raw(
            StatusCode::FORBIDDEN,
            json!({"message": "Request has expired"}),
        ));
    }
    let file = state.journal.file(&path.offset);
    let file = file.ok_or_else(Fault::not_found)?;
    let only: Option<u64> = portal.parse().ok();
    let events: Vec<&Value> = file
        .events
        .iter()
        .filter(|(portal, _)| only.is_none_or(|only| only == *portal))
        .map(|(_, event)| event)
        .collect();
    Ok(Json(json!({
        "offset": file.offset,
        "journalEvents": events,
        "publishedAt": iso(file.published_at),
    }))
    .into_response())
}
