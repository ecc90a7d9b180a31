//! Associations over HTTP, version 4 and dated (HubSpot: associations guide).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, OriginalUri, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::batch;
use crate::crm::{Account, ObjectType};
use crate::fault::Fault;
use crate::links::{Key, LinkType};
use crate::objects::{WrittenType, written_id};
use crate::record::Source;
use crate::request::{Caller, Input, Params, object_type, record_id};
use crate::state::Shared;

/// Most associations in a page of one record.
const PAGE_MAX: usize = 500;
/// Most records in a batch (HubSpot: since February 2025).
const INPUTS_MAX: usize = 1_000;

type Answer = Result<Response, Fault>;

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
        .route("/{from}/{to}/batch/read", post(read_batch))
        .route("/{from}/{to}/batch/create", post(create_batch))
        .route("/{from}/{to}/batch/archive", post(archive_batch))
        .route("/{from}/{to}/batch/associate/default", post(plain_batch))
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
struct TypesPath {
    from: String,
    to: String,
}

impl TypesPath {
    fn types(&self) -> Result<(ObjectType, ObjectType), Fault> {
        Ok((object_type(&self.from)?, object_type(&self.to)?))
    }
}

fn types_json(account: &Account, from: ObjectType, to: ObjectType, types: &[LinkType]) -> Value {
    types
        .iter()
        .map(|link| {
            json!({
                "category": link.category.name(),
                "typeId": link.type_id,
                "label": account.links.label(from, to, *link).flatten(),
            })
        })
        .collect()
}

/// A page of what a record is linked with, and where the next begins. Legacy answers write the
/// other record's id as a number, dated ones as text.
fn page(
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
            json!({
                "toObjectId": id,
                "associationTypes": types_json(account, from.0, to, types),
            })
        })
        .collect();
    (results, linked.next().map(|(id, _)| id))
}

fn is_dated(uri: &OriginalUri) -> bool {
    uri.path().split('/').any(crate::server::is_dated)
}

async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: OriginalUri,
    Path(path): Path<OnePath>,
    params: Params,
) -> Answer {
    let from = object_type(&path.object_type)?;
    let to = object_type(&path.to)?;
    caller.need_read(from)?;
    caller.need_read(to)?;
    let limit = params.limit(PAGE_MAX, PAGE_MAX)?;
    let after = params.after()?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let id = account.require(from, record_id(&path.id)?)?;
    let (results, next) = page(account, (from, id), to, after, limit, is_dated(&uri));
    let mut body = json!({"results": results});
    if let Some(next) = next {
        body["paging"] = json!({"next": {"after": next.to_string()}});
    }
    Ok(Json(body).into_response())
}

async fn label(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<PairPath>,
    input: Input<Vec<WrittenType>>,
) -> Answer {
    let (from, to) = path.keys()?;
    let types: Vec<LinkType> = input.body.iter().map(WrittenType::link).collect();
    associate(&shared, &caller, from, to, &types)?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
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

async fn plain(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<PairPath>,
) -> Answer {
    let (from, to) = path.keys()?;
    associate(&shared, &caller, from, to, &[])?;
    let results = plain_results(from, to);
    Ok(batch::complete(results, Vec::new(), shared.clock.now_ms()))
}

/// What making an unlabelled association answers: both its sides.
fn plain_results(from: Key, to: Key) -> Vec<Value> {
    [(from, to), (to, from)]
        .into_iter()
        .map(|(from, to)| {
            let link = crate::links::Links::unlabelled(from.0, to.0);
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

fn associate(
    shared: &Shared,
    caller: &Caller,
    from: Key,
    to: Key,
    types: &[LinkType],
) -> Result<(), Fault> {
    caller.need_write(from.0)?;
    caller.need_write(to.0)?;
    shared.change(caller.portal, Source::Integration, |account, _, stamp| {
        Ok(((), account.associate(from, to, types, stamp)?))
    })?;
    Ok(())
}

async fn end(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<PairPath>,
) -> Answer {
    let (from, to) = path.keys()?;
    dissociate(&shared, &caller, from, to)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn dissociate(shared: &Shared, caller: &Caller, from: Key, to: Key) -> Result<(), Fault> {
    caller.need_write(from.0)?;
    caller.need_write(to.0)?;
    shared.change(caller.portal, Source::Integration, |account, _, stamp| {
        Ok(((), account.dissociate(from, to, None, stamp)?))
    })?;
    Ok(())
}

async fn labels(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypesPath>,
) -> Answer {
    let (from, to) = path.types()?;
    caller.need_read(from)?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let results: Vec<Value> = account
        .links
        .types(from, to)
        .into_iter()
        .map(|(link, label)| {
            json!({
                "category": link.category.name(),
                "typeId": link.type_id,
                "label": label,
            })
        })
        .collect();
    Ok(Json(json!({"results": results})).into_response())
}

#[derive(Deserialize)]
struct Batch<T> {
    inputs: Vec<T>,
}

#[derive(Deserialize)]
struct ReadInput {
    id: Value,
    after: Option<String>,
}

async fn read_batch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    uri: OriginalUri,
    Path(path): Path<TypesPath>,
    input: Input<Batch<ReadInput>>,
) -> Answer {
    let (from, to) = path.types()?;
    caller.need_read(from)?;
    caller.need_read(to)?;
    let inputs = input.body.inputs;
    if inputs.len() > INPUTS_MAX {
        return Err(Fault::invalid(format!(
            "The maximum number of inputs supported in a batch request is {INPUTS_MAX}"
        )));
    }
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let cut = state.api.associations_page;
    let (account, _) = state.world.account(caller.portal)?;
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for wanted in &inputs {
        let text = written_id(&wanted.id);
        let found = text
            .parse()
            .ok()
            .and_then(|id| account.require(from, id).ok());
        let after = wanted.after.as_deref().and_then(|after| after.parse().ok());
        let (linked, next) = found.map_or_else(
            || (Vec::new(), None),
            |id| {
                page(
                    account,
                    (from, id),
                    to,
                    after.unwrap_or(0),
                    cut,
                    is_dated(&uri),
                )
            },
        );
        if linked.is_empty() {
            errors.push(json!({
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                "message": format!("No {} is associated with {} {text}.", to.singular(), from.singular()),
                "context": {
                    "fromObjectId": [text],
                    "fromObjectType": [from.singular()],
                    "toObjectType": [to.singular()],
                },
            }));
            continue;
        }
        // The answer names the record as it was asked for.
        let mut result = json!({"from": {"id": text}, "to": linked});
        if let Some(next) = next {
            result["paging"] = json!({"next": {"after": next.to_string()}});
        }
        results.push(result);
    }
    Ok(batch::complete(results, errors, now))
}

#[derive(Deserialize)]
struct End {
    id: Value,
}

impl End {
    fn key(&self, of: ObjectType) -> Result<Key, Fault> {
        Ok((of, record_id(&written_id(&self.id))?))
    }
}

#[derive(Deserialize)]
struct Pair {
    from: End,
    to: End,
    #[serde(default)]
    types: Vec<WrittenType>,
}

async fn create_batch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypesPath>,
    input: Input<Batch<Pair>>,
) -> Answer {
    let (from, to) = path.types()?;
    let mut results = Vec::new();
    for pair in &input.body.inputs {
        let (from, to) = (pair.from.key(from)?, pair.to.key(to)?);
        let types: Vec<LinkType> = pair.types.iter().map(WrittenType::link).collect();
        associate(&shared, &caller, from, to, &types)?;
        results.push(json!({
            "fromObjectTypeId": from.0.type_id(),
            "fromObjectId": from.1.to_string(),
            "toObjectTypeId": to.0.type_id(),
            "toObjectId": to.1.to_string(),
            "labels": [],
        }));
    }
    let mut response = batch::complete(results, Vec::new(), shared.clock.now_ms());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn plain_batch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypesPath>,
    input: Input<Batch<Pair>>,
) -> Answer {
    let (from, to) = path.types()?;
    let mut results = Vec::new();
    for pair in &input.body.inputs {
        let (from, to) = (pair.from.key(from)?, pair.to.key(to)?);
        associate(&shared, &caller, from, to, &[])?;
        results.extend(plain_results(from, to));
    }
    Ok(batch::complete(results, Vec::new(), shared.clock.now_ms()))
}

#[derive(Deserialize)]
struct Ended {
    from: End,
    to: Vec<End>,
}

async fn archive_batch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypesPath>,
    input: Input<Batch<Ended>>,
) -> Answer {
    let (from, to) = path.types()?;
    for ended in &input.body.inputs {
        for other in &ended.to {
            dissociate(&shared, &caller, ended.from.key(from)?, other.key(to)?)?;
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
