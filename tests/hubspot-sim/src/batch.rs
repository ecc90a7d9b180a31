//! Records in batches: read, create, update, archive.
//!
//! HubSpot: using object APIs. At most 100 inputs, 50 with history; what is missing is an error of
//! its own in an answer of status 207.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, complete, nothing};
use crate::crm::{Error, ObjectType};
use crate::fault::Fault;
use crate::objects::{Sight, as_written, identify};
use crate::render::{Shape, record_json};
use crate::request::{Caller, Input, Params, Sim, TypePath};
use crate::state::Shared;
use crate::written::{self, WrittenId};

const INPUTS_MAX: usize = 100;
const INPUTS_WITH_HISTORY_MAX: usize = 50;

/// Routes below `/crm/objects/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}/batch/read", post(read))
        .route("/{object_type}/batch/create", post(create))
        .route("/{object_type}/batch/update", post(update))
        .route("/{object_type}/batch/archive", post(archive))
}

/// The body of a batch that has no more to say.
#[derive(Deserialize)]
pub(crate) struct Inputs<T> {
    pub inputs: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    properties_with_history: Vec<String>,
    id_property: Option<String>,
    inputs: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: WrittenId,
}

#[derive(Deserialize)]
struct Written {
    id: Option<WrittenId>,
    #[serde(default, deserialize_with = "written::values")]
    properties: BTreeMap<String, String>,
}

pub(crate) fn check_count(count: usize, max: usize) -> Result<(), Fault> {
    if count > max {
        return Err(Fault::invalid(format!(
            "The maximum number of inputs supported in a batch request is {max}. The number of inputs was {count}."
        )));
    }
    Ok(())
}

async fn read(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    params: Params,
    input: Input<Read>,
) -> Answer {
    let of = caller.reads(&path.object_type)?;
    let asked = input.body;
    let max = if asked.properties_with_history.is_empty() {
        INPUTS_MAX
    } else {
        INPUTS_WITH_HISTORY_MAX
    };
    check_count(asked.inputs.len(), max)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let sight = Sight::new(&params, &state.api, now);
    let shape = Shape::of_names(&caller, of, asked.properties, &state.api)
        .with_history(asked.properties_with_history);
    let missing_is_404 = state.api.missing_batch_is_404;
    let account = state.world.account(caller.portal)?;
    let store = account.store(of);
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for named in &asked.inputs {
        let value = named.id.text();
        let id = identify(store, asked.id_property.as_deref(), &value)?;
        match id.and_then(|id| sight.find(store, id)) {
            Some(record) => {
                found.insert(record.id, record);
            }
            None => missing.push(value),
        }
    }
    if found.is_empty() && !missing.is_empty() && missing_is_404 {
        return Err(Fault::not_found());
    }
    let results = found
        .values()
        .map(|record| record_json(account, record, &shape))
        .collect();
    let errors = if missing.is_empty() {
        Vec::new()
    } else {
        vec![json!({
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": format!(
                "Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.",
                of.name().to_ascii_uppercase()
            ),
            "context": {"ids": missing},
        })]
    };
    Ok(complete(results, errors, now))
}

async fn create(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Inputs<Written>>,
) -> Answer {
    write(
        &shared,
        &caller,
        &path,
        input,
        StatusCode::CREATED,
        |of, written| {
            caller.change(&shared, |account, ids, stamp| {
                account.create(of, &written.properties, stamp, ids)
            })
        },
    )
}

async fn update(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Inputs<Written>>,
) -> Answer {
    write(
        &shared,
        &caller,
        &path,
        input,
        StatusCode::OK,
        |of, written| {
            let id = written.id.as_ref().ok_or_else(Fault::not_found)?.record()?;
            caller.apply(&shared, |account, stamp| {
                if account.store(of).merged.contains_key(&id) {
                    return Err(Error::Refused(format!(
                        "{id} was merged into another record"
                    )));
                }
                account.patch(of, id, &written.properties, stamp)
            })?;
            Ok(id)
        },
    )
}

/// Writes the records of a batch one by one, and answers with all of them.
fn write(
    shared: &Shared,
    caller: &Caller,
    path: &TypePath,
    input: Input<Inputs<Written>>,
    status: StatusCode,
    one: impl Fn(ObjectType, &Written) -> Result<u64, Fault>,
) -> Answer {
    let of = caller.writes(&path.object_type)?;
    let inputs = input.body.inputs;
    check_count(inputs.len(), INPUTS_MAX)?;
    let ids: Vec<u64> = inputs
        .iter()
        .map(|written| one(of, written))
        .collect::<Result<_, _>>()?;
    let results = as_written(shared, caller, of, &ids)?;
    let mut response = complete(results, Vec::new(), shared.clock.now_ms());
    *response.status_mut() = status;
    Ok(response)
}

async fn archive(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Inputs<Named>>,
) -> Answer {
    let of = caller.writes(&path.object_type)?;
    check_count(input.body.inputs.len(), INPUTS_MAX)?;
    for named in &input.body.inputs {
        let id = named.id.record()?;
        caller.apply(&shared, |account, stamp| {
            if account.is_live((of, id)) {
                account.delete(of, id, stamp)
            } else {
                Ok(Vec::new())
            }
        })?;
    }
    nothing()
}
