//! Associations in batches: read, create, create unlabelled, archive.

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, complete, nothing, with_next};
use crate::associations::{TypesPath, associate, dissociate, is_dated, page, plain_results};
use crate::batch::{Inputs, check_count};
use crate::crm::ObjectType;
use crate::fault::Fault;
use crate::links::Key;
use crate::request::{Caller, Input, Sim};
use crate::state::Shared;
use crate::written::{WrittenId, WrittenTypes};

/// Most records in a batch (HubSpot: since February 2025).
const INPUTS_MAX: usize = 1_000;

/// Routes below `/crm/associations/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{from}/{to}/batch/read", post(read))
        .route("/{from}/{to}/batch/create", post(create))
        .route("/{from}/{to}/batch/archive", post(archive))
        .route("/{from}/{to}/batch/associate/default", post(plain))
}

#[derive(Deserialize)]
struct Read {
    id: WrittenId,
    after: Option<String>,
}

async fn read(
    State(shared): Sim,
    caller: Caller,
    uri: OriginalUri,
    Path(path): Path<TypesPath>,
    input: Input<Inputs<Read>>,
) -> Answer {
    let (from, to) = (caller.reads(&path.from)?, caller.reads(&path.to)?);
    let inputs = input.body.inputs;
    check_count(inputs.len(), INPUTS_MAX)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let cut = state.api.associations_page;
    let account = state.world.account(caller.portal)?;
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for wanted in &inputs {
        let text = wanted.id.text();
        let found = text
            .parse()
            .ok()
            .and_then(|id| account.require(from, id).ok());
        let after = wanted.after.as_deref().and_then(|after| after.parse().ok());
        let (linked, next) = found.map_or_else(
            || (Vec::new(), None),
            |id| {
                let after = after.unwrap_or(0);
                page(account, (from, id), to, after, cut, is_dated(&uri))
            },
        );
        if linked.is_empty() {
            errors.push(none_found(from, to, &text));
        } else {
            // The answer names the record as it was asked for.
            let result = json!({"from": {"id": text}, "to": linked});
            results.push(with_next(result, next));
        }
    }
    Ok(complete(results, errors, now))
}

fn none_found(from: ObjectType, to: ObjectType, id: &str) -> Value {
    let (from, to) = (from.singular(), to.singular());
    json!({
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": format!("No {to} is associated with {from} {id}."),
        "context": {
            "fromObjectId": [id],
            "fromObjectType": [from],
            "toObjectType": [to],
        },
    })
}

#[derive(Deserialize)]
struct End {
    id: WrittenId,
}

impl End {
    fn key(&self, of: ObjectType) -> Result<Key, Fault> {
        Ok((of, self.id.record()?))
    }
}

#[derive(Deserialize)]
struct Pair {
    from: End,
    to: End,
    #[serde(default)]
    types: WrittenTypes,
}

async fn create(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypesPath>,
    input: Input<Inputs<Pair>>,
) -> Answer {
    let (from, to) = path.types()?;
    let mut results = Vec::new();
    for pair in &input.body.inputs {
        let (from, to) = (pair.from.key(from)?, pair.to.key(to)?);
        associate(&shared, &caller, from, to, &pair.types.0)?;
        results.push(json!({
            "fromObjectTypeId": from.0.type_id(),
            "fromObjectId": from.1.to_string(),
            "toObjectTypeId": to.0.type_id(),
            "toObjectId": to.1.to_string(),
            "labels": [],
        }));
    }
    let mut response = complete(results, Vec::new(), shared.clock.now_ms());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn plain(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypesPath>,
    input: Input<Inputs<Pair>>,
) -> Answer {
    let (from, to) = path.types()?;
    let mut results = Vec::new();
    for pair in &input.body.inputs {
        let (from, to) = (pair.from.key(from)?, pair.to.key(to)?);
        associate(&shared, &caller, from, to, &[])?;
        results.extend(plain_results(from, to));
    }
    Ok(complete(results, Vec::new(), shared.clock.now_ms()))
}

#[derive(Deserialize)]
struct Ended {
    from: End,
    to: Vec<End>,
}

async fn archive(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypesPath>,
    input: Input<Inputs<Ended>>,
) -> Answer {
    let (from, to) = path.types()?;
    for ended in &input.body.inputs {
        for other in &ended.to {
            dissociate(&shared, &caller, ended.from.key(from)?, other.key(to)?)?;
        }
    }
    nothing()
}
