//! Records in batches: read, create, update, archive.
//!
//! HubSpot: using object APIs. At most 100 inputs, 50 with history; what is missing is an error of
//! its own in an answer of status 207.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crm::{Account, Error};
use crate::fault::Fault;
use crate::objects::{TypePath, identify, values, visible, written_id};
use crate::record::Source;
use crate::render::{Shape, record_json};
use crate::request::{Caller, Input, Params, object_type, record_id};
use crate::state::Shared;
use crate::values::iso;

const INPUTS_MAX: usize = 100;
const INPUTS_WITH_HISTORY_MAX: usize = 50;

type Answer = Result<Response, Fault>;

/// Routes below `/crm/objects/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}/batch/read", post(read))
        .route("/{object_type}/batch/create", post(create))
        .route("/{object_type}/batch/update", post(update))
        .route("/{object_type}/batch/archive", post(archive))
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
    id: Value,
}

#[derive(Deserialize)]
struct Written {
    id: Option<Value>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Inputs<T> {
    inputs: Vec<T>,
}

fn check_count(count: usize, max: usize) -> Result<(), Fault> {
    if count > max {
        return Err(Fault::invalid(format!(
            "The maximum number of inputs supported in a batch request is {max}. The number of inputs was {count}."
        )));
    }
    Ok(())
}

/// The frame of a batch's answer.
pub(crate) fn complete(results: Vec<Value>, errors: Vec<Value>, now: i64) -> Response {
    let mut body = json!({
        "status": "COMPLETE",
        "results": results,
        "startedAt": iso(now),
        "completedAt": iso(now),
    });
    if errors.is_empty() {
        return Json(body).into_response();
    }
    body["numErrors"] = json!(errors.len());
    body["errors"] = Value::Array(errors);
    (StatusCode::MULTI_STATUS, Json(body)).into_response()
}

async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    params: Params,
    input: Input<Read>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    caller.need_read(of)?;
    let asked = input.body;
    let max = if asked.properties_with_history.is_empty() {
        INPUTS_MAX
    } else {
        INPUTS_WITH_HISTORY_MAX
    };
    check_count(asked.inputs.len(), max)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let (account, _) = state.world.account(caller.portal)?;
    let account: &Account = account;
    let store = account.store(of);
    let archived = params.flag("archived");
    let mut found = BTreeSet::new();
    let mut missing = Vec::new();
    for named in &asked.inputs {
        let value = written_id(&named.id);
        let id = identify(store, asked.id_property.as_deref(), &value)?;
        let record = id.and_then(|id| {
            if archived {
                store.archived.get(&id)
            } else {
                store.find(id)
            }
        });
        match record.filter(|record| visible(record, &knobs, now)) {
            Some(record) => {
                found.insert(record.id);
            }
            None => missing.push(value),
        }
    }
    if found.is_empty() && !missing.is_empty() && knobs.missing_batch_is_404 {
        return Err(Fault::not_found());
    }
    let shape = Shape::of_names(&caller, of, asked.properties, &knobs)
        .with_history(asked.properties_with_history);
    let records = if archived {
        &store.archived
    } else {
        &store.live
    };
    let results = found
        .iter()
        .filter_map(|id| records.get(id))
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
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Inputs<Written>>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    caller.need_write(of)?;
    check_count(input.body.inputs.len(), INPUTS_MAX)?;
    let mut ids = Vec::new();
    for written in input.body.inputs {
        let given = values(written.properties);
        let id = shared.change(caller.portal, Source::Integration, |account, ids, stamp| {
            account.create(of, &given, stamp, ids)
        })?;
        ids.push(id);
    }
    written(&shared, &caller, of, &ids, StatusCode::CREATED)
}

async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Inputs<Written>>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    caller.need_write(of)?;
    check_count(input.body.inputs.len(), INPUTS_MAX)?;
    let mut ids = Vec::new();
    for written in input.body.inputs {
        let id = written.id.as_ref().map(written_id).unwrap_or_default();
        let id = record_id(&id)?;
        let given = values(written.properties);
        shared.change(caller.portal, Source::Integration, |account, _, stamp| {
            if account.store(of).merged.contains_key(&id) {
                return Err(Error::Refused(format!(
                    "{id} was merged into another record"
                )));
            }
            Ok(((), account.patch(of, id, &given, stamp)?))
        })?;
        ids.push(id);
    }
    written(&shared, &caller, of, &ids, StatusCode::OK)
}

async fn archive(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Inputs<Named>>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    caller.need_write(of)?;
    check_count(input.body.inputs.len(), INPUTS_MAX)?;
    for named in &input.body.inputs {
        let id = record_id(&written_id(&named.id))?;
        shared.change(caller.portal, Source::Integration, |account, _, stamp| {
            let live = account.is_live((of, id));
            let changes = if live {
                account.delete(of, id, stamp)?
            } else {
                Vec::new()
            };
            Ok(((), changes))
        })?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The answer to a batch that wrote.
fn written(
    shared: &Shared,
    caller: &Caller,
    of: crate::crm::ObjectType,
    ids: &[u64],
    status: StatusCode,
) -> Answer {
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let (account, _) = state.world.account(caller.portal)?;
    let account: &Account = account;
    let shape = Shape::everything(caller, of, &knobs);
    let results = ids
        .iter()
        .filter_map(|id| account.store(of).find(*id))
        .map(|record| record_json(account, record, &shape))
        .collect();
    let mut response = complete(results, Vec::new(), now);
    *response.status_mut() = status;
    Ok(response)
}
