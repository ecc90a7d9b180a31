//! What fixtures are run with: the mappings, rules and choices of an imagined customer, in a file that people can read.

use std::path::Path;

use serde::Deserialize;

use crate::contract::exports::jimo::connect::matching::{MatchingRule, UserIdentifier};
use crate::contract::exports::jimo::connect::parse::Interest;
use crate::contract::exports::jimo::connect::transform::{
    Choice, FieldMapping, OptionTable, Shown,
};
use crate::contract::jimo::connect::types::{PropertyDefinition, VariableType};

/// The contract's arguments.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A matching rule for each object type that has one.
    pub rules: Vec<MatchingRule>,
    /// All field mappings.
    pub fields: Vec<FieldMapping>,
    /// The option tables that they speak of.
    pub tables: Vec<OptionTable>,
}

impl Settings {
    /// Reads a file of settings.
    ///
    /// # Errors
    /// If the file is not there, or does not say what it should.
    pub fn read(file: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let written: Written = serde_json::from_slice(&std::fs::read(file)?)?;
        let mut settings = Settings::default();
        for rule in written.rules {
            settings.rules.push(MatchingRule {
                object_type: rule.object_type,
                property: property(&rule.property)?,
                identifier: identifier(&rule.identifier)?,
            });
        }
        for field in written.fields {
            let options =
                (!field.choices.is_empty()).then_some(u32::try_from(settings.tables.len())?);
            if options.is_some() {
                let choice = |(value, label)| Choice {
                    value,
                    label,
                    closed: None,
                };
                settings.tables.push(OptionTable {
                    choices: field.choices.into_iter().map(choice).collect(),
                });
            }
            settings.fields.push(FieldMapping {
                object_type: field.object_type,
                property: property(&field.property)?,
                target: variable_type(&field.target)?,
                show: if field.labels {
                    Shown::Label
                } else {
                    Shown::InternalValue
                },
                options,
            });
        }
        Ok(settings)
    }

    /// The interests that a host would have: the mapped properties of every object type, each once.
    pub fn interests(&self) -> Vec<Interest> {
        let mut interests: Vec<Interest> = Vec::new();
        for field in &self.fields {
            let at = interests
                .iter()
                .position(|interest| interest.object_type == field.object_type);
            let at = at.unwrap_or_else(|| {
                interests.push(Interest {
                    object_type: field.object_type.clone(),
                    properties: Vec::new(),
                });
                interests.len() - 1
            });
            if let Some(interest) = interests.get_mut(at)
                && !interest.properties.contains(&field.property.name)
            {
                interest.properties.push(field.property.name.clone());
            }
        }
        interests
    }
}

/// A property from its words: `NAME TYPE FIELD-TYPE`, the last of which may be absent.
///
/// # Errors
/// If the words are not these.
pub fn property(words: &str) -> Result<PropertyDefinition, String> {
    let mut parts = words.split(' ').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(property_type), field_type) => Ok(PropertyDefinition {
            name,
            property_type,
            field_type: field_type.unwrap_or_default(),
        }),
        _ => Err(format!("{words:?} is no property: NAME TYPE FIELD-TYPE")),
    }
}

/// A type of variables by its name in the contract.
///
/// # Errors
/// If there is none of that name.
pub fn variable_type(name: &str) -> Result<VariableType, String> {
    Ok(match name {
        "text" => VariableType::Text,
        "number" => VariableType::Number,
        "boolean" => VariableType::Boolean,
        "date" => VariableType::Date,
        "datetime" => VariableType::Datetime,
        "list" => VariableType::List,
        _ => return Err(format!("{name:?} is no type of variables")),
    })
}

fn identifier(name: &str) -> Result<UserIdentifier, String> {
    Ok(match name {
        "email" => UserIdentifier::Email,
        "external-id" => UserIdentifier::ExternalId,
        "variable" => UserIdentifier::Variable,
        _ => return Err(format!("{name:?} is no identifier of users")),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rules: Vec<WrittenRule>,
    fields: Vec<WrittenField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenRule {
    object_type: String,
    property: String,
    identifier: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenField {
    object_type: String,
    property: String,
    target: String,
    /// Whether labels are shown.
    #[serde(default)]
    labels: bool,
    /// Internal values and labels.
    #[serde(default)]
    choices: Vec<(String, String)>,
}
