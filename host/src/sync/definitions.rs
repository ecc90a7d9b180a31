//! What an account's properties are, as HubSpot defines them now.

use std::{collections::HashMap, sync::Arc};

use super::grants;
use crate::{
    host::Host,
    hubspot::{self, Priority, Property},
    model::{AccountId, ObjectType, PropertyDefinition},
    plugin::{Fault, SuitableTypes},
    telemetry::spawn_blocking,
};

/// Why definitions cannot be had.
#[derive(Debug, thiserror::Error)]
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

/// The properties of an object type, by name.
pub async fn of(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
) -> Result<Vec<Definition>, Error> {
    let mut properties = read(host, account, object_type).await?;
    properties.retain(|property| !property.archived);
    properties.sort_by(|one, other| one.name.cmp(&other.name));
    let plugin = host.plugins.active();
    let asked: Vec<PropertyDefinition> = properties.iter().map(definition).collect();
    let suitable = spawn_blocking(move || plugin.suitable(&asked))
        .await
        .map_err(|_| Error::Ended)??;
    Ok(properties
        .into_iter()
        .zip(suitable)
        .map(|(property, suitable)| Definition { property, suitable })
        .collect())
}

/// The properties of several object types.
pub async fn of_all(
    host: &Arc<Host>,
    account: AccountId,
    object_types: &[ObjectType],
) -> Result<HashMap<ObjectType, Vec<Definition>>, Error> {
    let reads = object_types.iter().map(|object_type| async move {
        let definitions = of(host, account, object_type).await?;
        Ok((object_type.clone(), definitions))
    });
    futures_util::future::try_join_all(reads)
        .await
        .map(|all| all.into_iter().collect())
}

async fn read(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
) -> Result<Vec<Property>, Error> {
    let caller = host.grants.caller(account, Priority::Live).await?;
    match host.hubspot.properties(&caller, object_type).await {
        Err(hubspot::Error::Unauthorized) => {
            host.grants.replace(account, &caller.token).await?;
            let caller = host.grants.caller(account, Priority::Live).await?;
            Ok(host.hubspot.properties(&caller, object_type).await?)
        }
        answer => Ok(answer?),
    }
}
