//! What is saved, as the pages build it.

use serde_json::Value as Json;

use super::{Group, Mode, Part, Rule, SEGMENT, attribute, rule::NEGATED};
use crate::web::api::condition_document::ConditionDocument;

/// A condition as a part of what is built.
pub(super) fn part_of(document: &ConditionDocument) -> Part {
    let group = |mode, parts: &[ConditionDocument]| {
        let parts = parts.iter().map(part_of).collect();
        Part::Group(Group { mode, parts })
    };
    match document {
        ConditionDocument::All { all } => group(Mode::All, all),
        ConditionDocument::Any { any } => group(Mode::Any, any),
        ConditionDocument::Not { not } => match not.as_ref() {
            ConditionDocument::Any { any } => group(Mode::None, any),
            part => match negated(part) {
                Some(rule) => Part::Rule(rule),
                None => group(Mode::None, std::slice::from_ref(part)),
            },
        },
        ConditionDocument::Segment { segment } => Part::Rule(Rule {
            attribute: SEGMENT.to_owned(),
            operator: "in".to_owned(),
            values: vec![segment.to_string()],
        }),
        ConditionDocument::Rule {
            variable,
            operator,
            value,
        } => Part::Rule(Rule {
            attribute: attribute(variable),
            operator: (*operator).to_owned(),
            values: value_texts(value.as_ref(), operator),
        }),
    }
}

/// A rule that says what is not, where pages have an operator for that.
fn negated(document: &ConditionDocument) -> Option<Rule> {
    let Part::Rule(rule) = part_of(document) else {
        return None;
    };
    let negated = NEGATED.iter().find(|(_, of)| *of == rule.operator)?;
    let operator = negated.0.to_owned();
    Some(Rule { operator, ..rule })
}

fn value_texts(value: Option<&Json>, operator: &str) -> Vec<String> {
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        None => Vec::new(),
        Some(Json::Array(items)) if operator == "between" => items.iter().map(text).collect(),
        Some(Json::Array(items)) => items.iter().map(text).collect(),
        Some(value) => vec![text(value)],
    }
}
