//! Associations over HTTP, version 4 and dated (HubSpot: associations guide).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, OriginalUri, Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, complete, listed, nothing, with_next};
use crate::association_batch;
use crate::crm::{Account, ObjectType};
use crate::fault::Fault;
use crate::links::{Key, LinkType, Links};
use crate::request::{Caller, Input, Params, Sim, object_type, record_id};
use crate::state::Shared;
use crate::written::WrittenTypes;

/// Most associations in a page of one record.
const PAGE_MAX: usize = 500;

/// Routes of one record's associations, below `/crm/objects/{version}` and `/crm/v4/objects`.
pub(crate) fn of_records() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}/{id}/associations/{to}", get(list))
        .route(
            "/{object_type}/{id}/associations/{to}/{to_id}",
            put(label).delete(end),
        )
        .route(
            "/{object_type}/{id}/associations/default/{to}/{to_id}",
            put(plain),
        )
}

/// Routes below `/crm/associations/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{from}/{to}/labels", get(labels))
        .merge(association_batch::routes())
}

#[derive(Deserialize)]
struct OnePath {
    object_type: String,
    id: String,
    to: String,
}

#[derive(Deserialize)]
struct PairPath {
    object_type: String,
    id: String,
    to: String,
    to_id: String,
}

impl PairPath {
    fn keys(&self) -> Result<(Key, Key), Fault> {
        Ok((
            (object_type(&self.object_type)?, record_id(&self.id)?),
            (object_type(&self.to)?, record_id(&self.to_id)?),
        ))
    }
}

#[derive(Deserialize)]
pub(crate) struct TypesPath {
    pub from: String,
    pub to: String,
}

impl TypesPath {
    pub(crate) fn types(&self) -> Result<(ObjectType, ObjectType), Fault> {
        Ok((object_type(&self.from)?, object_type(&self.to)?))
    }
}

fn type_json(link: LinkType, label: Option<&str>) -> Value {
    json!({
        "category": link.category.name(),
        "typeId": link.type_id,
        "label": label,
    })
}

/// A page of what a record is linked with, and where the next begins. Legacy answers write the
/// other record's id as a number, dated ones as text.
pub(crate) fn page(
    account: &Account,
    from: Key,
    to: ObjectType,
    after: u64,
    limit: usize,
    dated: bool,
) -> (Vec<Value>, Option<u64>) {
    let mut linked = account
        .links
        .of(from, to, after)
        .filter(|(id, _)| account.is_live((to, *id)));
    let results = linked
        .by_ref()
        .take(limit)
        .map(|(id, types)| {
            let id = if dated {
                json!(id.to_string())
            } else {
                json!(id)
            };
            let types: Vec<Value> = types
                .iter()
                .map(|link| type_json(*link, account.links.label(from.0, to, *link).flatten()))
                .collect();
            json!({"toObjectId": id, "associationTypes": types})
        })
        .collect();
    (results, linked.next().map(|(id, _)| id))
}

pub(crate) fn is_dated(uri: &OriginalUri) -> bool {
    uri.path().split('/').any(crate::gate::is_dated)
}

async fn list(
    State(shared): Sim,
    caller: Caller,
    uri: OriginalUri,
    Path(path): Path<OnePath>,
    params: Params,
) -> Answer {
    let (from, to) = (caller.reads(&path.object_type)?, caller.reads(&path.to)?);
    let limit = params.limit(PAGE_MAX, PAGE_MAX)?;
    let after = params.after()?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let id = account.require(from, record_id(&path.id)?)?;
    let (results, next) = page(account, (from, id), to, after, limit, is_dated(&uri));
    Ok(Json(with_next(json!({"results": results}), next)).into_response())
}

async fn label(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<PairPath>,
    input: Input<WrittenTypes>,
) -> Answer {
    let (from, to) = path.keys()?;
    let types = input.body.0;
    associate(&shared, &caller, from, to, &types)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let labels: Vec<&str> = types
        .iter()
        .filter_map(|link| account.links.label(from.0, to.0, *link).flatten())
        .collect();
    let body = json!({
        "fromObjectTypeId": from.0.type_id(),
        "fromObjectId": from.1,
        "toObjectTypeId": to.0.type_id(),
        "toObjectId": to.1,
        "labels": labels,
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn plain(State(shared): Sim, caller: Caller, Path(path): Path<PairPath>) -> Answer {
    let (from, to) = path.keys()?;
    associate(&shared, &caller, from, to, &[])?;
    let results = plain_results(from, to);
    Ok(complete(results, Vec::new(), shared.clock.now_ms()))
}

/// What making an unlabelled association answers: both its sides.
pub(crate) fn plain_results(from: Key, to: Key) -> Vec<Value> {
    [(from, to), (to, from)]
        .into_iter()
        .map(|(from, to)| {
            let link = Links::unlabelled(from.0, to.0);
            json!({
                "from": {"id": from.1.to_string()},
                "to": {"id": to.1.to_string()},
                "associationSpec": {
                    "associationCategory": link.category.name(),
                    "associationTypeId": link.type_id,
                },
            })
        })
        .collect()
}

pub(crate) fn associate(
    shared: &Shared,
    caller: &Caller,
    from: Key,
    to: Key,
    types: &[LinkType],
) -> Result<(), Fault> {
    caller.need_write(from.0)?;
    caller.need_write(to.0)?;
    caller.apply(shared, |account, stamp| {
        account.associate(from, to, types, stamp)
    })
}

async fn end(State(shared): Sim, caller: Caller, Path(path): Path<PairPath>) -> Answer {
    let (from, to) = path.keys()?;
    dissociate(&shared, &caller, from, to)?;
    nothing()
}

pub(crate) fn dissociate(
    shared: &Shared,
    caller: &Caller,
    from: Key,
    to: Key,
) -> Result<(), Fault> {
    caller.need_write(from.0)?;
    caller.need_write(to.0)?;
    caller.apply(shared, |account, stamp| {
        account.dissociate(from, to, None, stamp)
    })
}

async fn labels(State(shared): Sim, caller: Caller, Path(path): Path<TypesPath>) -> Answer {
    let from = caller.reads(&path.from)?;
    let to = object_type(&path.to)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let results: Vec<Value> = account
        .links
        .types(from, to)
        .into_iter()
        .map(|(link, label)| type_json(link, label))
        .collect();
    listed(results)
}
