//! Records over HTTP: list, get, create, change, delete, merge, erase and search.
//!
//! HubSpot: using object APIs, contacts guide, search guide.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::ApiKnobs;
use crate::crm::{Account, ObjectType, Store};
use crate::fault::Fault;
use crate::linking::standard;
use crate::links::LinkType;
use crate::record::{Record, Source};
use crate::render::{Shape, record_json};
use crate::request::{Caller, Input, Params, object_type, record_id};
use crate::search;
use crate::state::Shared;
use crate::{associations, batch};

const LIST_MAX: usize = 100;

type Answer = Result<Response, Fault>;

/// Routes below `/crm/objects/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}", get(list).post(create))
        .route("/{object_type}/search", post(search))
        .route("/{object_type}/merge", post(merge))
        .route("/{object_type}/gdpr-delete", post(erase))
        .route(
            "/{object_type}/{id}",
            get(read).patch(change).delete(delete),
        )
        .merge(batch::routes())
        .merge(associations::of_records())
}

#[derive(Deserialize)]
pub(crate) struct TypePath {
    pub object_type: String,
}

#[derive(Deserialize)]
pub(crate) struct RecordPath {
    object_type: String,
    id: String,
}

/// Property values as they are written: text, numbers, booleans or null.
pub(crate) fn values(given: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    given
        .into_iter()
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (name, text)
        })
        .collect()
}

/// Whether a record can be read yet: one just made may still be missing.
pub(crate) fn visible(record: &Record, knobs: &ApiKnobs, now: i64) -> bool {
    knobs.creation_lag_ms <= 0 || now - record.created_at >= knobs.creation_lag_ms
}

/// The id of the record that a caller names, by id or by a unique property.
pub(crate) fn identify(store: &Store, by: Option<&str>, value: &str) -> Result<Option<u64>, Fault> {
    match by {
        None | Some("" | "hs_object_id") => Ok(value.trim().parse().ok()),
        Some(name) => {
            let unique = store
                .property(name)
                .is_some_and(|(_, property)| property.unique);
            if !unique {
                return Err(Fault::invalid(format!(
                    "{name} is not a unique property of {}",
                    store.object_type.name()
                )));
            }
            Ok(store.find_unique(name, value))
        }
    }
}

async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    params: Params,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_read(object_type)?;
    let limit = params.limit(10, LIST_MAX)?;
    let after = params.after()?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let (account, _) = state.world.account(caller.portal)?;
    let shape = Shape::of_query(&caller, object_type, &params, &knobs)?;
    let store = account.store(object_type);
    let records = if params.flag("archived") {
        &store.archived
    } else {
        &store.live
    };
    let mut found = records
        .range(after..)
        .map(|(_, record)| record)
        .filter(|record| visible(record, &knobs, now));
    let page: Vec<Value> = found
        .by_ref()
        .take(limit)
        .map(|record| record_json(account, record, &shape))
        .collect();
    let mut body = json!({"results": page});
    if let Some(next) = found.next() {
        body["paging"] = json!({"next": {
            "after": next.id.to_string(),
            "link": format!(
                "https://api.hubapi.com/crm/v3/objects/{}?after={}", object_type.name(), next.id
            ),
        }});
    }
    Ok(Json(body).into_response())
}

async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<RecordPath>,
    params: Params,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_read(object_type)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let (account, _) = state.world.account(caller.portal)?;
    let shape = Shape::of_query(&caller, object_type, &params, &knobs)?;
    let store = account.store(object_type);
    let id = identify(store, params.get("idProperty"), &path.id)?.ok_or_else(Fault::not_found)?;
    let record = if params.flag("archived") {
        store.archived.get(&id)
    } else {
        store.find(id)
    };
    let record = record
        .filter(|record| visible(record, &knobs, now))
        .ok_or_else(Fault::not_found)?;
    Ok(Json(record_json(account, record, &shape)).into_response())
}

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    associations: Vec<CreateLink>,
}

#[derive(Deserialize)]
struct CreateLink {
    to: LinkEnd,
    #[serde(default)]
    types: Vec<WrittenType>,
}

#[derive(Deserialize)]
struct LinkEnd {
    id: Value,
}

/// An association type as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WrittenType {
    association_category: Option<String>,
    association_type_id: u32,
}

impl WrittenType {
    pub(crate) fn link(&self) -> LinkType {
        let mut link = standard(self.association_type_id);
        if self.association_category.as_deref() == Some("USER_DEFINED") {
            link.category = crate::links::Category::UserDefined;
        }
        link
    }
}

/// An id that is written as text or as a number.
pub(crate) fn written_id(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Create>,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_write(object_type)?;
    let given = values(input.body.properties);
    let id = shared.change(caller.portal, Source::Integration, |account, ids, stamp| {
        let (id, mut changes) = account.create(object_type, &given, stamp, ids)?;
        for link in &input.body.associations {
            let types: Vec<LinkType> = link.types.iter().map(WrittenType::link).collect();
            let other = written_id(&link.to.id).parse().unwrap_or(0);
            let to = ObjectType::ALL.into_iter().find(|to| {
                types
                    .iter()
                    .all(|link| account.links.label(object_type, *to, *link).is_some())
                    && account.is_live((*to, other))
            });
            if let Some(to) = to {
                changes.extend(account.associate((object_type, id), (to, other), &types, stamp)?);
            }
        }
        Ok((id, changes))
    })?;
    one(&shared, &caller, object_type, id, StatusCode::CREATED)
}

/// The answer to a write: the record as it is now.
fn one(
    shared: &Shared,
    caller: &Caller,
    object_type: ObjectType,
    id: u64,
    status: StatusCode,
) -> Answer {
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let (account, _) = state.world.account(caller.portal)?;
    let shape = Shape::everything(caller, object_type, &knobs);
    let record = account
        .store(object_type)
        .find(id)
        .ok_or_else(Fault::not_found)?;
    Ok((status, Json(record_json(account, record, &shape))).into_response())
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<RecordPath>,
    params: Params,
    input: Input<Change>,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_write(object_type)?;
    let id = known(
        &shared,
        &caller,
        object_type,
        params.get("idProperty"),
        &path.id,
    )?;
    let given = values(input.body.properties);
    shared.change(caller.portal, Source::Integration, |account, _, stamp| {
        let changes = account.patch(object_type, id, &given, stamp)?;
        Ok(((), changes))
    })?;
    one(&shared, &caller, object_type, id, StatusCode::OK)
}

fn known(
    shared: &Shared,
    caller: &Caller,
    object_type: ObjectType,
    by: Option<&str>,
    value: &str,
) -> Result<u64, Fault> {
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    identify(account.store(object_type), by, value)?.ok_or_else(Fault::not_found)
}

async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<RecordPath>,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_write(object_type)?;
    let id = record_id(&path.id)?;
    shared.change(caller.portal, Source::Integration, |account, _, stamp| {
        // Deleting what is deleted is no error.
        let changes = if account.store(object_type).archived.contains_key(&id) {
            Vec::new()
        } else {
            account.delete(object_type, id, stamp)?
        };
        Ok(((), changes))
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Merge {
    primary_object_id: Value,
    object_id_to_merge: Value,
}

async fn merge(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Merge>,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_write(object_type)?;
    let primary = record_id(&written_id(&input.body.primary_object_id))?;
    let loser = record_id(&written_id(&input.body.object_id_to_merge))?;
    let id = shared.change(caller.portal, Source::Integration, |account, ids, stamp| {
        account.merge(object_type, primary, loser, stamp, ids)
    })?;
    one(&shared, &caller, object_type, id, StatusCode::OK)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Erase {
    object_id: Value,
    id_property: Option<String>,
}

async fn erase(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Erase>,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_write(object_type)?;
    let value = written_id(&input.body.object_id);
    let by = input.body.id_property.as_deref();
    let id = known(&shared, &caller, object_type, by, &value)?;
    shared.change(caller.portal, Source::Integration, |account, _, stamp| {
        Ok(((), account.erase(object_type, id, stamp)?))
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<search::Request>,
) -> Answer {
    let object_type = object_type(&path.object_type)?;
    caller.need_read(object_type)?;
    if input.chars > search::BODY_CHARS_MAX {
        return Err(Fault::invalid(format!(
            "The request body is too long: at most {} characters are allowed",
            search::BODY_CHARS_MAX
        )));
    }
    let now = shared.clock.now_ms();
    let seed = shared.seed;
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let (account, _) = state.world.account(caller.portal)?;
    let found = search::run(
        account,
        object_type,
        &input.body,
        now,
        knobs.search_disorder_ms,
        seed,
    )
    .map_err(Fault::invalid)?;
    let account: &Account = account;
    let shape = Shape::of_names(&caller, object_type, input.body.properties, &knobs);
    let store = account.store(object_type);
    let results: Vec<Value> = found
        .ids
        .iter()
        .filter_map(|id| store.live.get(id))
        .map(|record| record_json(account, record, &shape))
        .collect();
    let mut body = json!({"total": found.total, "results": results});
    if let Some(next) = found.next {
        body["paging"] = json!({"next": {"after": next.to_string()}});
    }
    Ok(Json(body).into_response())
}
