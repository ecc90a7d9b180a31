//! The choices of an account's properties, wherever HubSpot keeps them: in
//! definitions, as pipelines and their stages, as owners. Of a source that cannot be
//! asked they are the component's.
//!
//! An object type's definitions are read once for all of its properties, its
//! pipelines once, and the owners once for all object types.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::definitions::{self, Asked, Error};
use crate::{
    host::Host,
    hubspot::{self, ChoicesAt, Owner, Pipeline, Priority, Property},
    model::{AccountId, Choice, ObjectType, OptionTable, PropertyName, Timestamp},
    plugin::Version,
    sources::{Source, push},
};

/// Properties, by object type.
pub type Properties = BTreeMap<ObjectType, BTreeSet<PropertyName>>;

/// The choices of one property, or why they are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object type.
    pub object_type: ObjectType,
    /// The property.
    pub property: PropertyName,
    /// Its choices.
    pub choices: Result<OptionTable, Untold>,
}

/// Why the choices of a property are not told, until somebody does something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// The account has no such property any more, or it has no choices.
    #[error("the property is gone, or has no choices any more")]
    Gone,
    /// The grant lacks scopes.
    #[error("HubSpot misses scopes: {}", .0.join(", "))]
    MissingScopes(Vec<String>),
}

/// The choices of properties of an account, as they were at `since` or later.
///
/// # Errors
///
/// Whatever a later call may mend; what only people can is told property by
/// property.
pub async fn find(
    host: &Arc<Host>,
    account: AccountId,
    wanted: &Properties,
    since: Timestamp,
    priority: Priority,
) -> Result<Vec<Found>, Error> {
    let (source, plugin) = definitions::source(host, account).await?;
    if source == Source::Push {
        return Ok(defined(&plugin, wanted));
    }
    let asked = (since, priority);
    let types = wanted.iter().map(|(object_type, properties)| {
        of_type(host, (account, object_type.clone()), properties, asked)
    });
    let mut found: Vec<Found> = Vec::new();
    let mut owned = Vec::new();
    for (known, by_owner) in futures_util::future::try_join_all(types).await? {
        found.extend(known);
        owned.extend(by_owner);
    }
    if !owned.is_empty() {
        let owners = told(definitions::owners(host, account, asked).await)?;
        let choices = owners.map(|owners| of_owners(&owners));
        found.extend(owned.into_iter().map(|(object_type, property)| Found {
            object_type,
            property,
            choices: choices.clone(),
        }));
    }
    Ok(found)
}

/// The choices of properties that a component defines.
fn defined(plugin: &Version, wanted: &Properties) -> Vec<Found> {
    let all = wanted.iter().flat_map(|(object_type, properties)| {
        let named = properties.iter();
        named.map(move |property| (object_type.clone(), property.clone()))
    });
    all.map(|(object_type, property)| {
        let choices = push::choices(plugin, &object_type, &property).ok_or(Untold::Gone);
        let told = |choices: Vec<Choice>| choices.into_iter();
        let told = choices.map(told);
        Found {
            choices: told
                .map(|choices| table(choices.map(|one| (one.value, one.label, one.closed)))),
            object_type,
            property,
        }
    })
    .collect()
}

/// The choices of properties of one type, but for those that are owners: which
/// those are.
async fn of_type(
    host: &Arc<Host>,
    key: (AccountId, ObjectType),
    wanted: &BTreeSet<PropertyName>,
    asked: Asked,
) -> Result<(Vec<Found>, Vec<(ObjectType, PropertyName)>), Error> {
    let object_type = key.1.clone();
    let (in_pipelines, others): (Vec<_>, Vec<_>) = wanted
        .iter()
        .cloned()
        .partition(|name| ChoicesAt::by_name(&object_type, name).is_some());
    let mut found = Vec::new();
    let mut owned = Vec::new();
    if !in_pipelines.is_empty() {
        let pipelines = told(definitions::pipelines(host, key.clone(), asked).await)?;
        found.extend(in_pipelines.into_iter().map(|property| Found {
            choices: match &pipelines {
                Ok(pipelines) => of_pipelines(&object_type, &property, pipelines),
                Err(untold) => Err(untold.clone()),
            },
            object_type: object_type.clone(),
            property,
        }));
    }
    if !others.is_empty() {
        let defined = told(definitions::properties(host, key, asked).await)?;
        for property in others {
            let choices = match &defined {
                Err(untold) => Err(untold.clone()),
                Ok(defined) => {
                    let known = defined.iter().find(|one| one.name == property);
                    match known.map(|known| (known, ChoicesAt::of(&object_type, known))) {
                        Some((_, Some(ChoicesAt::Owners))) => {
                            owned.push((object_type.clone(), property));
                            continue;
                        }
                        Some((known, Some(_))) => Ok(of_definition(known)),
                        Some((_, None)) | None => Err(Untold::Gone),
                    }
                }
            };
            found.push(Found {
                object_type: object_type.clone(),
                property,
                choices,
            });
        }
    }
    Ok((found, owned))
}

/// What was read, or what only people can mend; a failure for anything else.
fn told<T>(read: Result<Arc<T>, Error>) -> Result<Result<Arc<T>, Untold>, Error> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(Error::HubSpot(hubspot::Error::MissingScopes { scopes })) => {
            Ok(Err(Untold::MissingScopes(scopes)))
        }
        Err(error) => Err(error),
    }
}

fn of_definition(property: &Property) -> OptionTable {
    let choices = property.options.iter();
    table(choices.map(|option| (option.value.clone(), option.label.clone(), None)))
}

fn of_pipelines(
    object_type: &ObjectType,
    property: &PropertyName,
    pipelines: &[Pipeline],
) -> Result<OptionTable, Untold> {
    match ChoicesAt::by_name(object_type, property) {
        Some(ChoicesAt::Stages) => {
            let stages = pipelines.iter().flat_map(|pipeline| &pipeline.stages);
            let choices =
                stages.map(|stage| (stage.id.clone(), stage.label.clone(), stage.closed()));
            Ok(table(choices))
        }
        Some(ChoicesAt::Pipelines) => {
            let choices = pipelines.iter();
            Ok(table(
                choices.map(|one| (one.id.clone(), one.label.clone(), None)),
            ))
        }
        _ => Err(Untold::Gone),
    }
}

fn of_owners(owners: &[Owner]) -> OptionTable {
    let labelled = owners.iter();
    table(labelled.filter_map(|owner| Some((owner.id.clone(), owner.label()?, None))))
}

/// A table by value. Of those with one value the first counts.
fn table(choices: impl Iterator<Item = (String, String, Option<bool>)>) -> OptionTable {
    let mut choices: Vec<Choice> = choices
        .map(|(value, label, closed)| Choice {
            value,
            label,
            closed,
        })
        .collect();
    choices.sort_by(|one, other| one.value.cmp(&other.value));
    choices.dedup_by(|one, other| one.value == other.value);
    OptionTable { choices }
}
