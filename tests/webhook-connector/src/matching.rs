//! What records are matched on, and the properties that this takes.

use crate::{
    contract::{
        matching::{
            KeyKind, MatchKey, MatchingRule, NeededProperties, RecordKeys, RuleError, Selection,
            SelectionRule,
        },
        types::UserIdentifier,
    },
    parse::Parsed,
    source::Object,
    value::Kind,
};

/// The properties that a rule and a selection need. Moments stand beside the properties, so nothing keeps any.
pub(crate) fn needs(
    object_type: &str,
    rule: Option<&MatchingRule>,
    selection: Option<&Selection>,
) -> Result<NeededProperties, RuleError> {
    let object = Object::named(object_type).ok_or(RuleError::UnknownObjectType)?;
    let mut needed = NeededProperties {
        matching: Vec::new(),
        selection: Vec::new(),
        bookkeeping: Vec::new(),
    };
    if let Some(rule) = rule {
        if rule.object_type != object_type {
            return Err(RuleError::UnknownObjectType);
        }
        key_kind(rule)?;
        needed.matching.push(rule.property.name.clone());
    }
    if let Some(selection) = selection {
        // Nothing here is ever closed.
        if !object.selections().contains(&selection.rule) || selection.prefer_open {
            return Err(RuleError::UnsupportedSelection);
        }
        if selection.rule == SelectionRule::Largest {
            let ranking = selection.property.clone().filter(|name| !name.is_empty());
            needed
                .selection
                .push(ranking.ok_or(RuleError::UnsupportedSelection)?);
        }
    }
    Ok(needed)
}

/// The match keys of a page's records, but for those that do not have the property.
pub(crate) fn match_keys(page: &Parsed, rule: &MatchingRule) -> Vec<RecordKeys> {
    let (Some(object), records) = page.page() else {
        return Vec::new();
    };
    let (true, Ok(kind)) = (object.name() == rule.object_type, key_kind(rule)) else {
        return Vec::new();
    };
    let keys = records.iter().filter_map(|record| {
        let text = record.properties.get(&rule.property.name)?.trim();
        let key = (!text.is_empty()).then(|| MatchKey {
            kind,
            text: text.to_owned(),
            rank: 0,
        });
        Some(RecordKeys {
            element: record.element,
            keys: key.into_iter().collect(),
        })
    });
    keys.collect()
}

/// How the rule's property is compared.
fn key_kind(rule: &MatchingRule) -> Result<KeyKind, RuleError> {
    match (rule.identifier, Kind::of(&rule.property)) {
        (UserIdentifier::Email, Kind::Text) => Ok(KeyKind::Email),
        (UserIdentifier::ExternalId | UserIdentifier::Variable, Kind::Number) => {
            Ok(KeyKind::Number)
        }
        (UserIdentifier::ExternalId | UserIdentifier::Variable, Kind::Text | Kind::Choice) => {
            Ok(KeyKind::Id)
        }
        _ => Err(RuleError::UnsuitableProperty),
    }
}
