//! The rules by which records find users: in force, asked for, and what they can be made
//! of.

use super::{
    super::fields::shown::{self, Known},
    MatchingQuery, Way,
};
use crate::{
    model::{PropertyName, VariableType},
    plugin::ObjectTypeDescription,
    store::variables::Variable,
    web::api::{
        mapping_document::{
            EMAIL, EXTERNAL_ID, MatchingDocument, ObjectDocument, OwnMatching, ThroughMatching,
            VARIABLE,
        },
        properties::Property,
    },
};

/// How an object type's records find users, in a sentence.
pub(in crate::web::pages::settings::connection) fn sentence(
    described: &ObjectTypeDescription,
    object: Option<&ObjectDocument>,
    known: Option<&Known>,
    source: &str,
) -> String {
    match rule(described, object) {
        MatchingDocument::Own(own) => {
            let property = known.and_then(|known| known.property(&own.property));
            let label =
                property.map_or_else(|| shown::in_words(&own.property), |one| one.label.clone());
            format!("{label} in {source} is {} in Jimo", identifier(&own.user))
        }
        MatchingDocument::Through(through) => format!("They follow their {}", through.through),
    }
}

/// The rule in force, or the one that would be.
pub(super) fn rule(
    described: &ObjectTypeDescription,
    object: Option<&ObjectDocument>,
) -> MatchingDocument {
    if let Some(said) = object.and_then(|object| object.matching.clone()) {
        return said;
    }
    MatchingDocument::default_of(described)
}

/// What people call a user's identifier.
fn identifier(user: &str) -> &str {
    match user {
        EMAIL => "Email",
        EXTERNAL_ID => "User ID",
        other => other.strip_prefix(VARIABLE).unwrap_or(other),
    }
}

/// The rule that is asked for.
pub(super) fn wanted(
    described: &ObjectTypeDescription,
    query: &MatchingQuery,
    known: Option<&Known>,
    in_force: &MatchingDocument,
) -> MatchingDocument {
    match (query.way, described.through.first()) {
        (None, _) => in_force.clone(),
        (Some(Way::Through), Some(through)) => MatchingDocument::Through(ThroughMatching {
            through: through.clone(),
        }),
        (Some(_), _) => MatchingDocument::Own(OwnMatching {
            property: property_meant(query.property.as_ref(), known),
            user: query.user.clone().unwrap_or_else(|| EMAIL.to_owned()),
        }),
    }
}

/// The property that somebody typed the name of, else the one that alone has that
/// label.
fn property_meant(typed: Option<&PropertyName>, known: Option<&Known>) -> PropertyName {
    let Some(typed) = typed else {
        return "".into();
    };
    let known = known.filter(|known| known.property(typed).is_none());
    let label = typed.as_str().trim().to_lowercase();
    let properties = known.into_iter().flat_map(|known| &known.properties);
    let mut meant = properties.filter(|one| one.label.to_lowercase() == label);
    match (meant.next(), meant.next()) {
        (Some(one), None) => one.name.clone(),
        _ => typed.clone(),
    }
}

/// By what users can be matched: not by what HubSpot feeds, which would go round in
/// a circle.
pub(super) fn users(variables: &[Variable], chosen: &str) -> Vec<(String, String, bool)> {
    let native = [(EMAIL, "Email"), (EXTERNAL_ID, "User ID")];
    let native = native.map(|(name, label)| (name.to_owned(), label.to_owned()));
    let own = variables.iter().filter(|variable| {
        let fits = matches!(
            variable.variable_type,
            VariableType::Text | VariableType::Number
        );
        fits && variable.fed_by.is_none()
    });
    let own = own.map(|variable| {
        let label = variable.label.as_ref().unwrap_or(&variable.name);
        (format!("{VARIABLE}{}", variable.name), label.clone())
    });
    native
        .into_iter()
        .chain(own)
        .map(|(name, label)| {
            let is_chosen = name == chosen;
            (name, label, is_chosen)
        })
        .collect()
}

/// The properties that can hold an identifier, by label.
pub(super) fn fitting(known: &Known, is_read: bool) -> Vec<(PropertyName, String)> {
    let holds = |one: &&Property| match is_read {
        true => matches!(&*one.property_type, "string" | "number" | "enumeration"),
        // Other sources have their own words for types.
        false => matches!(
            one.suggested_variable_type,
            Some(VariableType::Text | VariableType::Number)
        ),
    };
    let mut fitting: Vec<_> = known
        .properties
        .iter()
        .filter(holds)
        .filter(|one| one.suggested_variable_type.is_some() && !one.calculated && !one.hidden)
        .map(|one| (one.name.clone(), one.label.clone()))
        .collect();
    fitting.sort_by_cached_key(|(_, label)| label.to_lowercase());
    fitting
}
