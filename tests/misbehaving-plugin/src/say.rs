//! Answers that the input dictates, whatever they are: what the first element has
//! at `say` is what is told of all. Where no elements are handed in, the name of the
//! first property is such an element.

use serde_json::Value as Json;

use crate::bindings::{
    exports::jimo::connect::{matching as m, parse as p, transform as t},
    jimo::connect::types,
};

/// What a list of the dictation says, one by one.
fn each<'a, T>(said: &'a Json, list: &str, read: impl Fn(&'a Json) -> T) -> Vec<T> {
    let items = said.get(list).and_then(Json::as_array);
    items.into_iter().flatten().map(read).collect()
}

fn index(said: &Json, key: &str) -> u32 {
    let number = said.get(key).and_then(Json::as_u64).unwrap_or(0);
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn text(said: &Json, key: &str) -> String {
    let text = said.get(key).and_then(Json::as_str);
    text.unwrap_or_default().to_owned()
}

fn texts(said: &Json, key: &str) -> Vec<String> {
    each(said, key, |item| {
        item.as_str().unwrap_or_default().to_owned()
    })
}

fn moment(said: &Json, key: &str) -> Option<i64> {
    said.get(key).and_then(Json::as_i64)
}

pub(crate) fn refusals(said: &Json) -> Vec<p::Refusal> {
    each(said, "refusals", |one| p::Refusal {
        element: index(one, "element"),
        reason: text(one, "reason"),
    })
}

fn property_text(said: &Json) -> p::PropertyText {
    p::PropertyText {
        property: index(said, "property"),
        text: text(said, "text"),
    }
}

pub(crate) fn changes(said: &Json) -> Vec<p::Change> {
    each(said, "changes", |one| p::Change {
        element: index(one, "element"),
        object_type: text(one, "type"),
        occurred_at: moment(one, "at").unwrap_or(0),
        kind: match one.get("kind").and_then(Json::as_str) {
            Some("deleted") => p::ChangeKind::Deleted,
            Some("restored") => p::ChangeKind::Restored,
            Some("erased") => p::ChangeKind::Erased,
            Some("merged") => p::ChangeKind::Merged(p::Merge {
                survivor: text(one, "survivor"),
                merged: texts(one, "merged"),
            }),
            Some("associated") => p::ChangeKind::AssociationChanged(p::AssociationChange {
                to_type: text(one, "to_type"),
                to_record: text(one, "to"),
                removed: false,
            }),
            Some("property") => p::ChangeKind::PropertyChanged(property_text(one)),
            _ => p::ChangeKind::Created,
        },
    })
}

pub(crate) fn records(said: &Json) -> Vec<p::SourceRecord> {
    each(said, "records", |one| p::SourceRecord {
        element: index(one, "element"),
        created_at: moment(one, "created"),
        modified_at: moment(one, "at"),
        archived: false,
        merged: texts(one, "merged"),
        properties: each(one, "properties", property_text),
    })
}

pub(crate) fn associations(said: &Json) -> Vec<p::AssociationSet> {
    each(said, "associations", |one| p::AssociationSet {
        element: index(one, "element"),
        associations: each(one, "to", |to| p::Association {
            to_record: text(to, "record"),
            primary: false,
            labels: texts(to, "labels"),
        }),
    })
}

pub(crate) fn keys(said: &Json) -> Vec<m::RecordKeys> {
    each(said, "keys", |one| m::RecordKeys {
        element: index(one, "element"),
        keys: each(one, "keys", |key| m::MatchKey {
            kind: match index(key, "kind") {
                0 => m::KeyKind::Email,
                1 => m::KeyKind::Id,
                _ => m::KeyKind::Number,
            },
            text: text(key, "text"),
            rank: index(key, "rank"),
        }),
    })
}

pub(crate) fn converted(said: &Json) -> Vec<t::Converted> {
    each(said, "converted", |one| t::Converted {
        element: index(one, "element"),
        field: index(one, "field"),
        outcome: outcome(one),
    })
}

/// What is dictated where no elements are handed in.
pub(crate) fn alone<'a>(
    properties: impl IntoIterator<Item = &'a types::PropertyDefinition>,
) -> Option<Json> {
    let first = properties.into_iter().next()?;
    let mut element: Json = serde_json::from_str(&first.name).ok()?;
    element.get_mut("say").map(Json::take)
}

pub(crate) fn needs(said: &Json) -> Result<m::NeededProperties, m::RuleError> {
    match said.get("error").and_then(Json::as_str) {
        Some("type") => Err(m::RuleError::UnknownObjectType),
        Some("property") => Err(m::RuleError::UnsuitableProperty),
        Some(_) => Err(m::RuleError::UnsupportedSelection),
        None => Ok(m::NeededProperties {
            matching: texts(said, "matching"),
            selection: texts(said, "selection"),
            bookkeeping: texts(said, "bookkeeping"),
        }),
    }
}

pub(crate) fn suitable(said: &Json) -> Vec<t::SuitableTypes> {
    each(said, "suitable", |one| t::SuitableTypes {
        suggested: one.get("suggested").and_then(variable_type),
        possible: each(one, "possible", variable_type)
            .into_iter()
            .flatten()
            .collect(),
    })
}

fn variable_type(said: &Json) -> Option<types::VariableType> {
    Some(match said.as_str()? {
        "text" => types::VariableType::Text,
        "number" => types::VariableType::Number,
        "boolean" => types::VariableType::Boolean,
        "date" => types::VariableType::Date,
        "datetime" => types::VariableType::Datetime,
        _ => types::VariableType::List,
    })
}

pub(crate) fn stored(said: &Json) -> Vec<Result<types::Value, t::Unreadable>> {
    each(said, "stored", outcome)
}

fn outcome(said: &Json) -> Result<types::Value, t::Unreadable> {
    let number = || said.get("value").and_then(Json::as_i64).unwrap_or(0);
    Ok(match said.get("as").and_then(Json::as_str) {
        Some("text") => types::Value::Text(text(said, "value")),
        // By its bits, so that it may be no number at all.
        Some("number") => types::Value::Number(f64::from_bits(number().cast_unsigned())),
        Some("boolean") => types::Value::Boolean(true),
        Some("date") => types::Value::Date(i32::try_from(number()).unwrap_or(i32::MIN)),
        Some("datetime") => types::Value::Datetime(number()),
        Some("list") => types::Value::List(texts(said, "value")),
        Some("empty") => types::Value::Empty,
        _ => return Err(t::Unreadable::UnknownChoice(text(said, "value"))),
    })
}
