//! Conditions as the API writes them: read and checked, and written again.

mod operands;
mod reading;
mod writing;

use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::{
    model::{
        SegmentId, VariableType,
        condition::{Attribute, Condition, RULES_MAX},
    },
    store::{segments::Segments, variables::Variable},
    web::problem::InputError,
};

/// Whom a segment has: a tree of groups (`all`, `any`, `not`), of rules and of
/// other segments.
///
/// A rule names an attribute: a variable of the project, or one that every user
/// has: `email`, `name`, `external_id` and `created_at` (no variable can have
/// these names). Its `operator` is one of its type's:
///
/// - text: `is`, `is_not`, `contains`, `starts_with`, `ends_with` with a text,
///   `is_one_of` with a list of texts;
/// - number, date, datetime: `=`, `!=`, `<`, `<=`, `>`, `>=` with a value,
///   `between` with a list of two, both included;
/// - date, datetime: `in_last_days` and `in_next_days` with a number of days;
/// - boolean: `is_true`, `is_false`;
/// - list: `contains_any`, `contains_all`, `contains_none` with a list of texts;
/// - all: `is_empty`.
///
/// Case is ignored. A user without a value passes `is_empty`, and what says what
/// a value is not: `is_not`, `!=`, `contains_none`, `not`. A datetime is compared
/// with a moment, or with a whole day of the project's time zone
/// (`2026-09-30`). The last N days reach from the day that was N days ago to
/// now, the next N days from now to the end of the day that is N days ahead.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ConditionDocument {
    /// All of these hold.
    All {
        /// One or more.
        #[schema(no_recursion)]
        all: Vec<Self>,
    },
    /// Any of these holds.
    Any {
        /// One or more.
        #[schema(no_recursion)]
        any: Vec<Self>,
    },
    /// This does not hold.
    Not {
        /// What does not hold.
        #[schema(no_recursion)]
        not: Box<Self>,
    },
    /// The user is in this segment.
    Segment {
        /// The segment's id.
        segment: SegmentId,
    },
    /// An attribute passes a test.
    Rule {
        /// The attribute.
        #[schema(example = "plan")]
        variable: String,
        /// The test.
        #[schema(example = "is_one_of")]
        operator: &'static str,
        /// What it compares with, where it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Json>,
    },
}

/// An attribute that conditions can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The attribute.
    pub attribute: Attribute,
    /// What it is named by.
    pub name: String,
    /// Its type.
    pub of: VariableType,
}

/// What conditions of a project can name.
pub struct Known {
    attributes: Vec<Named>,
    segments: Segments,
}

impl Known {
    /// What there is.
    pub fn new(variables: &[Variable], segments: Segments) -> Self {
        let native = Attribute::NATIVE.into_iter().filter_map(|attribute| {
            Some(Named {
                attribute,
                name: native_name(attribute)?.to_owned(),
                of: attribute.native_type()?,
            })
        });
        let variables = variables.iter().map(|variable| Named {
            attribute: Attribute::Variable(variable.id),
            name: variable.name.clone(),
            of: variable.variable_type,
        });
        Self {
            attributes: native.chain(variables).collect(),
            segments,
        }
    }

    /// The attribute of a name.
    pub fn attribute(&self, name: &str) -> Option<&Named> {
        self.attributes.iter().find(|named| named.name == name)
    }

    /// The project's segments.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    fn name(&self, attribute: Attribute) -> &str {
        let mut attributes = self.attributes.iter();
        // A variable that a segment names cannot go.
        let named = attributes.find(|named| named.attribute == attribute);
        named.map_or("", |named| named.name.as_str())
    }

    /// Reads a condition that stands at `pointer`; else says all that is wrong
    /// with it.
    pub fn read(&self, document: &Json, pointer: &str) -> Result<Condition, Vec<InputError>> {
        let mut reader = reading::Reader {
            known: self,
            errors: Vec::new(),
            rules: 0,
        };
        let condition = reader.condition(document, pointer, 0);
        if reader.rules > RULES_MAX {
            let detail = format!(
                "A segment has at most {RULES_MAX} rules. Move some to a segment of their own."
            );
            return Err(vec![InputError::new(pointer, detail)]);
        }
        match condition {
            Some(condition) if reader.errors.is_empty() => Ok(condition),
            _ => Err(reader.errors),
        }
    }

    /// Writes a condition as it was read.
    pub fn write(&self, condition: &Condition) -> ConditionDocument {
        let each = |parts: &[Condition]| parts.iter().map(|part| self.write(part)).collect();
        match condition {
            Condition::All(parts) => ConditionDocument::All { all: each(parts) },
            Condition::Any(parts) => ConditionDocument::Any { any: each(parts) },
            Condition::Not(part) => ConditionDocument::Not {
                not: Box::new(self.write(part)),
            },
            Condition::Segment(segment) => ConditionDocument::Segment { segment: *segment },
            Condition::Rule(rule) => {
                let (operator, value) = writing::written(&rule.test);
                ConditionDocument::Rule {
                    variable: self.name(rule.attribute).to_owned(),
                    operator,
                    value,
                }
            }
        }
    }
}

fn native_name(attribute: Attribute) -> Option<&'static str> {
    match attribute {
        Attribute::Email => Some("email"),
        Attribute::Name => Some("name"),
        Attribute::ExternalId => Some("external_id"),
        Attribute::CreatedAt => Some("created_at"),
        Attribute::Variable(_) => None,
    }
}

/// The operators of a type.
pub fn operators(of: VariableType) -> &'static [&'static str] {
    match of {
        VariableType::Text => &[
            "is",
            "is_not",
            "contains",
            "starts_with",
            "ends_with",
            "is_one_of",
            "is_empty",
        ],
        VariableType::Number => &["=", "!=", "<", "<=", ">", ">=", "between", "is_empty"],
        VariableType::Date | VariableType::Datetime => &[
            "=",
            "!=",
            "<",
            "<=",
            ">",
            ">=",
            "between",
            "in_last_days",
            "in_next_days",
            "is_empty",
        ],
        VariableType::Boolean => &["is_true", "is_false", "is_empty"],
        VariableType::List => &["contains_any", "contains_all", "contains_none", "is_empty"],
    }
}
