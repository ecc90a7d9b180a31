//! Values of variables as JSON, both ways.

use serde_json::Value as Json;

use crate::model::{TEXT_LENGTH_MAX, Timestamp, Value, VariableType};

/// A value as JSON.
pub fn to_json(value: &Value) -> Json {
    value.to_json()
}

/// Reads a value for a variable of a type; none (`null`, an empty text, an
/// empty list) clears it. What is wrong is said for people.
pub fn from_json(json: &Json, variable_type: VariableType) -> Result<Option<Value>, String> {
    if json.is_null() {
        return Ok(None);
    }
    match (variable_type, json) {
        (VariableType::Text, Json::String(text)) => {
            check_length(text.chars().count())?;
            check_text(text)?;
            Ok((!text.is_empty()).then(|| Value::Text(text.clone())))
        }
        (VariableType::Number, Json::Number(number)) => match number.as_f64() {
            Some(number) if number.is_finite() => Ok(Some(Value::Number(number))),
            _ => Err("This number is out of range.".into()),
        },
        (VariableType::Boolean, Json::Bool(boolean)) => Ok(Some(Value::Boolean(*boolean))),
        (VariableType::Date, Json::String(text)) => match text.parse::<jiff::civil::Date>() {
            Ok(date) if text.len() == 10 && date.year() >= 1 => Ok(Some(Value::Date(date))),
            _ => Err("A date is written as 2026-09-30.".into()),
        },
        (VariableType::Datetime, Json::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(moment) if (1..=9999).contains(&year(moment)) => {
                Ok(Some(Value::Datetime(Timestamp(moment.as_millisecond()))))
            }
            _ => Err("A moment is written as 2026-09-30T12:00:00Z, with its offset.".into()),
        },
        (VariableType::List, Json::Array(items)) => {
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                match item.as_str() {
                    Some(text) => texts.push(text.to_owned()),
                    None => return Err("A list has texts alone.".into()),
                }
            }
            texts.iter().try_for_each(|text| check_text(text))?;
            check_length(texts.iter().map(|text| text.chars().count()).sum())?;
            Ok((!texts.is_empty()).then_some(Value::List(texts)))
        }
        (variable_type, _) => Err(format!(
            "This variable takes {}.",
            match variable_type {
                VariableType::Text => "a text",
                VariableType::Number => "a number",
                VariableType::Boolean => "true or false",
                VariableType::Date => "a date as text, such as \"2026-09-30\"",
                VariableType::Datetime => "a moment as text, such as \"2026-09-30T12:00:00Z\"",
                VariableType::List => "a list of texts",
            }
        )),
    }
}

fn year(moment: jiff::Timestamp) -> i16 {
    jiff::tz::TimeZone::UTC.to_datetime(moment).year()
}

fn check_length(length: usize) -> Result<(), String> {
    if length > TEXT_LENGTH_MAX {
        Err(format!(
            "This has {length} characters; a variable holds {TEXT_LENGTH_MAX} at most."
        ))
    } else {
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        Err("A text cannot have the character NUL.".into())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was_given() {
        for (variable_type, value) in [
            (VariableType::Text, json!("Ana")),
            (VariableType::Number, json!(3)),
            (VariableType::Number, json!(-2.5)),
            (VariableType::Boolean, json!(false)),
            (VariableType::Date, json!("2026-09-30")),
            (VariableType::Datetime, json!("2026-09-30T12:00:00.000Z")),
            (VariableType::List, json!(["a", "b"])),
        ] {
            let read = from_json(&value, variable_type).expect("a value");
            assert_eq!(to_json(&read.expect("not empty")), value);
        }
    }

    #[test]
    fn the_longest_text_has_700_characters() {
        let text = |length: usize| json!("é".repeat(length));
        assert!(from_json(&text(700), VariableType::Text).is_ok());
        assert!(from_json(&text(701), VariableType::Text).is_err());
    }

    #[test]
    fn empty_is_no_value() {
        for (variable_type, value) in [
            (VariableType::Text, json!("")),
            (VariableType::List, json!([])),
            (VariableType::Number, json!(null)),
        ] {
            assert_eq!(from_json(&value, variable_type), Ok(None));
        }
    }
}
