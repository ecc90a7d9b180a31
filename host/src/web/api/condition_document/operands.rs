//! Reading a rule's test: an operator of the attribute's type, and its value.

use serde_json::Value as Json;

use super::super::values;
use crate::model::{
    TEXT_LENGTH_MAX, Value, VariableType,
    condition::{
        Comparison, DAYS_MAX, DayTest, ListTest, Number, Point, TEXTS_MAX, Test, TextTest,
    },
};

/// What is wrong with a value; of a list, with which of its items.
pub(super) struct Wrong {
    /// Which item, where it is one of a list.
    pub index: Option<usize>,
    /// What is wrong.
    pub detail: String,
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

/// The test that an operator makes of a value.
pub(super) fn test(of: VariableType, operator: &str, value: Option<&Json>) -> Result<Test, Wrong> {
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
