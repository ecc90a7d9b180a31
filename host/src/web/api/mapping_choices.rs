//! The choices that checked mappings depend on: labels that are shown, and what
//! says that a record is closed.

use std::sync::Arc;

use super::mapping_check::Draft;
use crate::{
    host::Host,
    hubspot::{OWNERS_SCOPE, Priority},
    model::{AccountId, ObjectType, OptionTable, PropertyName, Timestamp},
    sync::choices::{self, Properties, Untold},
    web::{error::Error, problem::InputError},
};

/// The choices of properties, by object type.
pub type Choices = Vec<(ObjectType, PropertyName, OptionTable)>;

/// Reads the choices that the drafts depend on, as they were at `since` or
/// later. What HubSpot does not tell is refused where the document asks for it.
pub async fn read(
    host: &Arc<Host>,
    account: AccountId,
    drafts: &[Draft],
    since: Timestamp,
) -> Result<Choices, Error> {
    let mut wanted = Properties::new();
    for draft in drafts {
        for (property, _) in &draft.choices {
            let of_type = wanted.entry(draft.mapping.object_type.clone());
            of_type.or_default().insert(property.clone());
        }
    }
    let found = choices::find(host, account, &wanted, since, Priority::Live).await?;
    let (mut read, mut errors) = (Choices::new(), Vec::new());
    for one in found {
        match one.choices {
            Ok(table) => read.push((one.object_type, one.property, table)),
            Err(untold) => {
                let asked = drafts
                    .iter()
                    .filter(|draft| draft.mapping.object_type == one.object_type)
                    .flat_map(|draft| &draft.choices)
                    .filter(|(property, _)| *property == one.property);
                let detail = detail(&one.property, &untold);
                errors.extend(asked.map(|(_, at)| InputError::new(at.clone(), detail.clone())));
            }
        }
    }
    if errors.is_empty() {
        Ok(read)
    } else {
        Err(Error::Invalid(errors))
    }
}

/// What keeps a property's labels from being shown.
pub fn detail(property: &PropertyName, untold: &Untold) -> String {
    match untold {
        Untold::Gone => format!("{property} has no choices, so no labels."),
        Untold::MissingScopes(scopes) => {
            let scopes = match &scopes[..] {
                [] => OWNERS_SCOPE.to_owned(),
                named => named.join(", "),
            };
            format!(
                "HubSpot does not let us read what {property} can be: the permission {scopes} is \
                 missing. Add it to the app and reconnect, or show internal values."
            )
        }
    }
}
