//! What a version says that it understands, as it is kept.

use crate::{
    model::{Described, DescribedBody, DescribedMatch, DescribedType, ObjectType, UserIdentifier},
    plugin::{DefaultMatch, ObjectTypeDescription, Version},
};

/// What a version says that it understands.
pub fn described(version: &Version) -> Described {
    let description = version.description();
    let bodies = [
        (DescribedBody::Delivery, true),
        (
            DescribedBody::JournalFile,
            description.journal_file.is_some(),
        ),
        (
            DescribedBody::RecordsPage,
            description.records_page.is_some(),
        ),
        (
            DescribedBody::AssociationsPage,
            description.associations_page.is_some(),
        ),
    ];
    Described {
        object_types: description.object_types.iter().map(object_type).collect(),
        bodies: bodies
            .into_iter()
            .filter_map(|(body, is_read)| is_read.then_some(body))
            .collect(),
        defines_properties: version.definitions().is_some(),
    }
}

fn object_type(said: &ObjectTypeDescription) -> DescribedType {
    // It may name one twice.
    let mut through: Vec<ObjectType> = Vec::new();
    for one in &said.through {
        if !through.contains(one) {
            through.push(one.clone());
        }
    }
    DescribedType {
        name: said.name.clone(),
        label: said.label.clone(),
        default_match: said.default_match.as_ref().map(matched),
        through,
        selections: said.selections.clone(),
    }
}

fn matched(said: &DefaultMatch) -> DescribedMatch {
    DescribedMatch {
        property: said.property.clone(),
        identifier: match said.identifier {
            UserIdentifier::Email => "email".to_owned(),
            UserIdentifier::ExternalId => "external_id".to_owned(),
            // No description has it; whoever reads it is told as it is.
            UserIdentifier::Variable(variable) => variable.to_string(),
        },
    }
}
