//! From a record and a rule to its match keys, and the properties that rules and selections need.

use std::collections::BTreeSet;

use crate::contract::matching::{
    KeyKind, MatchKey, MatchingRule, NeededProperties, RecordKeys, RuleError, Selection,
    SelectionRule, UserIdentifier,
};
use crate::contract::types::PropertyDefinition;
use crate::describe;
use crate::hubspot::{self, Object, REDACTED};
use crate::parse::Parsed;
use crate::transform::PropertyKind;

/// The properties that an object type needs beside the mapped ones.
pub(crate) fn needs(
    object_type: &str,
    rule: Option<&MatchingRule>,
    selection: Option<&Selection>,
) -> Result<NeededProperties, RuleError> {
    let object = Object::named(object_type).ok_or(RuleError::UnknownObjectType)?;
    let matching = match rule {
        None => Vec::new(),
        Some(rule) if rule.object_type != object_type => return Err(RuleError::UnknownObjectType),
        Some(rule) => {
            key_kind(object, rule)?;
            properties_of_keys(object, &rule.property)
        }
    };
    let selection = selection.map_or(Ok(Vec::new()), |selection| {
        needs_of_selection(object, selection)
    })?;
    let mut bookkeeping = vec![
        object.last_modified(),
        hubspot::CREATED,
        hubspot::MERGED_IDS,
    ];
    if object == Object::Contacts {
        bookkeeping.push(hubspot::MERGED_VIDS);
    }
    Ok(NeededProperties {
        matching: owned(&matching),
        selection,
        bookkeeping: owned(&bookkeeping),
    })
}

/// The match keys of every record of a page.
pub(crate) fn match_keys(page: &Parsed, rule: &MatchingRule) -> Vec<RecordKeys> {
    let Some(object) = page
        .page_of()
        .filter(|object| object.name() == rule.object_type)
    else {
        return Vec::new();
    };
    // A rule that `needs` refuses has no keys.
    let kind = key_kind(object, rule).ok();
    let properties = properties_of_keys(object, &rule.property);
    let mut all = Vec::new();
    page.each_record(&properties, |record, texts| {
        let (own, additional) = match texts {
            // What HubSpot does not tell, or hides, says nothing of whom the record matches.
            [None, ..] => return,
            texts if texts.contains(&Some(REDACTED)) => return,
            [Some(own), additional @ ..] => (*own, additional.first().copied().flatten()),
            [] => return,
        };
        let (mut keys, mut seen) = (Vec::new(), BTreeSet::new());
        if let Some(kind) = kind {
            // A record without an own key has additional ones all the same: it matches less surely than others.
            for (place, text) in std::iter::once(own)
                .chain(
                    additional
                        .unwrap_or_default()
                        .split(hubspot::SEPARATOR)
                        .filter(|text| !text.is_empty()),
                )
                .enumerate()
            {
                let text = text.trim();
                if !text.is_empty() && seen.insert(text) {
                    // Among additional ones none is surer than another.
                    let rank = u32::from(place > 0);
                    let text = text.to_owned();
                    keys.push(MatchKey { kind, text, rank });
                }
            }
        }
        all.push(RecordKeys {
            element: record.element,
            keys,
        });
    });
    all
}

/// How the rule's property is compared.
fn key_kind(object: Object, rule: &MatchingRule) -> Result<KeyKind, RuleError> {
    let kind = PropertyKind::of(&rule.property);
    match (rule.identifier, kind) {
        // The contacts' address is one whatever it is compared with: people use addresses as ids.
        (_, PropertyKind::Text) if is_address(object, &rule.property) => Ok(KeyKind::Email),
        (UserIdentifier::Email, PropertyKind::Text) => Ok(KeyKind::Email),
        (UserIdentifier::ExternalId | UserIdentifier::Variable, PropertyKind::Number) => {
            Ok(KeyKind::Number)
        }
        (
            UserIdentifier::ExternalId | UserIdentifier::Variable,
            PropertyKind::Text | PropertyKind::Choice,
        ) => Ok(KeyKind::Id),
        _ => Err(RuleError::UnsuitableProperty),
    }
}

/// The properties that keys are made of, the rule's own first.
fn properties_of_keys(object: Object, property: &PropertyDefinition) -> Vec<&str> {
    let mut properties = vec![&*property.name];
    if is_address(object, property) {
        properties.push(hubspot::ADDITIONAL_EMAILS);
    }
    properties
}

fn is_address(object: Object, property: &PropertyDefinition) -> bool {
    object == Object::Contacts && property.name == hubspot::EMAIL
}

/// The properties that a selection depends on, beside the bookkeeping's moments.
fn needs_of_selection(object: Object, selection: &Selection) -> Result<Vec<String>, RuleError> {
    if !describe::selections(object).contains(&selection.rule) {
        return Err(RuleError::UnsupportedSelection);
    }
    let mut properties = Vec::new();
    if selection.rule == SelectionRule::Largest {
        let ranking = selection.property.as_ref().filter(|name| !name.is_empty());
        properties.push(ranking.ok_or(RuleError::UnsupportedSelection)?.clone());
    }
    if selection.prefer_open {
        if object != Object::Deals {
            return Err(RuleError::UnsupportedSelection);
        }
        // A stage belongs to one pipeline alone, so the pipeline says no more.
        properties.push(hubspot::DEAL_STAGE.to_owned());
    }
    Ok(properties)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
