//! What an account's properties are, as HubSpot defines them, with its pipelines
//! and owners, whom properties name; or as the component does, of a source that
//! cannot be asked.
//!
//! They are kept for a while and read once for all who wait, so that nobody who
//! only looks can spend the account's request limit.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    grants,
    joint::Ended,
    kept::{KEPT, Kept},
    lock,
    samples::Samples,
};
use crate::{
    host::Host,
    hubspot::{self, Caller, ChoicesAt, Owner, Pipeline, Priority, Property, PropertyGroup},
    model::{AccountId, ObjectType, PropertyDefinition, PropertyName, Timestamp},
    plugin::{Fault, SuitableTypes, Version},
    sources::{Source, push},
    telemetry::spawn_blocking,
};

/// How long it is known whether a property is unique: that never changes, but a
/// property may be made anew under an old name.
const UNIQUE_KEPT: Duration = Duration::from_secs(3_600);

/// Why definitions cannot be had. All who wait for one read are told the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The account's grant.
    #[error(transparent)]
    Grant(#[from] grants::Error),
    /// The call.
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    /// The plugin.
    #[error(transparent)]
    Plugin(#[from] Fault),
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

impl From<Ended> for Error {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

/// A property, and the types of variable that it can be mapped to.
#[derive(Clone, Debug)]
pub struct Definition {
    /// What the source says of it.
    pub property: Property,
    /// Where its choices are; none where it has none, or no labels of them are told.
    pub choices_at: Option<ChoicesAt>,
    /// What the plugin says of it.
    pub suitable: SuitableTypes,
}

impl Definition {
    /// What is kept of it with a mapping.
    pub fn definition(&self) -> PropertyDefinition {
        definition(&self.property)
    }
}

fn definition(property: &Property) -> PropertyDefinition {
    PropertyDefinition {
        name: property.name.clone(),
        property_type: property.property_type.clone(),
        field_type: property.field_type.clone(),
    }
}

/// Whose properties, or whose pipelines.
type Key = (AccountId, ObjectType);

/// The definitions that are kept for a while.
#[derive(Default)]
pub struct Definitions {
    /// By name.
    properties: Kept<Key, Vec<Property>, Error>,
    pipelines: Kept<Key, Vec<Pipeline>, Error>,
    owners: Kept<AccountId, Vec<Owner>, Error>,
    groups: Kept<Key, Vec<PropertyGroup>, Error>,
    pub(super) samples: Kept<Key, Samples, Error>,
    unique: Mutex<HashMap<(Key, PropertyName), Unique>>,
}

/// Whether a property is unique, and when that was looked up.
#[derive(Clone, Copy)]
struct Unique {
    looked_up_at: Timestamp,
    is_unique: bool,
}

/// How what is asked for may be read: not before a moment, and how urgently.
pub(super) type Asked = (Timestamp, Priority);

/// The properties of an object type, by name, as they were read at `since` or
/// later; within the last minute, where that is not said.
pub async fn of(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
    since: Option<Timestamp>,
) -> Result<Vec<Definition>, Error> {
    let (source, plugin) = source(host, account).await?;
    let properties = match source {
        Source::HubSpot => {
            let asked = (since.unwrap_or(lately(host)), Priority::Live);
            properties(host, (account, object_type.clone()), asked).await?
        }
        Source::Push => Arc::new(push::properties(&plugin, object_type)),
    };
    let choices_at = |property: &Property| match source {
        Source::HubSpot => ChoicesAt::of(object_type, property),
        Source::Push => (!property.options.is_empty()).then_some(ChoicesAt::Definition),
    };
    let names: Vec<PropertyDefinition> = properties.iter().map(definition).collect();
    let suitable = spawn_blocking(move || plugin.suitable(&names))
        .await
        .map_err(|_| Error::Ended)??;
    Ok(properties
        .iter()
        .cloned()
        .zip(suitable)
        .map(|(property, suitable)| Definition {
            choices_at: choices_at(&property),
            property,
            suitable,
        })
        .collect())
}

/// What an account's source is, and the plugin version that understands it.
pub(super) async fn source(
    host: &Host,
    account: AccountId,
) -> Result<(Source, Arc<Version>), Error> {
    let account = host.store.read(move |tx| tx.account(account)).await;
    // The store's errors are a grant's, too.
    let connector = account.map_err(grants::Error::from)?.connector;
    let plugin = host.plugins.active(&connector)?;
    Ok((Source::of(&connector), plugin))
}

/// The properties of several object types; `since` as in [`of`].
pub async fn of_all(
    host: &Arc<Host>,
    account: AccountId,
    object_types: &[ObjectType],
    since: Option<Timestamp>,
) -> Result<HashMap<ObjectType, Vec<Definition>>, Error> {
    let reads = object_types.iter().map(|object_type| async move {
        let definitions = of(host, account, object_type, since).await?;
        Ok((object_type.clone(), definitions))
    });
    futures_util::future::try_join_all(reads)
        .await
        .map(|all| all.into_iter().collect())
}

/// Whether no two records have the same value of a property, so that records can
/// be read by it; not one that the account does not list.
pub async fn is_unique(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
    property: &PropertyName,
) -> Result<bool, Error> {
    let now = host.clock.now();
    let of = ((account, object_type.clone()), property.clone());
    let known = lock(&host.definitions.unique).get(&of).copied();
    if let Some(known) = known.filter(|known| now.since(known.looked_up_at) < UNIQUE_KEPT) {
        return Ok(known.is_unique);
    }
    let asked = (lately(host), Priority::Live);
    let listed = properties(host, of.0.clone(), asked).await?;
    let is_unique = listed.iter().any(|one| one.name == *property && one.unique);
    let mut all = lock(&host.definitions.unique);
    all.retain(|_, known| now.since(known.looked_up_at) < UNIQUE_KEPT);
    let unique = Unique {
        looked_up_at: now,
        is_unique,
    };
    all.insert(of, unique);
    Ok(is_unique)
}

/// The moment from which on what was read is kept.
pub fn lately(host: &Host) -> Timestamp {
    host.clock.now().minus(KEPT)
}

/// The properties of an object type that are not archived, by name.
pub(super) async fn properties(
    host: &Arc<Host>,
    key: Key,
    asked: Asked,
) -> Result<Arc<Vec<Property>>, Error> {
    let read = || {
        let (host, (account, object_type)) = (host.clone(), key.clone());
        async move {
            let read = async |caller: Caller| host.hubspot.properties(&caller, &object_type).await;
            let mut properties = call(&host, account, asked, read).await?;
            properties.retain(|property| !property.archived);
            properties.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(properties)
        }
    };
    let kept = &host.definitions.properties;
    kept.get(&host.clock, key.clone(), asked, read).await
}

/// The groups that an object type's properties are shown in, in HubSpot's order,
/// as they were within the last minute; of a source that cannot be asked, by name.
pub async fn groups(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
) -> Result<Arc<Vec<PropertyGroup>>, Error> {
    let (source, plugin) = source(host, account).await?;
    if source == Source::Push {
        return Ok(Arc::new(push::groups(&plugin, object_type)));
    }
    let asked = (lately(host), Priority::Live);
    let read = || {
        let (host, object_type) = (host.clone(), object_type.clone());
        async move {
            let read =
                async |caller: Caller| host.hubspot.property_groups(&caller, &object_type).await;
            let mut groups = call(&host, account, asked, read).await?;
            // Negative places come last.
            groups.sort_by_key(|group| (group.display_order < 0, group.display_order));
            Ok(groups)
        }
    };
    let kept = &host.definitions.groups;
    let key = (account, object_type.clone());
    kept.get(&host.clock, key, asked, read).await
}

/// The pipelines of an object type.
pub(super) async fn pipelines(
    host: &Arc<Host>,
    key: Key,
    asked: Asked,
) -> Result<Arc<Vec<Pipeline>>, Error> {
    let read = || {
        let (host, (account, object_type)) = (host.clone(), key.clone());
        async move {
            let read = async |caller: Caller| host.hubspot.pipelines(&caller, &object_type).await;
            call(&host, account, asked, read).await
        }
    };
    let kept = &host.definitions.pipelines;
    kept.get(&host.clock, key.clone(), asked, read).await
}

/// The owners of an account.
pub(super) async fn owners(
    host: &Arc<Host>,
    account: AccountId,
    asked: Asked,
) -> Result<Arc<Vec<Owner>>, Error> {
    let read = || {
        let host = host.clone();
        async move {
            let read = async |caller: Caller| host.hubspot.owners(&caller).await;
            call(&host, account, asked, read).await
        }
    };
    let kept = &host.definitions.owners;
    kept.get(&host.clock, account, asked, read).await
}

pub(super) async fn call<T, F>(
    host: &Arc<Host>,
    account: AccountId,
    (_, priority): Asked,
    read: impl Fn(Caller) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, hubspot::Error>>,
{
    host.grants.call(account, priority, read).await
}
