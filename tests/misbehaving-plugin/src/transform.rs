//! Conversion, and values that no variable can hold.

use serde_json::Value as Json;

use crate::{
    Component, always,
    bindings::{
        exports::jimo::connect::{parse as p, transform as t},
        jimo::connect::types,
    },
    parse::Parsed,
    say,
};

/// The most characters that a text, or a list's items together, may have.
const TEXT_LENGTH_MAX: usize = 700;

/// The plainest conversion: a text's own type decides.
fn value(text: &str, target: types::VariableType) -> Result<types::Value, t::Unreadable> {
    if text.is_empty() {
        return Ok(types::Value::Empty);
    }
    let characters = text.chars().count();
    let is_text = matches!(
        target,
        types::VariableType::Text | types::VariableType::List
    );
    if is_text && text.contains('\0') {
        return Err(t::Unreadable::Malformed);
    }
    match target {
        _ if is_text && characters > TEXT_LENGTH_MAX => Err(t::Unreadable::TooLong(
            u32::try_from(characters).unwrap_or(u32::MAX),
        )),
        types::VariableType::Text if always("read otherwise") => {
            Ok(types::Value::Text(text.to_uppercase()))
        }
        types::VariableType::Text => Ok(types::Value::Text(text.to_owned())),
        types::VariableType::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(types::Value::Number(number)),
            Ok(_) => Err(t::Unreadable::OutOfRange),
            Err(_) => Err(t::Unreadable::Malformed),
        },
        types::VariableType::List => Ok(types::Value::List(vec![text.to_owned()])),
        _ => Err(t::Unreadable::Malformed),
    }
}

/// What an element that is told to misbehave makes of its text.
fn misvalue(how: &str) -> Option<types::Value> {
    Some(match how {
        "other type" => types::Value::Boolean(true),
        "empty text" => types::Value::Text(String::new()),
        "long text" => types::Value::Text("é".repeat(701)),
        "longest text" => types::Value::Text("é".repeat(700)),
        "infinite" => types::Value::Number(f64::INFINITY),
        "no number" => types::Value::Number(f64::NAN),
        "empty list" => types::Value::List(vec![]),
        "text with a NUL" => types::Value::Text("a\0b".into()),
        "list with an empty text" => types::Value::List(vec!["a".into(), String::new()]),
        "list with a NUL" => types::Value::List(vec!["a\0b".into()]),
        "long list" => types::Value::List(vec!["é".repeat(350), "é".repeat(351)]),
        "year 0" => types::Value::Date(-719_163),
        "year 1" => types::Value::Date(-719_162),
        "year 9999" => types::Value::Date(2_932_896),
        "year 10000" => types::Value::Date(2_932_897),
        "no day" => types::Value::Date(i32::MIN),
        "no moment" => types::Value::Datetime(253_402_300_800_000),
        _ => return None,
    })
}

impl t::Guest for Component {
    fn suitable(properties: Vec<types::PropertyDefinition>) -> Vec<t::SuitableTypes> {
        if let Some(said) = say::alone(&properties) {
            return say::suitable(&said);
        }
        let types = |property: types::PropertyDefinition| t::SuitableTypes {
            suggested: (property.property_type != "secret").then_some(types::VariableType::Text),
            possible: match property.name.as_str() {
                "contradiction" => vec![types::VariableType::Number],
                _ => vec![types::VariableType::Text, types::VariableType::Number],
            },
        };
        properties.into_iter().map(types).collect()
    }

    fn convert(
        body: p::ParsedBorrow<'_>,
        fields: Vec<t::FieldMapping>,
        _: Vec<t::OptionTable>,
    ) -> Vec<t::Converted> {
        let body = body.get::<Parsed>();
        if let Some(said) = body.said() {
            return say::converted(said);
        }
        let mut converted = Vec::new();
        for (index, element) in body.indexed() {
            let how = element
                .get("misbehave")
                .and_then(Json::as_str)
                .unwrap_or("");
            for (name, text) in body.texts(element) {
                for (place, field) in (0..).zip(&fields).filter(|(_, f)| f.property.name == name) {
                    let outcome = match misvalue(how) {
                        Some(value) => Ok(value),
                        None => value(&text, field.target),
                    };
                    let field = if how == "foreign field" {
                        u32::MAX
                    } else {
                        place
                    };
                    let times = match how {
                        "no outcome" => 0,
                        "outcome twice" => 2,
                        _ => 1,
                    };
                    let outcome = t::Converted {
                        element: index,
                        field,
                        outcome,
                    };
                    converted.extend(std::iter::repeat_n(outcome, times));
                }
            }
        }
        converted
    }

    fn convert_stored(
        texts: Vec<t::StoredText>,
        fields: Vec<t::FieldMapping>,
        _: Vec<t::OptionTable>,
    ) -> Vec<Result<types::Value, t::Unreadable>> {
        if let Some(said) = say::alone(fields.iter().map(|field| &field.property)) {
            return say::stored(&said);
        }
        let outcome = |text: t::StoredText| {
            let field = usize::try_from(text.field)
                .ok()
                .and_then(|field| fields.get(field));
            let Some(field) = field else {
                return Err(t::Unreadable::Malformed);
            };
            match misvalue(&text.text) {
                Some(value) => Ok(value),
                None => value(&text.text, field.target),
            }
        };
        let mut outcomes: Vec<_> = texts.into_iter().map(outcome).collect();
        if fields
            .first()
            .is_some_and(|field| field.property.name == "forgotten")
        {
            outcomes.pop();
        }
        outcomes
    }
}
