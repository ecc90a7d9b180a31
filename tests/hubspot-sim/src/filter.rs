//! Search filters: what each operator asks of a record.
//!
//! HubSpot: search guide. Text is compared without regard to case, choices exactly, numbers and
//! moments by what they mean.

use serde::Deserialize;

use crate::crm::{Account, ObjectType, Store};
use crate::definitions::{Kind, Property};
use crate::record::Record;
use crate::values::moment_ms;

/// One condition, as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    property_name: String,
    operator: String,
    #[serde(default)]
    value: Option<serde_json::Value>,
    #[serde(default)]
    values: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    high_value: Option<serde_json::Value>,
}

/// One filter, made ready.
pub(crate) struct Test<'a> {
    pub name: &'a str,
    pub property: &'a Property,
    object_type: ObjectType,
    pub operation: Operation,
}

/// Bounds of a number or moment.
pub(crate) struct Range {
    pub low: Option<f64>,
    low_open: bool,
    high: Option<f64>,
    high_open: bool,
}

impl Range {
    fn holds(&self, at: f64) -> bool {
        self.low
            .is_none_or(|low| if self.low_open { at > low } else { at >= low })
            && self.high.is_none_or(|high| {
                if self.high_open {
                    at < high
                } else {
                    at <= high
                }
            })
    }
}

/// What a filter asks of a value.
pub(crate) enum Operation {
    Equal(String),
    NotEqual(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Range(Range),
    Has,
    HasNot,
    Contains(Vec<String>),
    ContainsNot(Vec<String>),
    Linked(ObjectType, Vec<u64>),
}

impl<'a> Test<'a> {
    pub(crate) fn new(store: &'a Store, filter: &'a Filter) -> Result<Self, String> {
        let name = filter.property_name.as_str();
        let linked = name
            .strip_prefix("associations.")
            .and_then(ObjectType::parse);
        let looked_up = if linked.is_some() {
            "hs_object_id"
        } else {
            name
        };
        let Some((_, property)) = store.property(looked_up) else {
            return Err(format!(
                "There was a problem with the request: property '{name}' does not exist"
            ));
        };
        let exact = property.kind == Kind::Enumeration;
        let fold = |text: String| if exact { text } else { text.to_lowercase() };
        let value = || {
            filter
                .value
                .as_ref()
                .map(text_of)
                .ok_or_else(|| format!("operator {} requires a value", filter.operator))
        };
        let values = || {
            filter
                .values
                .as_ref()
                .map(|values| values.iter().map(text_of).collect::<Vec<_>>())
                .filter(|values| !values.is_empty())
                .ok_or_else(|| format!("operator {} requires values", filter.operator))
        };
        let number = |text: &str| {
            order_of(property.kind, text)
                .ok_or_else(|| format!("{text} is not a value of property {name}"))
        };
        let above = |low: Option<f64>, low_open, high: Option<f64>, high_open| {
            Operation::Range(Range {
                low,
                low_open,
                high,
                high_open,
            })
        };
        let operation = match (linked, filter.operator.as_str()) {
            (Some(to), "EQ") => Operation::Linked(to, parse_ids(&[value()?])),
            (Some(to), "IN") => Operation::Linked(to, parse_ids(&values()?)),
            (Some(_), other) => {
                return Err(format!("operator {other} can't be used with associations"));
            }
            (None, "EQ") => Operation::Equal(fold(value()?)),
            (None, "NEQ") => Operation::NotEqual(fold(value()?)),
            (None, "IN") => Operation::In(values()?),
            (None, "NOT_IN") => Operation::NotIn(values()?),
            (None, "LT") => above(None, false, Some(number(&value()?)?), true),
            (None, "LTE") => above(None, false, Some(number(&value()?)?), false),
            (None, "GT") => above(Some(number(&value()?)?), true, None, false),
            (None, "GTE") => above(Some(number(&value()?)?), false, None, false),
            (None, "BETWEEN") => {
                let high = filter
                    .high_value
                    .as_ref()
                    .map(text_of)
                    .ok_or("operator BETWEEN requires a highValue")?;
                above(Some(number(&value()?)?), false, Some(number(&high)?), false)
            }
            (None, "HAS_PROPERTY") => Operation::Has,
            (None, "NOT_HAS_PROPERTY") => Operation::HasNot,
            (None, "CONTAINS_TOKEN") => Operation::Contains(patterns(&value()?)),
            (None, "NOT_CONTAINS_TOKEN") => Operation::ContainsNot(patterns(&value()?)),
            (None, other) => return Err(format!("{other} is not an operator")),
        };
        Ok(Self {
            name,
            property,
            object_type: store.object_type,
            operation,
        })
    }

    pub(crate) fn holds(&self, account: &Account, record: &Record) -> bool {
        if let Operation::Linked(to, ids) = &self.operation {
            let from = (self.object_type, record.id);
            return ids
                .iter()
                .any(|id| !account.links.between(from, (*to, *id)).is_empty());
        }
        if let Operation::Range(range) = &self.operation
            && let Some(number) = record.number(self.object_type, self.name)
        {
            return range.holds(number);
        }
        let value = record
            .read(self.object_type, self.name)
            .filter(|value| !value.is_empty());
        let Some(value) = value else {
            return matches!(
                self.operation,
                Operation::HasNot | Operation::NotIn(_) | Operation::ContainsNot(_)
            );
        };
        let kind = self.property.kind;
        match &self.operation {
            Operation::Equal(wanted) => same(kind, &value, wanted),
            Operation::NotEqual(wanted) => !same(kind, &value, wanted),
            Operation::In(wanted) => wanted.iter().any(|wanted| same(kind, &value, wanted)),
            Operation::NotIn(wanted) => !wanted.iter().any(|wanted| same(kind, &value, wanted)),
            Operation::Range(range) => {
                order_of(kind, &value).is_some_and(|number| range.holds(number))
            }
            Operation::Has => true,
            Operation::HasNot => false,
            Operation::Contains(patterns) => contains(&value, patterns),
            Operation::ContainsNot(patterns) => !contains(&value, patterns),
            Operation::Linked(..) => false,
        }
    }
}

/// Whether a value equals what a filter names: for choices exactly and one of several, for
/// numbers and moments by what they mean, for text without regard to case.
fn same(kind: Kind, value: &str, wanted: &str) -> bool {
    match kind {
        Kind::Enumeration => value.split(';').any(|part| part == wanted),
        Kind::Number | Kind::Date | Kind::Datetime => {
            match (order_of(kind, value), order_of(kind, wanted)) {
                (Some(value), Some(wanted)) => value == wanted,
                _ => value == wanted,
            }
        }
        _ => value.to_lowercase() == wanted.to_lowercase(),
    }
}

/// Where a value stands among others of its property.
pub(crate) fn order_of(kind: Kind, text: &str) -> Option<f64> {
    match kind {
        Kind::Date | Kind::Datetime => moment_ms(text).map(|ms| ms as f64),
        _ => text.trim().parse().ok(),
    }
}

/// The words of a text.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The words of a token filter, with their stars kept.
fn patterns(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric() && letter != '*')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn contains(value: &str, patterns: &[String]) -> bool {
    let tokens = tokens(value);
    patterns.iter().all(|pattern| {
        let bare = pattern.trim_matches('*');
        tokens.iter().any(
            |token| match (pattern.starts_with('*'), pattern.ends_with('*')) {
                (true, true) => token.contains(bare),
                (true, false) => token.ends_with(bare),
                (false, true) => token.starts_with(bare),
                (false, false) => token == bare,
            },
        )
    })
}

fn parse_ids(values: &[String]) -> Vec<u64> {
    values.iter().filter_map(|id| id.parse().ok()).collect()
}

/// A JSON value as text.
pub(crate) fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
