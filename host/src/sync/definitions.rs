//! What an account's properties are, as HubSpot defines them.
//!
//! They are kept for a while and read once for all who wait, so that nobody who
//! only looks can spend the account's request limit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    grants,
    joint::{Ended, Joint},
    lock,
};
use crate::{
    host::Host,
    hubspot::{self, Priority, Property},
    model::{AccountId, ObjectType, PropertyDefinition, PropertyName, Timestamp},
    plugin::{Fault, SuitableTypes},
    telemetry::spawn_blocking,
};

/// How long definitions are kept: people who map fields open the list again and
/// again, and rarely make a property meanwhile.
const KEPT: Duration = Duration::from_secs(60);

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
    /// What HubSpot says of it.
    pub property: Property,
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

/// What was read, and is kept for a while.
#[derive(Clone)]
struct Kept {
    begun_at: Timestamp,
    /// By name.
    properties: Arc<[Property]>,
}

/// Whether a property is unique, and when that was looked up.
#[derive(Clone, Copy)]
struct Unique {
    looked_up_at: Timestamp,
    is_unique: bool,
}

/// Whose properties.
type Key = (AccountId, ObjectType);

/// The definitions that are kept for a while.
#[derive(Default)]
pub struct Definitions {
    kept: Mutex<HashMap<Key, Kept>>,
    unique: Mutex<HashMap<(Key, PropertyName), Unique>>,
    reads: Joint<Key, Result<Kept, Error>>,
}

/// The properties of an object type, by name, as they were read at `since` or
/// later; within the last minute, where that is not said.
pub async fn of(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
    since: Option<Timestamp>,
) -> Result<Vec<Definition>, Error> {
    let since = since.unwrap_or(host.clock.now().minus(KEPT));
    let properties = properties(host, (account, object_type.clone()), since).await?;
    let plugin = host.plugins.active();
    let asked: Vec<PropertyDefinition> = properties.iter().map(definition).collect();
    let suitable = spawn_blocking(move || plugin.suitable(&asked))
        .await
        .map_err(|_| Error::Ended)??;
    Ok(properties
        .iter()
        .cloned()
        .zip(suitable)
        .map(|(property, suitable)| Definition { property, suitable })
        .collect())
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
    let listed = properties(host, of.0.clone(), now.minus(KEPT)).await?;
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

async fn properties(
    host: &Arc<Host>,
    key: Key,
    since: Timestamp,
) -> Result<Arc<[Property]>, Error> {
    loop {
        let kept = lock(&host.definitions.kept).get(&key).cloned();
        let kept = match kept.filter(|kept| kept.begun_at >= since) {
            Some(kept) => kept,
            None => {
                let read = read(host.clone(), key.clone());
                host.definitions
                    .reads
                    .begin(key.clone(), read)
                    .wait()
                    .await??
            }
        };
        // What was under way may have begun too early.
        if kept.begun_at >= since {
            return Ok(kept.properties);
        }
    }
}

async fn read(host: Arc<Host>, key: Key) -> Result<Kept, Error> {
    let begun_at = host.clock.now();
    let mut properties = call(&host, &key).await?;
    properties.retain(|property| !property.archived);
    properties.sort_by(|one, other| one.name.cmp(&other.name));
    let kept = Kept {
        begun_at,
        properties: properties.into(),
    };
    let mut all = lock(&host.definitions.kept);
    all.retain(|_, kept| begun_at.since(kept.begun_at) < KEPT);
    all.insert(key, kept.clone());
    Ok(kept)
}

async fn call(host: &Arc<Host>, (account, object_type): &Key) -> Result<Vec<Property>, Error> {
    host.grants
        .call(*account, Priority::Live, async |caller| {
            host.hubspot.properties(&caller, object_type).await
        })
        .await
}
