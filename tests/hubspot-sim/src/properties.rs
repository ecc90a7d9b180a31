//! Property definitions over HTTP (HubSpot: properties guide).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::batch;
use crate::crm::{Account, Error, ObjectType};
use crate::definitions::{Property, PropertySpec, Sensitivity};
use crate::fault::Fault;
use crate::objects::TypePath;
use crate::request::{Caller, Input, Params, object_type};
use crate::state::Shared;

type Answer = Result<Response, Fault>;

/// Routes below `/crm/properties/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}", get(list).post(create))
        .route("/{object_type}/groups", get(groups))
        .route("/{object_type}/batch/read", post(read_batch))
        .route(
            "/{object_type}/{name}",
            get(read).patch(change).delete(archive),
        )
}

#[derive(Deserialize)]
struct PropertyPath {
    object_type: String,
    name: String,
}

/// Reading definitions takes a schema scope or a record scope of the type.
fn need(caller: &Caller, of: ObjectType) -> Result<(), Fault> {
    let name = of.name();
    caller.need(&[
        format!("crm.schemas.{name}.read"),
        format!("crm.objects.{name}.read"),
        format!("crm.objects.{name}.write"),
    ])
}

/// Whether a definition of this sensitivity is asked for and may be seen.
fn shown(caller: &Caller, of: ObjectType, property: &Property, wanted: Option<&str>) -> bool {
    let asked = wanted.unwrap_or("non_sensitive") == property.sensitivity.name();
    asked && (property.sensitivity == Sensitivity::NonSensitive || caller.reads_sensitive(of))
}

async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    params: Params,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need(&caller, of)?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let wanted = params.get("dataSensitivity");
    let archived = params.flag("archived");
    let results: Vec<Value> = account
        .store(of)
        .properties
        .values()
        .filter(|property| property.archived_at.is_some() == archived)
        .filter(|property| shown(&caller, of, property, wanted))
        .map(Property::to_json)
        .collect();
    Ok(Json(json!({"results": results})).into_response())
}

async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<PropertyPath>,
    params: Params,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need(&caller, of)?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let property = account
        .store(of)
        .properties
        .get(path.name.as_str())
        .filter(|property| property.archived_at.is_some() == params.flag("archived"))
        .filter(|property| shown(&caller, of, property, Some(property.sensitivity.name())))
        .ok_or_else(|| no_property(&path.name))?;
    Ok(Json(property.to_json()).into_response())
}

fn no_property(name: &str) -> Fault {
    Fault::new(
        StatusCode::NOT_FOUND,
        "OBJECT_NOT_FOUND",
        format!("Property {name} does not exist"),
    )
}

#[derive(Deserialize)]
struct ReadBatch {
    inputs: Vec<Named>,
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn read_batch(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<ReadBatch>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need(&caller, of)?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let store = account.store(of);
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for named in &input.body.inputs {
        let found = store
            .properties
            .get(named.name.as_str())
            .filter(|property| property.archived_at.is_some() == input.body.archived)
            .filter(|property| shown(&caller, of, property, Some(property.sensitivity.name())));
        match found {
            Some(property) => results.push(property.to_json()),
            None => errors.push(json!({
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "message": format!("Property {} does not exist", named.name),
                "context": {"name": [named.name]},
            })),
        }
    }
    Ok(batch::complete(results, errors, shared.clock.now_ms()))
}

async fn groups(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need(&caller, of)?;
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let names: BTreeMap<&str, ()> = account
        .store(of)
        .properties
        .values()
        .map(|property| (property.group.as_str(), ()))
        .collect();
    let results: Vec<Value> = names
        .keys()
        .map(|name| json!({"name": name, "label": name, "displayOrder": -1, "archived": false}))
        .collect();
    Ok(Json(json!({"results": results})).into_response())
}

fn need_write(caller: &Caller, of: ObjectType) -> Result<(), Fault> {
    caller.need(&[format!("crm.schemas.{}.write", of.name())])
}

async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<PropertySpec>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need_write(&caller, of)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let property = account.define(of, input.body, now)?;
    Ok((StatusCode::CREATED, Json(property.to_json())).into_response())
}

#[derive(Deserialize)]
struct Changed {
    label: Option<String>,
    options: Option<Vec<crate::definitions::Choice>>,
}

async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<PropertyPath>,
    input: Input<Changed>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need_write(&caller, of)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    let property = account
        .store_mut(of)
        .properties
        .get_mut(path.name.as_str())
        .filter(|property| property.archived_at.is_none())
        .ok_or_else(|| no_property(&path.name))?;
    if let Some(label) = input.body.label {
        property.label = label;
    }
    if let Some(options) = input.body.options {
        property.options = options;
    }
    property.updated_at = now;
    Ok(Json(property.to_json()).into_response())
}

async fn archive(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<PropertyPath>,
) -> Answer {
    let of = object_type(&path.object_type)?;
    need_write(&caller, of)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let (account, _) = state.world.account(caller.portal)?;
    account.archive_property(of, &path.name, now)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Account {
    /// Defines a property of the account's own.
    pub(crate) fn define(
        &mut self,
        of: ObjectType,
        spec: PropertySpec,
        now: i64,
    ) -> Result<Property, Error> {
        let store = self.store_mut(of);
        if store.property(&spec.name).is_some() {
            return Err(Error::Conflict {
                existing: 0,
                message: format!("A property named '{}' already exists.", spec.name),
            });
        }
        let property = spec.into_property(now);
        let name: Arc<str> = Arc::from(property.name.as_str());
        store.properties.insert(name, property.clone());
        Ok(property)
    }

    /// Archives a property: it is no longer listed, its values no longer shown.
    pub(crate) fn archive_property(
        &mut self,
        of: ObjectType,
        name: &str,
        now: i64,
    ) -> Result<(), Error> {
        let property = self
            .store_mut(of)
            .properties
            .get_mut(name)
            .filter(|property| property.archived_at.is_none())
            .ok_or_else(|| crate::changes::unknown_property(name))?;
        if property.hubspot_defined {
            return Err(Error::Refused(format!("{name} is HubSpot's own")));
        }
        property.archived_at = Some(now);
        Ok(())
    }
}
