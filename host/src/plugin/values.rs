//! The values that a plugin makes of texts, checked: each is of its field's
//! type, and there is exactly one for every text that was to be converted.

use super::{
    bindings::{exports::jimo::connect::transform, jimo::connect::types},
    check::{Checks, calendar_moment},
    fault::{Fault, Nonsense},
    pass::{ConversionField, Converted, Outcome, PassOutput, StoredText, SuitableTypes},
};
use crate::model::{ChangeKind, TEXT_LENGTH_MAX, Unreadable, Value, VariableType};

/// The outcomes of one conversion, held against the changes or records that
/// the plugin told before.
pub(super) fn converted(
    said: Vec<transform::Converted>,
    fields: &[ConversionField],
    checks: &Checks<'_>,
    output: &PassOutput,
) -> Result<Vec<Converted>, Nonsense> {
    let places = checks.places(fields);
    let mut said = said.into_iter();
    let mut converted = Vec::with_capacity(said.len());
    let mut expect = |element: usize, of: &str, properties: &mut dyn Iterator<Item = usize>| {
        let mut expected: Vec<usize> = properties
            .filter_map(|property| places.get(&(of, property)))
            .flatten()
            .copied()
            .collect();
        while !expected.is_empty() {
            let next = said.next().ok_or(Nonsense::Outcomes)?;
            if usize::try_from(next.element) != Ok(element) {
                return Err(Nonsense::Outcomes);
            }
            let field = usize::try_from(next.field).map_err(|_| Nonsense::Field)?;
            let target = fields.get(field).ok_or(Nonsense::Field)?.target;
            let place = expected.iter().position(|expected| *expected == field);
            expected.swap_remove(place.ok_or(Nonsense::Outcomes)?);
            converted.push(Converted {
                element,
                field,
                outcome: outcome(next.outcome, target)?,
            });
        }
        Ok(())
    };
    for change in &output.changes {
        if let ChangeKind::PropertyChanged(text) = &change.kind {
            let of = change.object_type.as_str();
            expect(change.element, of, &mut std::iter::once(text.property))?;
        }
    }
    if let Some(of) = checks.page_type() {
        for record in &output.records {
            let mut properties = record.properties.iter().map(|text| text.property);
            expect(record.element, of, &mut properties)?;
        }
    }
    if said.next().is_some() {
        Err(Nonsense::Outcomes)
    } else {
        Ok(converted)
    }
}

/// The outcomes of texts that were kept: one each, in order.
pub(super) fn stored(
    said: Vec<Result<types::Value, transform::Unreadable>>,
    texts: &[StoredText],
    fields: &[ConversionField],
) -> Result<Vec<Outcome>, Fault> {
    if said.len() != texts.len() {
        return Err(Nonsense::Outcomes.into());
    }
    said.into_iter()
        .zip(texts)
        .map(|(said, text)| match fields.get(text.field) {
            Some(field) => Ok(outcome(said, field.target)?),
            // The contract's answer for a field that was not handed in.
            None => Ok(Err(Unreadable::Malformed)),
        })
        .collect()
}

fn outcome(
    said: Result<types::Value, transform::Unreadable>,
    target: VariableType,
) -> Result<Outcome, Nonsense> {
    match said {
        Ok(said) => {
            let value = value(said)?;
            if value
                .as_ref()
                .is_some_and(|value| value.variable_type() != target)
            {
                return Err(Nonsense::ValueType);
            }
            Ok(Ok(value))
        }
        Err(reason) => Ok(Err(match reason {
            transform::Unreadable::Redacted => Unreadable::Redacted,
            transform::Unreadable::Malformed => Unreadable::Malformed,
            transform::Unreadable::TooLong(characters) => Unreadable::TooLong(characters),
            transform::Unreadable::OutOfRange => Unreadable::OutOfRange,
            transform::Unreadable::UnknownChoice(_) => Unreadable::UnknownChoice,
        })),
    }
}

fn value(said: types::Value) -> Result<Option<Value>, Nonsense> {
    Ok(Some(match said {
        types::Value::Empty => return Ok(None),
        types::Value::Text(text) => {
            check_text(&text)?;
            check_length(&[&text])?;
            Value::Text(text)
        }
        types::Value::Number(number) => {
            if !number.is_finite() {
                return Err(Nonsense::Value("a number that is not finite"));
            }
            Value::Number(number)
        }
        types::Value::Boolean(boolean) => Value::Boolean(boolean),
        types::Value::Date(days) => Value::Date(date(days).ok_or(Nonsense::Moment)?),
        types::Value::Datetime(moment) => Value::Datetime(calendar_moment(moment)?),
        types::Value::List(items) => {
            if items.is_empty() {
                return Err(Nonsense::Value("an empty list"));
            }
            items.iter().try_for_each(|item| check_text(item))?;
            check_length(&items)?;
            Value::List(items)
        }
    }))
}

/// The day so many days after 1970-01-01, in the years 1 to 9999.
fn date(days: i32) -> Option<jiff::civil::Date> {
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = epoch
        .checked_add(jiff::Span::new().try_days(days).ok()?)
        .ok()?;
    (date.year() >= 1).then_some(date)
}

fn check_text(text: &str) -> Result<(), Nonsense> {
    match text {
        "" => Err(Nonsense::Value("an empty text")),
        text if text.contains('\0') => Err(Nonsense::Value("a text with a NUL")),
        _ => Ok(()),
    }
}

fn check_length(texts: &[impl AsRef<str>]) -> Result<(), Nonsense> {
    // A character has a byte at least, so most texts need not be counted.
    let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
    let characters = || {
        texts
            .iter()
            .map(|text| text.as_ref().chars().count())
            .sum::<usize>()
    };
    if bytes > TEXT_LENGTH_MAX && characters() > TEXT_LENGTH_MAX {
        return Err(Nonsense::Value("a text beyond its limit"));
    }
    Ok(())
}

/// What properties can be mapped to: one answer each.
pub(super) fn suitable(
    said: Vec<transform::SuitableTypes>,
    count: usize,
) -> Result<Vec<SuitableTypes>, Nonsense> {
    if said.len() != count {
        return Err(Nonsense::Outcomes);
    }
    said.into_iter()
        .map(|said| {
            let suggested = said.suggested.map(variable_type);
            let possible: Vec<_> = said.possible.into_iter().map(variable_type).collect();
            let fits = match &suggested {
                Some(suggested) => possible.contains(suggested),
                None => possible.is_empty(),
            };
            if !fits {
                return Err(Nonsense::Contradiction(
                    "the type suggested is not a possible one",
                ));
            }
            Ok(SuitableTypes {
                suggested,
                possible,
            })
        })
        .collect()
}

fn variable_type(said: types::VariableType) -> VariableType {
    match said {
        types::VariableType::Text => VariableType::Text,
        types::VariableType::Number => VariableType::Number,
        types::VariableType::Boolean => VariableType::Boolean,
        types::VariableType::Date => VariableType::Date,
        types::VariableType::Datetime => VariableType::Datetime,
        types::VariableType::List => VariableType::List,
    }
}
