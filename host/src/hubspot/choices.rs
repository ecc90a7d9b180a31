//! Where HubSpot keeps the choices of a property, and with them the labels that
//! people read.

use super::Property;
use crate::model::{ObjectType, PropertyName};

/// The object type whose records pass through pipelines, of those we know.
const DEALS: &str = "deals";
/// Its property that names the pipeline.
const PIPELINE: &str = "pipeline";
/// Its property that names the stage.
const STAGE: &str = "dealstage";
/// HubSpot's word for a property whose values are owners.
const OWNER: &str = "OWNER";

/// Where the choices of a property are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoicesAt {
    /// In the property's own definition.
    Definition,
    /// They are the object type's pipelines.
    Pipelines,
    /// They are the stages of the object type's pipelines.
    Stages,
    /// They are the account's owners.
    Owners,
}

impl ChoicesAt {
    /// Where they are, as far as the property's name alone tells: the pipelines
    /// say more of a stage than its definition does.
    pub fn by_name(object_type: &ObjectType, property: &PropertyName) -> Option<Self> {
        match (object_type.as_str(), property.as_str()) {
            (DEALS, PIPELINE) => Some(Self::Pipelines),
            (DEALS, STAGE) => Some(Self::Stages),
            _ => None,
        }
    }

    /// Where they are; none where the property has no choices, or HubSpot tells
    /// no labels of them.
    pub fn of(object_type: &ObjectType, property: &Property) -> Option<Self> {
        let own = || (!property.options.is_empty()).then_some(Self::Definition);
        Self::by_name(object_type, &property.name).or_else(|| match property.external_options {
            true if property.referenced_object_type.as_deref() == Some(OWNER) => Some(Self::Owners),
            _ => own(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_looked_for_where_hubspot_keeps_them() {
        let property = |json: &str| serde_json::from_str::<Property>(json).expect("a property");
        let stage = property(r#"{"name": "dealstage", "label": "Stage", "type": "enumeration"}"#);
        let owner = property(
            r#"{"name": "hubspot_owner_id", "label": "Owner", "type": "enumeration",
                "externalOptions": true, "referencedObjectType": "OWNER"}"#,
        );
        let team = property(
            r#"{"name": "hubspot_team_id", "label": "Team", "type": "enumeration",
                "externalOptions": true, "referencedObjectType": null}"#,
        );
        let colour = property(
            r#"{"name": "colour", "label": "Colour", "type": "enumeration",
                "options": [{"value": "r", "label": "Red"}]}"#,
        );
        let title = property(r#"{"name": "jobtitle", "label": "Title", "type": "string"}"#);
        for (object_type, property, expected) in [
            ("deals", &stage, Some(ChoicesAt::Stages)),
            ("contacts", &stage, None),
            ("contacts", &owner, Some(ChoicesAt::Owners)),
            ("contacts", &team, None),
            ("contacts", &colour, Some(ChoicesAt::Definition)),
            ("contacts", &title, None),
        ] {
            let found = ChoicesAt::of(&object_type.into(), property);
            assert_eq!(found, expected, "{object_type} {}", property.name);
        }
    }
}
