//! Property definitions over HTTP (HubSpot: properties guide).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, complete, listed, nothing};
use crate::crm::{Account, Error, ObjectType, Store};
use crate::definitions::{Property, PropertySpec, Sensitivity};
use crate::fault::Fault;
use crate::request::{self, Caller, Input, Params, Sim, TypePath};
use crate::state::Shared;

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
fn reads(caller: &Caller, object_type: &str) -> Result<ObjectType, Fault> {
    let of = request::object_type(object_type)?;
    let name = of.name();
    caller.need(&[
        format!("crm.schemas.{name}.read"),
        format!("crm.objects.{name}.read"),
        format!("crm.objects.{name}.write"),
    ])?;
    Ok(of)
}

fn writes(caller: &Caller, object_type: &str) -> Result<ObjectType, Fault> {
    let of = request::object_type(object_type)?;
    caller.need(&[format!("crm.schemas.{}.write", of.name())])?;
    Ok(of)
}

/// Whether a caller may see a definition.
fn shown(caller: &Caller, of: ObjectType, property: &Property) -> bool {
    property.sensitivity == Sensitivity::NonSensitive || caller.reads_sensitive(of)
}

/// A definition by its name, if the caller may see it.
fn find<'a>(caller: &Caller, store: &'a Store, name: &str, archived: bool) -> Option<&'a Property> {
    let property = store.properties.get(name)?;
    let held = property.archived_at.is_some() == archived;
    (held && shown(caller, store.object_type, property)).then_some(property)
}

async fn list(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    params: Params,
) -> Answer {
    let of = reads(&caller, &path.object_type)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let wanted = params.get("dataSensitivity").unwrap_or("non_sensitive");
    let archived = params.flag("archived");
    let results: Vec<Value> = account
        .store(of)
        .properties
        .values()
        .filter(|property| property.archived_at.is_some() == archived)
        .filter(|property| property.sensitivity.name() == wanted)
        .filter(|property| shown(&caller, of, property))
        .map(Property::to_json)
        .collect();
    listed(results)
}

async fn read(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<PropertyPath>,
    params: Params,
) -> Answer {
    let of = reads(&caller, &path.object_type)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let archived = params.flag("archived");
    let property = find(&caller, account.store(of), &path.name, archived)
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
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<ReadBatch>,
) -> Answer {
    let of = reads(&caller, &path.object_type)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let store = account.store(of);
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for named in &input.body.inputs {
        match find(&caller, store, &named.name, input.body.archived) {
            Some(property) => results.push(property.to_json()),
            None => errors.push(json!({
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "message": format!("Property {} does not exist", named.name),
                "context": {"name": [named.name]},
            })),
        }
    }
    Ok(complete(results, errors, shared.clock.now_ms()))
}

async fn groups(State(shared): Sim, caller: Caller, Path(path): Path<TypePath>) -> Answer {
    let of = reads(&caller, &path.object_type)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let names: BTreeSet<&str> = account
        .store(of)
        .properties
        .values()
        .map(|property| property.group.as_str())
        .collect();
    let results: Vec<Value> = names
        .iter()
        .map(|name| {
            let label = group_label(name);
            json!({"name": name, "label": label, "displayOrder": -1, "archived": false})
        })
        .collect();
    listed(results)
}

/// What HubSpot calls its own groups; others are called by their names.
fn group_label(name: &str) -> &str {
    match name {
        "contactinformation" => "Contact information",
        "companyinformation" => "Company information",
        "dealinformation" => "Deal information",
        other => other,
    }
}

async fn create(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<TypePath>,
    input: Input<PropertySpec>,
) -> Answer {
    let of = writes(&caller, &path.object_type)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let property = account.define(of, input.body, now)?;
    Ok((StatusCode::CREATED, Json(property.to_json())).into_response())
}

#[derive(Deserialize)]
struct Changed {
    label: Option<String>,
    options: Option<Vec<crate::definitions::Choice>>,
}

async fn change(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<PropertyPath>,
    input: Input<Changed>,
) -> Answer {
    let of = writes(&caller, &path.object_type)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let property = account
        .definition_mut(of, &path.name)
        .map_err(|_| no_property(&path.name))?;
    if let Some(label) = input.body.label {
        property.label = label;
    }
    if let Some(options) = input.body.options {
        property.options = options;
    }
    property.updated_at = now;
    Ok(Json(property.to_json()).into_response())
}

async fn archive(State(shared): Sim, caller: Caller, Path(path): Path<PropertyPath>) -> Answer {
    let of = writes(&caller, &path.object_type)?;
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    account.archive_property(of, &path.name, now)?;
    nothing()
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
        let property = self.definition_mut(of, name)?;
        if property.hubspot_defined {
            return Err(Error::Refused(format!("{name} is HubSpot's own")));
        }
        property.archived_at = Some(now);
        Ok(())
    }

    /// The definition of a property that is not archived.
    pub(crate) fn definition_mut(
        &mut self,
        of: ObjectType,
        name: &str,
    ) -> Result<&mut Property, Error> {
        self.store_mut(of)
            .properties
            .get_mut(name)
            .filter(|property| property.archived_at.is_none())
            .ok_or_else(|| crate::changes::unknown_property(name))
    }
}
