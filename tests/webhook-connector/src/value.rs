//! One text, and what it is for a variable.

use serde_json::value::RawValue;

use crate::{
    contract::{
        transform::{FieldMapping, OptionTable, Shown, Unreadable},
        types::{PropertyDefinition, Value, VariableType},
    },
    moment,
};

/// The most characters of a text, or of a list's items together.
const CHARACTERS_MAX: usize = 700;

/// The number from which a 64-bit float no longer holds every integer.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What the values of a property are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    Datetime,
    Choice,
    List,
}

impl Kind {
    /// A word that is not known means text.
    pub(crate) fn of(property: &PropertyDefinition) -> Self {
        match &*property.property_type {
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "datetime" => Self::Datetime,
            "choice" => Self::Choice,
            "list" => Self::List,
            _ => Self::Text,
        }
    }

    /// What it can be converted to, the suggested type first.
    pub(crate) fn variable_types(self) -> &'static [VariableType] {
        use VariableType::{Boolean, Date, Datetime, List, Number, Text};
        match self {
            Self::Text => &[Text],
            Self::Number => &[Number, Text],
            Self::Boolean => &[Boolean, Text],
            Self::Date => &[Date, Datetime, Text],
            Self::Datetime => &[Datetime, Date, Text],
            Self::Choice => &[Text, List],
            Self::List => &[List],
        }
    }
}

/// Converts one text as a field says.
pub(crate) fn convert_text(
    text: &str,
    field: &FieldMapping,
    tables: &[OptionTable],
) -> Result<Value, Unreadable> {
    if text.is_empty() {
        return Ok(Value::Empty);
    }
    let kind = Kind::of(&field.property);
    if !kind.variable_types().contains(&field.target) {
        return Err(Unreadable::Malformed);
    }
    match field.target {
        VariableType::Text => {
            let shown = match kind {
                Kind::Choice => shown(text, field, tables)?,
                _ => text,
            };
            check(&[shown])?;
            Ok(Value::Text(shown.to_owned()))
        }
        VariableType::Number => number(text),
        VariableType::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(Unreadable::Malformed),
        },
        VariableType::Date => Ok(Value::Date(moment::day(moment::read(text)?))),
        VariableType::Datetime => Ok(Value::Datetime(moment::read(text)?)),
        VariableType::List => {
            let items = match kind {
                Kind::List => items(text)?,
                _ => vec![shown(text, field, tables)?.to_owned()],
            };
            if items.is_empty() {
                return Ok(Value::Empty);
            }
            check(&items)?;
            Ok(Value::List(items))
        }
    }
}

/// What is shown of a choice.
fn shown<'a>(
    choice: &'a str,
    field: &FieldMapping,
    tables: &'a [OptionTable],
) -> Result<&'a str, Unreadable> {
    if field.show == Shown::InternalValue {
        return Ok(choice);
    }
    let table = field.options.and_then(|index| tables.get(index as usize));
    let mut choices = table.into_iter().flat_map(|table| &table.choices);
    let label = choices
        .find(|one| one.value == choice && !one.label.is_empty())
        .map(|one| &*one.label);
    label.ok_or_else(|| Unreadable::UnknownChoice(choice.to_owned()))
}

/// A JSON number. An integer is read exactly or not at all.
fn number(text: &str) -> Result<Value, Unreadable> {
    let written: &RawValue = serde_json::from_str(text).map_err(|_| Unreadable::Malformed)?;
    let is_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    if !written.get().chars().all(is_number) {
        return Err(Unreadable::Malformed);
    }
    let number: f64 = written.get().parse().map_err(|_| Unreadable::Malformed)?;
    let is_exact = || {
        let integer = written.get().parse::<i64>();
        integer.is_ok_and(|integer| number as i128 == i128::from(integer))
    };
    if !number.is_finite() || (number.abs() >= EXACT_MAX && !is_exact()) {
        return Err(Unreadable::OutOfRange);
    }
    // Zero has one sign, so that equal values are equal.
    Ok(Value::Number(if number == 0.0 { 0.0 } else { number }))
}

/// The texts of a JSON array; what is empty is no item.
fn items(text: &str) -> Result<Vec<String>, Unreadable> {
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Unreadable::Malformed)?;
    let item = |raw: &RawValue| match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).map_err(|_| Unreadable::Malformed),
        Some(b'[' | b'{') => Err(Unreadable::Malformed),
        _ if raw.get() == "null" => Ok(String::new()),
        _ => Ok(raw.get().to_owned()),
    };
    let mut items: Vec<String> = raw.into_iter().map(item).collect::<Result<_, _>>()?;
    items.retain(|item| !item.is_empty());
    Ok(items)
}

/// Whether a variable can hold these texts together.
fn check(texts: &[impl AsRef<str>]) -> Result<(), Unreadable> {
    let texts = || texts.iter().map(AsRef::as_ref);
    let characters: usize = texts().map(|text| text.chars().count()).sum();
    if characters > CHARACTERS_MAX {
        let characters = u32::try_from(characters).unwrap_or(u32::MAX);
        return Err(Unreadable::TooLong(characters));
    }
    if texts().any(|text| text.contains('\0')) {
        return Err(Unreadable::Malformed);
    }
    Ok(())
}
