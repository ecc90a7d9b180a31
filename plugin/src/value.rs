//! From a text to a value: one function for each type of variable. None of them sees the empty text or a redacted one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::contract::transform::Unreadable;
use crate::contract::types::Value;
use crate::hubspot::SEPARATOR;
use crate::moment;

/// Characters (Unicode scalar values) that a variable holds.
const TEXT_MAX_CHARACTERS: usize = 700;
/// The integer up to which a 64-bit float holds every one: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What a text says to people: as it is written.
pub(crate) fn text(text: Cow<'_, str>) -> Result<Value, Unreadable> {
    check(&[&text])?;
    Ok(Value::Text(text.into_owned()))
}

/// Several texts, as [`distinct`] gives them; nothing at all empties the variable. A choice whose label is empty shows
/// nothing.
pub(crate) fn list(items: &[&str]) -> Result<Value, Unreadable> {
    check(items)?;
    let shown = items.iter().filter(|item| !item.is_empty());
    let shown: Vec<String> = shown.map(|item| (*item).to_owned()).collect();
    if shown.is_empty() {
        return Ok(Value::Empty);
    }
    Ok(Value::List(shown))
}

/// The items of a value that holds several. HubSpot writes a leading separator where something was appended.
pub(crate) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(SEPARATOR).filter(|item| !item.is_empty())
}

/// What is shown of several items, in their order, each once.
pub(crate) fn distinct<'a>(
    shown: impl Iterator<Item = Result<&'a str, Unreadable>>,
) -> Result<Vec<&'a str>, Unreadable> {
    let mut seen = BTreeSet::new();
    shown
        .filter(|item| item.as_ref().map_or(true, |item| seen.insert(*item)))
        .collect()
}

/// A decimal or scientific number. An integer beyond 2^53 is read only if a float holds it exactly: a changed digit of
/// an id would be another id. Fractions are rounded as always.
pub(crate) fn number(text: &str) -> Result<Value, Unreadable> {
    let text = text.trim_ascii();
    let decimal = Decimal::read(text).ok_or(Unreadable::Malformed)?;
    let number: f64 = text.parse().map_err(|_| Unreadable::Malformed)?;
    let is_lost = !number.is_finite()
        || (number == 0.0 && !decimal.digits.is_empty())
        || (number.abs() >= EXACT_MAX
            && Decimal::read(&format!("{:.0}", number.abs())) != Some(decimal));
    if is_lost {
        return Err(Unreadable::OutOfRange);
    }
    // Zero has one sign, so that equal values are equal.
    Ok(Value::Number(if number == 0.0 { 0.0 } else { number }))
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<Value, Unreadable> {
    read_boolean(text).map(Value::Boolean)
}

/// The day, in UTC, of a date or of a moment.
pub(crate) fn date(text: &str) -> Result<Value, Unreadable> {
    Ok(Value::Date(moment::day(moment::read(text)?)))
}

/// The moment, or a date's midnight in UTC.
pub(crate) fn datetime(text: &str) -> Result<Value, Unreadable> {
    Ok(Value::Datetime(moment::read(text)?))
}

/// `true` or `false`, in any case.
pub(crate) fn read_boolean(text: &str) -> Result<bool, Unreadable> {
    match text.trim_ascii() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Unreadable::Malformed),
    }
}

/// What a variable of texts can hold: so many characters together, and no NUL, which databases refuse.
fn check(texts: &[&str]) -> Result<(), Unreadable> {
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    if characters > TEXT_MAX_CHARACTERS {
        return Err(Unreadable::TooLong(
            u32::try_from(characters).unwrap_or(u32::MAX),
        ));
    }
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Unreadable::Malformed);
    }
    Ok(())
}

/// A decimal number without its sign, in its one shortest form: `digits` × 10^`exponent`, no zeros at either end.
#[derive(Debug, PartialEq)]
struct Decimal {
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads `12`, `-1.5`, `.5`, `1.25E+3`; none for anything else.
    fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent),
            None => (text, "0"),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{whole}{fraction}");
        let are_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(&digits)
            || !are_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        {
            return None;
        }
        // An exponent that does not fit makes the number infinite, or nothing.
        let limit = if exponent.starts_with('-') {
            i64::MIN / 2
        } else {
            i64::MAX / 2
        };
        let mut exponent = exponent
            .parse()
            .unwrap_or(limit)
            .clamp(i64::MIN / 2, i64::MAX / 2);
        exponent -= i64::try_from(fraction.len()).ok()?;
        let kept = digits.trim_end_matches('0').len();
        exponent += i64::try_from(digits.len() - kept).ok()?;
        digits.truncate(kept);
        digits.drain(..digits.len() - digits.trim_start_matches('0').len());
        Some(Decimal {
            exponent: if digits.is_empty() { 0 } else { exponent },
            digits,
        })
    }
}
