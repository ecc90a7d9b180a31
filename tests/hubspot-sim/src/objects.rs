//! Records over HTTP: list, get, create, change, delete, merge, erase and search.
//!
//! HubSpot: using object APIs, contacts guide, search guide.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, nothing, with_next};
use crate::config::ApiKnobs;
use crate::crm::{Account, ObjectType, Store};
use crate::fault::Fault;
use crate::record::Record;
use crate::render::{Shape, record_json};
use crate::request::{Caller, Input, Params, Sim, TypePath, record_id};
use crate::search;
use crate::state::Shared;
use crate::written::{self, WrittenId, WrittenTypes};
use crate::{associations, batch};

const LIST_MAX: usize = 100;

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
pub(crate) struct RecordPath {
    object_type: String,
    id: String,
}

/// Which records a read can see: the live ones or the recycle bin, and none that was just made
/// while creations lag.
pub(crate) struct Sight {
    archived: bool,
    created_by: i64,
}

impl Sight {
    pub(crate) fn new(params: &Params, knobs: &ApiKnobs, now: i64) -> Self {
        Self {
            archived: params.flag("archived"),
            created_by: match knobs.creation_lag_ms {
                ..=0 => i64::MAX,
                lag => now - lag,
            },
        }
    }

    /// Where it looks, by id.
    pub(crate) fn records<'a>(&self, store: &'a Store) -> &'a BTreeMap<u64, Record> {
        if self.archived {
            &store.archived
        } else {
            &store.live
        }
    }

    fn reaches(&self, record: &Record) -> bool {
        record.created_at <= self.created_by
    }

    /// The record that an id leads to.
    pub(crate) fn find<'a>(&self, store: &'a Store, id: u64) -> Option<&'a Record> {
        let id = if self.archived { id } else { store.resolve(id) };
        let record = self.records(store).get(&id)?;
        self.reaches(record).then_some(record)
    }
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
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    params: Params,
) -> Answer {
    let of = caller.reads(&path.object_type)?;
    let limit = params.limit(10, LIST_MAX)?;
    let after = params.after()?;
    let mut state = shared.lock();
    let sight = Sight::new(&params, &state.api, shared.clock.now_ms());
    let shape = Shape::of_query(&caller, of, &params, &state.api)?;
    let account = state.world.account(caller.portal)?;
    let mut found = sight
        .records(account.store(of))
        .range(after..)
        .map(|(_, record)| record)
        .filter(|record| sight.reaches(record));
    let page: Vec<Value> = found
        .by_ref()
        .take(limit)
        .map(|record| record_json(account, record, &shape))
        .collect();
    let next = found.next().map(|record| record.id);
    let mut body = with_next(json!({"results": page}), next);
    if let Some(next) = next {
        body["paging"]["next"]["link"] = json!(format!(
            "https://api.hubapi.com/crm/v3/objects/{}?after={next}",
            of.name()
        ));
    }
    Ok(Json(body).into_response())
}

async fn read(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<RecordPath>,
    params: Params,
) -> Answer {
    let of = caller.reads(&path.object_type)?;
    let mut state = shared.lock();
    let sight = Sight::new(&params, &state.api, shared.clock.now_ms());
    let shape = Shape::of_query(&caller, of, &params, &state.api)?;
    let account = state.world.account(caller.portal)?;
    let store = account.store(of);
    let id = identify(store, params.get("idProperty"), &path.id)?.ok_or_else(Fault::not_found)?;
    let record = sight.find(store, id).ok_or_else(Fault::not_found)?;
    Ok(Json(record_json(account, record, &shape)).into_response())
}

#[derive(Deserialize)]
struct Create {
    #[serde(default, deserialize_with = "written::values")]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    associations: Vec<CreateLink>,
}

#[derive(Deserialize)]
struct CreateLink {
    to: LinkEnd,
    #[serde(default)]
    types: WrittenTypes,
}

#[derive(Deserialize)]
struct LinkEnd {
    id: WrittenId,
}

async fn create(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Create>,
) -> Answer {
    let of = caller.writes(&path.object_type)?;
    let given = input.body;
    let id = caller.change(&shared, |account, ids, stamp| {
        let (id, mut changes) = account.create(of, &given.properties, stamp, ids)?;
        for link in &given.associations {
            let types = &link.types.0;
            let other = link.to.id.record().unwrap_or(0);
            let to = ObjectType::ALL.into_iter().find(|to| {
                types
                    .iter()
                    .all(|link| account.links.label(of, *to, *link).is_some())
                    && account.is_live((*to, other))
            });
            if let Some(to) = to {
                changes.extend(account.associate((of, id), (to, other), types, stamp)?);
            }
        }
        Ok((id, changes))
    })?;
    one(&shared, &caller, of, id, StatusCode::CREATED)
}

/// Records as they are now, for the answer to a write.
pub(crate) fn as_written(
    shared: &Shared,
    caller: &Caller,
    of: ObjectType,
    ids: &[u64],
) -> Result<Vec<Value>, Fault> {
    let mut state = shared.lock();
    let shape = Shape::everything(caller, of, &state.api);
    let account = state.world.account(caller.portal)?;
    let records = ids.iter().filter_map(|id| account.store(of).find(*id));
    Ok(records
        .map(|record| record_json(account, record, &shape))
        .collect())
}

/// The answer to a write of one record.
fn one(shared: &Shared, caller: &Caller, of: ObjectType, id: u64, status: StatusCode) -> Answer {
    let record = as_written(shared, caller, of, &[id])?.pop();
    let record = record.ok_or_else(Fault::not_found)?;
    Ok((status, Json(record)).into_response())
}

#[derive(Deserialize)]
struct Change {
    #[serde(default, deserialize_with = "written::values")]
    properties: BTreeMap<String, String>,
}

async fn change(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<RecordPath>,
    params: Params,
    input: Input<Change>,
) -> Answer {
    let of = caller.writes(&path.object_type)?;
    let id = known(&shared, &caller, of, params.get("idProperty"), &path.id)?;
    let given = input.body.properties;
    caller.apply(&shared, |account, stamp| {
        account.patch(of, id, &given, stamp)
    })?;
    one(&shared, &caller, of, id, StatusCode::OK)
}

fn known(
    shared: &Shared,
    caller: &Caller,
    of: ObjectType,
    by: Option<&str>,
    value: &str,
) -> Result<u64, Fault> {
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    identify(account.store(of), by, value)?.ok_or_else(Fault::not_found)
}

async fn delete(State(shared): Sim, caller: Caller, Path(path): Path<RecordPath>) -> Answer {
    let of = caller.writes(&path.object_type)?;
    let id = record_id(&path.id)?;
    caller.apply(&shared, |account, stamp| {
        // Deleting what is deleted is no error.
        if account.store(of).archived.contains_key(&id) {
            return Ok(Vec::new());
        }
        account.delete(of, id, stamp)
    })?;
    nothing()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Merge {
    primary_object_id: WrittenId,
    object_id_to_merge: WrittenId,
}

async fn merge(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Merge>,
) -> Answer {
    let of = caller.writes(&path.object_type)?;
    let primary = input.body.primary_object_id.record()?;
    let loser = input.body.object_id_to_merge.record()?;
    let id = caller.change(&shared, |account, ids, stamp| {
        account.merge(of, primary, loser, stamp, ids)
    })?;
    one(&shared, &caller, of, id, StatusCode::OK)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Erase {
    object_id: WrittenId,
    id_property: Option<String>,
}

async fn erase(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<Erase>,
) -> Answer {
    let of = caller.writes(&path.object_type)?;
    let by = input.body.id_property.as_deref();
    let id = known(&shared, &caller, of, by, &input.body.object_id.text())?;
    caller.apply(&shared, |account, stamp| account.erase(of, id, stamp))?;
    nothing()
}

async fn search(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<search::Request>,
) -> Answer {
    let of = caller.reads(&path.object_type)?;
    if input.chars > search::BODY_CHARS_MAX {
        return Err(Fault::invalid(format!(
            "The request body is too long: at most {} characters are allowed",
            search::BODY_CHARS_MAX
        )));
    }
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let knobs = state.api.clone();
    let flaws = search::Flaws::of(&knobs, shared.seed);
    let account = state.world.account(caller.portal)?;
    let found = search::run(account, of, &input.body, now, flaws).map_err(Fault::invalid)?;
    let account: &Account = account;
    let shape = Shape::of_names(&caller, of, input.body.properties, &knobs);
    let store = account.store(of);
    let results: Vec<Value> = found
        .ids
        .iter()
        .filter_map(|id| {
            store
                .live
                .get(id)
                .or_else(|| store.index.lingering().get(id))
        })
        .map(|record| record_json(account, record, &shape))
        .collect();
    let body = json!({"total": found.total, "results": results});
    Ok(Json(with_next(body, found.next)).into_response())
}
