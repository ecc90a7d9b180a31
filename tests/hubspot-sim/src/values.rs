//! Property values: what is accepted on writing, and the forms they take in API and webhooks.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use crate::definitions::{Kind, Property};

/// Longest text of a property (HubSpot: 65,536 characters).
const TEXT_CHARS_MAX: usize = 65_536;
const DAY_MS: i64 = 86_400_000;

/// Why a value was refused: HubSpot's code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: &'static str,
    pub message: String,
}

fn refuse(code: &'static str, message: String) -> Refusal {
    Refusal { code, message }
}

/// Checks a written value and brings it to the form in which it is kept: ISO for moments and
/// days, the internal value for options. `before` is what the property held: a list of options
/// with a leading `;` adds to it.
pub(crate) fn accept(property: &Property, text: &str, before: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let name = &property.name;
    match property.kind {
        Kind::String | Kind::Json | Kind::ObjectCoordinates => {
            if text.chars().count() > TEXT_CHARS_MAX {
                return Err(refuse(
                    "INVALID_STRING",
                    format!("{name} is longer than {TEXT_CHARS_MAX} characters"),
                ));
            }
            if name == "email" && !text.contains('@') {
                return Err(refuse(
                    "INVALID_EMAIL",
                    format!("Email address {text} is invalid"),
                ));
            }
            Ok(text.to_owned())
        }
        Kind::Number => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(text.trim().to_owned()),
            _ => Err(refuse(
                "INVALID_NUMBER",
                format!("{text} was not a valid number."),
            )),
        },
        Kind::Bool => match text {
            "true" | "false" => Ok(text.to_owned()),
            _ => Err(refuse(
                "INVALID_BOOLEAN",
                format!("{text} was not a valid boolean."),
            )),
        },
        Kind::Enumeration => accept_options(property, text, before),
        Kind::Date => day(text).map(|day| day.to_string()).ok_or_else(|| {
            refuse(
                "INVALID_DATE",
                format!("{text} was not a valid date: it must be midnight UTC"),
            )
        }),
        Kind::Datetime => moment_ms(text)
            .map(iso)
            .ok_or_else(|| refuse("INVALID_DATE", format!("{text} was not a valid moment"))),
    }
}

fn accept_options(property: &Property, text: &str, before: &str) -> Result<String, Refusal> {
    let known = |value: &str| {
        property.external_options || property.options.iter().any(|option| option.value == value)
    };
    let wrong = |value: &str| {
        refuse(
            "INVALID_OPTION",
            format!(
                "{value} was not one of the allowed options of {}",
                property.name
            ),
        )
    };
    if property.field_type != "checkbox" {
        return if known(text) {
            Ok(text.to_owned())
        } else {
            Err(wrong(text))
        };
    }
    let mut chosen: Vec<&str> = Vec::new();
    if text.starts_with(';') {
        chosen.extend(before.split(';').filter(|part| !part.is_empty()));
    }
    for part in text.split(';').filter(|part| !part.is_empty()) {
        if !known(part) {
            return Err(wrong(part));
        }
        if !chosen.contains(&part) {
            chosen.push(part);
        }
    }
    Ok(chosen.join(";"))
}

/// The form in webhooks: moments and days as milliseconds since 1970, all else as in the API.
pub(crate) fn webhook_form(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Datetime => moment_ms(value).map_or_else(|| value.to_owned(), |ms| ms.to_string()),
        Kind::Date => day(value)
            .and_then(day_ms)
            .map_or_else(|| value.to_owned(), |ms| ms.to_string()),
        _ => value.to_owned(),
    }
}

/// A value as milliseconds since 1970, if it is a moment or a day in either form.
pub(crate) fn moment_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    text.parse::<civil::Date>().ok().and_then(day_ms)
}

fn day(text: &str) -> Option<civil::Date> {
    if let Ok(ms) = text.parse::<i64>() {
        if ms % DAY_MS != 0 {
            return None;
        }
        let at = Timestamp::from_millisecond(ms).ok()?;
        return Some(at.to_zoned_datetime(TimeZone::UTC).date());
    }
    text.parse::<civil::Date>().ok()
}

fn day_ms(day: civil::Date) -> Option<i64> {
    let midnight = day.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_millisecond())
}

/// A moment as the API writes it: UTC, milliseconds only when there are any.
pub(crate) fn iso(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(at) if ms % 1_000 == 0 => format!("{at:.0}"),
        Ok(at) => format!("{at:.3}"),
        Err(_) => ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::PropertySpec;

    #[test]
    fn a_moment_is_iso_in_the_api_and_milliseconds_in_a_webhook() {
        assert_eq!(iso(1_783_022_765_000), "2026-07-02T20:06:05Z");
        assert_eq!(iso(1_783_022_765_123), "2026-07-02T20:06:05.123Z");
        assert_eq!(
            webhook_form(Kind::Datetime, "2026-07-02T20:06:05Z"),
            "1783022765000"
        );
        assert_eq!(webhook_form(Kind::Date, "2026-09-30"), "1790726400000");
    }

    #[test]
    fn a_date_in_milliseconds_must_be_midnight() {
        let date = PropertySpec::date("renewal").into_property(0);
        assert_eq!(accept(&date, "1790726400000", "").unwrap(), "2026-09-30");
        assert_eq!(
            accept(&date, "1790726400001", "").unwrap_err().code,
            "INVALID_DATE"
        );
    }

    #[test]
    fn a_leading_semicolon_adds_to_the_chosen_options() {
        let colours =
            PropertySpec::checkboxes("colours", &[("r", "Red"), ("g", "Green")]).into_property(0);
        assert_eq!(accept(&colours, ";g", "r").unwrap(), "r;g");
        assert_eq!(accept(&colours, "g", "r").unwrap(), "g");
        assert_eq!(
            accept(&colours, "b", "").unwrap_err().code,
            "INVALID_OPTION"
        );
    }
}
