//! Conditions as the API writes them: read and checked, and written again.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::values;
use crate::{
    model::{
        SegmentId, TEXT_LENGTH_MAX, Value, VariableType,
        condition::{
            Attribute, Comparison, Condition, DAYS_MAX, DEPTH_MAX, DayTest, ListTest, Number,
            Point, RULES_MAX, Rule, TEXTS_MAX, Test, TextTest,
        },
    },
    store::{segments::Segments, variables::Variable},
    web::problem::{InputError, step},
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
        let mut reader = Reader {
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
                let (operator, value) = written(&rule.test);
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

/// How much is said to be wrong at once: a body has room for millions.
const ERRORS_MAX: usize = 100;

struct Reader<'k> {
    known: &'k Known,
    errors: Vec<InputError>,
    rules: usize,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.errors.push(InputError::new(pointer, detail));
        None
    }

    fn condition(&mut self, document: &Json, pointer: &str, depth: usize) -> Option<Condition> {
        if self.errors.len() >= ERRORS_MAX {
            return None;
        }
        if depth > DEPTH_MAX {
            return self.refuse(
                pointer,
                format!("Groups are nested at most {DEPTH_MAX} deep. Move some to a segment of their own."),
            );
        }
        let Json::Object(fields) = document else {
            return self.refuse(pointer, SHAPES);
        };
        let known = ["all", "any", "not", "segment", "variable"];
        let kinds: Vec<&str> = known
            .into_iter()
            .filter(|kind| fields.contains_key(*kind))
            .collect();
        let [kind] = kinds[..] else {
            return self.refuse(pointer, SHAPES);
        };
        let others = |field: &&String| match kind {
            "variable" => !["variable", "operator", "value"].contains(&field.as_str()),
            kind => *field != kind,
        };
        if let Some(other) = fields.keys().find(others) {
            let pointer = format!("{pointer}/{}", step(other));
            return self.refuse(&pointer, "This is no part of such a condition.");
        }
        let part = &fields[kind];
        let at = format!("{pointer}/{kind}");
        match kind {
            "all" => self.group(part, &at, depth).map(Condition::All),
            "any" => self.group(part, &at, depth).map(Condition::Any),
            "not" => {
                let part = self.condition(part, &at, depth + 1)?;
                Some(Condition::Not(Box::new(part)))
            }
            "segment" => self.segment(part, &at),
            _ => self.rule(fields, pointer),
        }
    }

    fn group(&mut self, parts: &Json, pointer: &str, depth: usize) -> Option<Vec<Condition>> {
        let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
        if parts.is_empty() {
            return self.refuse(pointer, "A group has a list of one or more conditions.");
        }
        let mut read = Vec::with_capacity(parts.len().min(RULES_MAX));
        for (index, part) in parts.iter().enumerate() {
            // What is wrong with one says nothing of the others.
            read.push(self.condition(part, &format!("{pointer}/{index}"), depth + 1));
            if self.rules > RULES_MAX || self.errors.len() >= ERRORS_MAX {
                return None;
            }
        }
        read.into_iter().collect()
    }

    fn segment(&mut self, id: &Json, pointer: &str) -> Option<Condition> {
        self.rules += 1;
        let id = id.as_str().and_then(|id| id.parse::<SegmentId>().ok());
        match id.filter(|id| self.known.segments.condition(*id).is_some()) {
            Some(id) => Some(Condition::Segment(id)),
            None => self.refuse(pointer, "There is no such segment in this project."),
        }
    }

    fn rule(&mut self, fields: &Map<String, Json>, pointer: &str) -> Option<Condition> {
        self.rules += 1;
        let name = fields["variable"].as_str().unwrap_or_default();
        let Some(named) = self.known.attribute(name) else {
            return self.refuse(
                &format!("{pointer}/variable"),
                "There is no such attribute: name a variable of the project, or `email`, `name`, `external_id` or `created_at`.",
            );
        };
        let operator = fields
            .get("operator")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let Some(operator) = operators(named.of).iter().find(|known| **known == operator) else {
            let of = named.of;
            let operators = operators(of).join("`, `");
            return self.refuse(
                &format!("{pointer}/operator"),
                format!("Of an attribute of type {of} the operator is one of `{operators}`."),
            );
        };
        let at = format!("{pointer}/value");
        match test(
            named.of,
            operator,
            fields.get("value").filter(|value| !value.is_null()),
        ) {
            Ok(test) => Some(Condition::Rule(Rule {
                attribute: named.attribute,
                test,
            })),
            Err(Wrong { index, detail }) => {
                let at = index.map_or_else(|| at.clone(), |index| format!("{at}/{index}"));
                self.refuse(&at, detail)
            }
        }
    }
}

const SHAPES: &str =
    "A condition is an object with `all`, `any`, `not`, `segment`, or `variable` and `operator`.";

/// What is wrong with a value; of a list, with which of its items.
struct Wrong {
    index: Option<usize>,
    detail: String,
}

impl Wrong {
    fn at(index: usize) -> impl Fn(Self) -> Self {
        move |wrong| Self {
            index: Some(index),
            ..wrong
        }
    }
}

impl From<String> for Wrong {
    fn from(detail: String) -> Self {
        let index = None;
        Self { index, detail }
    }
}

impl From<&str> for Wrong {
    fn from(detail: &str) -> Self {
        detail.to_owned().into()
    }
}

fn test(of: VariableType, operator: &str, value: Option<&Json>) -> Result<Test, Wrong> {
    if let "is_empty" | "is_true" | "is_false" = operator {
        return match value {
            Some(_) => Err("This operator takes no value.".into()),
            None if operator == "is_empty" => Ok(Test::IsEmpty),
            None => Ok(Test::Boolean(operator == "is_true")),
        };
    }
    let value = value.ok_or("This operator takes a value.")?;
    match of {
        VariableType::Text => Ok(Test::Text(match operator {
            "is" => TextTest::Is(text(value)?),
            "is_not" => TextTest::IsNot(text(value)?),
            "contains" => TextTest::Contains(text(value)?),
            "starts_with" => TextTest::StartsWith(text(value)?),
            "ends_with" => TextTest::EndsWith(text(value)?),
            _ => TextTest::IsOneOf(texts(value)?),
        })),
        VariableType::List => Ok(Test::List(match operator {
            "contains_any" => ListTest::ContainsAny(texts(value)?),
            "contains_all" => ListTest::ContainsAll(texts(value)?),
            _ => ListTest::ContainsNone(texts(value)?),
        })),
        VariableType::Number => Ok(Test::Number(comparison(operator, value, number)?)),
        VariableType::Date => day_test(operator, value, date).map(Test::Date),
        VariableType::Datetime => day_test(operator, value, point).map(Test::Datetime),
        VariableType::Boolean => Err("This operator takes no value.".into()),
    }
}

fn day_test<T: PartialOrd>(
    operator: &str,
    value: &Json,
    read: impl Fn(&Json) -> Result<T, Wrong>,
) -> Result<DayTest<T>, Wrong> {
    match operator {
        "in_last_days" => days(value).map(DayTest::InLastDays),
        "in_next_days" => days(value).map(DayTest::InNextDays),
        _ => comparison(operator, value, read).map(DayTest::Is),
    }
}

fn comparison<T: PartialOrd>(
    operator: &str,
    value: &Json,
    read: impl Fn(&Json) -> Result<T, Wrong>,
) -> Result<Comparison<T>, Wrong> {
    Ok(match operator {
        "=" => Comparison::Equal(read(value)?),
        "!=" => Comparison::NotEqual(read(value)?),
        "<" => Comparison::Less(read(value)?),
        "<=" => Comparison::AtMost(read(value)?),
        ">" => Comparison::Greater(read(value)?),
        ">=" => Comparison::AtLeast(read(value)?),
        _ => {
            let Some([first, last]) = value.as_array().map(Vec::as_slice) else {
                return Err("`between` takes a list of two values.".into());
            };
            let first = read(first).map_err(Wrong::at(0))?;
            let last = read(last).map_err(Wrong::at(1))?;
            if last < first {
                let wrong = Wrong::from("This comes before the first value.");
                return Err(Wrong::at(1)(wrong));
            }
            Comparison::Between(first, last)
        }
    })
}

fn text(value: &Json) -> Result<String, Wrong> {
    let text = value.as_str().ok_or("This operator takes a text.")?;
    if text.is_empty() {
        return Err("A text is asked for; `is_empty` finds those without one.".into());
    }
    let length = text.chars().count();
    if length > TEXT_LENGTH_MAX {
        return Err(format!(
            "This has {length} characters; no value has more than {TEXT_LENGTH_MAX}."
        )
        .into());
    }
    if text.contains('\0') {
        return Err("A text cannot have the character NUL.".into());
    }
    Ok(text.to_owned())
}

fn texts(value: &Json) -> Result<Vec<String>, Wrong> {
    let items = value
        .as_array()
        .ok_or("This operator takes a list of texts.")?;
    if items.is_empty() || items.len() > TEXTS_MAX {
        return Err(format!("This operator takes 1 to {TEXTS_MAX} texts.").into());
    }
    let read = items.iter().enumerate();
    read.map(|(index, item)| text(item).map_err(Wrong::at(index)))
        .collect()
}

fn number(value: &Json) -> Result<Number, Wrong> {
    match values::from_json(value, VariableType::Number) {
        Ok(Some(Value::Number(number))) => Ok(Number(number)),
        _ => Err("A number is asked for.".into()),
    }
}

fn date(value: &Json) -> Result<jiff::civil::Date, Wrong> {
    match values::from_json(value, VariableType::Date) {
        Ok(Some(Value::Date(date))) => Ok(date),
        _ => Err("A date is asked for, such as 2026-09-30.".into()),
    }
}

fn point(value: &Json) -> Result<Point, Wrong> {
    if let Ok(day) = date(value) {
        return Ok(Point::Day(day));
    }
    match values::from_json(value, VariableType::Datetime) {
        Ok(Some(Value::Datetime(moment))) => Ok(Point::At(moment)),
        _ => Err("A day is asked for, such as 2026-09-30, or a moment with its offset, such as 2026-09-30T12:00:00Z.".into()),
    }
}

fn days(value: &Json) -> Result<u32, Wrong> {
    let days = value.as_u64().and_then(|days| u32::try_from(days).ok());
    days.filter(|days| (1..=DAYS_MAX).contains(days))
        .ok_or_else(|| format!("A number of days from 1 to {DAYS_MAX} is asked for.").into())
}

fn written(test: &Test) -> (&'static str, Option<Json>) {
    match test {
        Test::IsEmpty => ("is_empty", None),
        Test::Boolean(true) => ("is_true", None),
        Test::Boolean(false) => ("is_false", None),
        Test::Text(test) => match test {
            TextTest::Is(text) => ("is", Some(text.clone().into())),
            TextTest::IsNot(text) => ("is_not", Some(text.clone().into())),
            TextTest::Contains(text) => ("contains", Some(text.clone().into())),
            TextTest::StartsWith(text) => ("starts_with", Some(text.clone().into())),
            TextTest::EndsWith(text) => ("ends_with", Some(text.clone().into())),
            TextTest::IsOneOf(texts) => ("is_one_of", Some(texts.clone().into())),
        },
        Test::List(test) => match test {
            ListTest::ContainsAny(texts) => ("contains_any", Some(texts.clone().into())),
            ListTest::ContainsAll(texts) => ("contains_all", Some(texts.clone().into())),
            ListTest::ContainsNone(texts) => ("contains_none", Some(texts.clone().into())),
        },
        Test::Number(comparison) => written_comparison(comparison, |number| {
            values::to_json(&Value::Number(number.0))
        }),
        Test::Date(test) => written_day_test(test, |date| date.to_string().into()),
        Test::Datetime(test) => written_day_test(test, |point| match point {
            Point::Day(day) => day.to_string().into(),
            Point::At(moment) => moment.to_string().into(),
        }),
    }
}

fn written_day_test<T>(
    test: &DayTest<T>,
    write: impl Fn(&T) -> Json,
) -> (&'static str, Option<Json>) {
    match test {
        DayTest::Is(comparison) => written_comparison(comparison, write),
        DayTest::InLastDays(days) => ("in_last_days", Some((*days).into())),
        DayTest::InNextDays(days) => ("in_next_days", Some((*days).into())),
    }
}

fn written_comparison<T>(
    comparison: &Comparison<T>,
    write: impl Fn(&T) -> Json,
) -> (&'static str, Option<Json>) {
    let (operator, value) = match comparison {
        Comparison::Equal(value) => ("=", write(value)),
        Comparison::NotEqual(value) => ("!=", write(value)),
        Comparison::Less(value) => ("<", write(value)),
        Comparison::AtMost(value) => ("<=", write(value)),
        Comparison::Greater(value) => (">", write(value)),
        Comparison::AtLeast(value) => (">=", write(value)),
        Comparison::Between(first, last) => ("between", vec![write(first), write(last)].into()),
    };
    (operator, Some(value))
}
