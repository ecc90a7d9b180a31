//! From the host's types to the contract's.
//!
//! The way back is in [`check`](super::check), because nothing comes back
//! unchecked.

use super::{
    bindings::{
        exports::jimo::connect::{describe, matching, parse, transform},
        jimo::connect::types,
    },
    pass::{BodyKind, Conversion, Interest, StoredText},
};
use crate::model::{
    MatchingRule, ObjectType, PropertyDefinition, Selection, SelectionRule, Shown, UserIdentifier,
    VariableType,
};

/// An index that means nothing to a plugin, for one that 32 bits cannot hold.
/// No list of the host's is as long.
fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

pub(super) fn body_kind(kind: &BodyKind) -> parse::BodyKind {
    match kind {
        BodyKind::Delivery => parse::BodyKind::Delivery,
        BodyKind::JournalFile => parse::BodyKind::JournalFile,
        BodyKind::Records(of) => parse::BodyKind::Records(of.to_string()),
        BodyKind::Associations { from, to } => {
            parse::BodyKind::Associations(parse::AssociationPair {
                from_type: from.to_string(),
                to_type: to.to_string(),
            })
        }
    }
}

pub(super) fn interest(interest: &Interest) -> parse::Interest {
    parse::Interest {
        object_type: interest.object_type.to_string(),
        properties: interest
            .properties
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

pub(super) fn property(property: &PropertyDefinition) -> types::PropertyDefinition {
    types::PropertyDefinition {
        name: property.name.to_string(),
        property_type: property.property_type.clone(),
        field_type: property.field_type.clone(),
    }
}

pub(super) fn conversion(
    conversion: &Conversion,
) -> (Vec<transform::FieldMapping>, Vec<transform::OptionTable>) {
    let fields = conversion
        .fields
        .iter()
        .map(|field| transform::FieldMapping {
            object_type: field.object_type.to_string(),
            property: property(&field.property),
            target: variable_type(field.target),
            show: match field.show {
                Shown::InternalValue => transform::Shown::InternalValue,
                Shown::Label => transform::Shown::Label,
            },
            options: field.options.map(index),
        });
    let tables = conversion
        .tables
        .iter()
        .map(|table| transform::OptionTable {
            choices: table
                .choices
                .iter()
                .map(|choice| transform::Choice {
                    value: choice.value.clone(),
                    label: choice.label.clone(),
                    closed: choice.closed,
                })
                .collect(),
        });
    (fields.collect(), tables.collect())
}

fn variable_type(variable_type: VariableType) -> types::VariableType {
    match variable_type {
        VariableType::Text => types::VariableType::Text,
        VariableType::Number => types::VariableType::Number,
        VariableType::Boolean => types::VariableType::Boolean,
        VariableType::Date => types::VariableType::Date,
        VariableType::Datetime => types::VariableType::Datetime,
        VariableType::List => types::VariableType::List,
    }
}

pub(super) fn matching_rule(
    object_type: &ObjectType,
    rule: &MatchingRule,
) -> matching::MatchingRule {
    matching::MatchingRule {
        object_type: object_type.to_string(),
        property: property(&rule.property),
        identifier: match rule.identifier {
            UserIdentifier::Email => matching::UserIdentifier::Email,
            UserIdentifier::ExternalId => matching::UserIdentifier::ExternalId,
            UserIdentifier::Variable(_) => matching::UserIdentifier::Variable,
        },
    }
}

pub(super) fn selection(selection: &Selection) -> matching::Selection {
    matching::Selection {
        rule: match selection.rule {
            SelectionRule::Primary => describe::SelectionRule::Primary,
            SelectionRule::LatestModified => describe::SelectionRule::LatestModified,
            SelectionRule::LatestCreated => describe::SelectionRule::LatestCreated,
            SelectionRule::Largest => describe::SelectionRule::Largest,
        },
        property: selection.property.as_ref().map(ToString::to_string),
        prefer_open: selection.prefer_open,
    }
}

pub(super) fn stored_text(text: &StoredText) -> transform::StoredText {
    transform::StoredText {
        field: index(text.field),
        text: text.text.clone(),
    }
}
