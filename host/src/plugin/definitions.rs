//! The properties that a component tells of its source's records, checked: an
//! optional interface of the contract, since 1.1.0.

use std::collections::BTreeSet;

use super::{
    bindings::definitions::exports::jimo::connect::definitions as wit,
    describe::{Description, check_text},
    limits::NAME_BYTES_MAX,
};
use crate::model::{Choice, ObjectType, PropertyDefinition};

/// More properties of a type, or choices of one, than this are a mistake.
const COUNT_MAX: usize = 1000;

/// A property, as a component defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedProperty {
    /// Its name, and the words for its type.
    pub definition: PropertyDefinition,
    /// What people read.
    pub label: String,
    /// What people find it under; empty where it stands in no group.
    pub group: String,
    /// Its choices, each value once.
    pub choices: Vec<Choice>,
}

/// The properties of one object type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDefinitions {
    /// The object type.
    pub object_type: ObjectType,
    /// Its properties, each name once.
    pub properties: Vec<DefinedProperty>,
}

/// Checks what a component says, and takes it over; else says what is wrong.
pub(super) fn from_wit(
    said: Vec<wit::ObjectProperties>,
    description: &Description,
) -> Result<Vec<ObjectDefinitions>, String> {
    let mut types = BTreeSet::new();
    let object = |said: wit::ObjectProperties| {
        let object_type = ObjectType::from(said.object_type);
        if description.object_type(&object_type).is_none() {
            return Err("properties are of an object type that is not described".into());
        }
        if !types.insert(object_type.clone()) {
            return Err("the properties of an object type are there twice".into());
        }
        if said.properties.len() > COUNT_MAX {
            return Err(format!("there are {} properties", said.properties.len()));
        }
        let mut names = BTreeSet::new();
        let property = |said: wit::Property| {
            let property = property_from_wit(said)?;
            if !names.insert(property.definition.name.clone()) {
                return Err("a property is there twice".to_owned());
            }
            Ok(property)
        };
        let properties = said.properties.into_iter().map(property);
        Ok(ObjectDefinitions {
            object_type,
            properties: properties.collect::<Result<_, _>>()?,
        })
    };
    said.into_iter().map(object).collect()
}

fn property_from_wit(said: wit::Property) -> Result<DefinedProperty, String> {
    for text in [&said.definition.name, &said.label] {
        check_text(text)?;
    }
    let words = [
        &said.definition.property_type,
        &said.definition.field_type,
        &said.group,
    ];
    let is_short = |text: &str| text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    if !words.iter().all(|word| is_short(word)) {
        return Err("a property's word or group is too long or has control characters".into());
    }
    if said.choices.len() > COUNT_MAX {
        return Err(format!("a property has {} choices", said.choices.len()));
    }
    let mut values = BTreeSet::new();
    let choice = |said: wit::PropertyChoice| {
        for text in [&said.value, &said.label] {
            check_text(text)?;
        }
        if !values.insert(said.value.clone()) {
            return Err("a choice is there twice".to_owned());
        }
        Ok(Choice {
            value: said.value,
            label: said.label,
            closed: said.closed,
        })
    };
    Ok(DefinedProperty {
        definition: PropertyDefinition {
            name: said.definition.name.into(),
            property_type: said.definition.property_type,
            field_type: said.definition.field_type,
        },
        label: said.label,
        group: said.group,
        choices: said
            .choices
            .into_iter()
            .map(choice)
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{BodyDescription, ObjectTypeDescription};

    fn description() -> Description {
        let people = ObjectTypeDescription {
            name: "people".into(),
            label: "People".into(),
            singular_label: "Person".into(),
            default_match: None,
            through: vec![],
            selections: vec![],
        };
        Description {
            connector: "crm".into(),
            label: "CRM".into(),
            version: "1.0.0".into(),
            object_types: vec![people],
            delivery: BodyDescription {
                elements: vec![],
                account: Some(vec!["account".into()]),
                records: vec![vec!["id".into()]],
            },
            journal_file: None,
            records_page: None,
            associations_page: None,
        }
    }

    fn property(name: &str) -> wit::Property {
        let choice = |value: &str| wit::PropertyChoice {
            value: value.into(),
            label: value.to_uppercase(),
            closed: None,
        };
        wit::Property {
            definition: wit::PropertyDefinition {
                name: name.into(),
                property_type: "choice".into(),
                field_type: String::new(),
            },
            label: "Plan".into(),
            group: String::new(),
            choices: vec![choice("free"), choice("team")],
        }
    }

    fn people() -> wit::ObjectProperties {
        wit::ObjectProperties {
            object_type: "people".into(),
            properties: vec![property("plan"), property("state")],
        }
    }

    /// What is said of definitions that differ in one thing.
    fn refused(change: impl FnOnce(&mut Vec<wit::ObjectProperties>)) -> String {
        let mut said = vec![people()];
        change(&mut said);
        from_wit(said, &description()).expect_err("refused")
    }

    #[test]
    fn sensible_definitions_are_taken_over() {
        let defined = from_wit(vec![people()], &description()).expect("definitions");
        let properties = &defined[0].properties;
        assert_eq!(properties[1].definition.name.as_str(), "state");
        assert_eq!(properties[0].choices[1].label, "TEAM");
        assert_eq!(from_wit(vec![], &description()), Ok(vec![]));
    }

    #[test]
    fn definitions_that_make_no_sense_are_refused() {
        assert!(refused(|d| d[0].object_type = "tickets".into()).contains("not described"));
        assert!(refused(|d| d.push(people())).contains("twice"));
        assert!(refused(|d| d[0].properties.push(property("plan"))).contains("twice"));
        assert!(refused(|d| d[0].properties[0].label.clear()).contains("empty"));
        assert!(refused(|d| d[0].properties[0].group = "a\n".into()).contains("control"));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(refused(|d| d[0].properties[0].definition.field_type = long).contains("too long"));
        assert!(refused(|d| d[0].properties[0].choices[0].value.clear()).contains("empty"));
        assert!(refused(|d| d[0].properties[0].choices[1].value = "free".into()).contains("twice"));
        let many = |count| {
            move |d: &mut Vec<wit::ObjectProperties>| {
                d[0].properties = (0..count).map(|n| property(&n.to_string())).collect();
            }
        };
        assert!(refused(many(COUNT_MAX + 1)).contains("1001 properties"));
        let mut most = vec![people()];
        many(COUNT_MAX)(&mut most);
        from_wit(most, &description()).expect("as many as there may be");
    }
}
