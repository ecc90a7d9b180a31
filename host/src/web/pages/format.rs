//! Values and moments as people read them.

use jiff::{fmt::strtime, tz::TimeZone};

use crate::model::{Timestamp, Value, VariableType};

/// Beyond this, a number is shown with an exponent: nobody reads 22 digits.
const GROUPED_MAX: f64 = 1e21;

/// How moments are shown: in a time zone, and shorter on the same day.
pub struct Calendar {
    zone: TimeZone,
    now: Timestamp,
}

/// A moment or a day: for programs, and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339, or the bare date.
    pub datetime: String,
    /// What people read.
    pub text: String,
}

impl Calendar {
    /// A calendar of a time zone by its IANA name; UTC where it is unknown.
    pub fn new(zone: &str, now: Timestamp) -> Self {
        Self {
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            now,
        }
    }

    /// The time zone's name.
    pub fn zone_name(&self) -> String {
        self.zone.iana_name().unwrap_or("UTC").to_owned()
    }

    /// `today, 14:03:22`, else `12 May 2026, 14:03`.
    pub fn moment(&self, at: Timestamp) -> Moment {
        let datetime = at.to_string();
        let text = self.text(at).unwrap_or_else(|| datetime.clone());
        Moment { datetime, text }
    }

    /// The day of a moment: `today`, else `12 May 2026`.
    pub fn day(&self, at: Timestamp) -> Moment {
        let local = |moment: Timestamp| {
            let moment = jiff::Timestamp::from_millisecond(moment.0).ok()?;
            Some(moment.to_zoned_datetime(self.zone.clone()).date())
        };
        let Some(date) = local(at) else {
            return self.moment(at);
        };
        let text = match local(self.now) {
            Some(today) if today == date => Some("today".to_owned()),
            _ => strtime::format("%-d %B %Y", date).ok(),
        };
        Moment {
            datetime: date.to_string(),
            text: text.unwrap_or_else(|| date.to_string()),
        }
    }

    /// The time of day: `14:03`.
    pub fn clock(&self, at: Timestamp) -> String {
        self.said(at, "%H:%M")
    }

    /// The day: `12 May`.
    pub fn short_day(&self, at: Timestamp) -> String {
        self.said(at, "%-d %b")
    }

    fn said(&self, at: Timestamp, format: &str) -> String {
        let moment = jiff::Timestamp::from_millisecond(at.0).ok();
        let local = moment.map(|moment| moment.to_zoned_datetime(self.zone.clone()));
        local
            .and_then(|local| strtime::format(format, &local).ok())
            .unwrap_or_else(|| at.to_string())
    }

    fn text(&self, at: Timestamp) -> Option<String> {
        let local = |moment: Timestamp| {
            let moment = jiff::Timestamp::from_millisecond(moment.0).ok()?;
            Some(moment.to_zoned_datetime(self.zone.clone()))
        };
        let (at, now) = (local(at)?, local(self.now)?);
        let format = if at.date() == now.date() {
            "today, %H:%M:%S"
        } else {
            "%-d %B %Y, %H:%M"
        };
        strtime::format(format, &at).ok()
    }

    /// A value of a property. One that names a record is no quantity: its digits are
    /// not grouped.
    pub fn value_of(&self, property: &str, value: &Value) -> Shown {
        match value {
            Value::Number(number) if is_id(property) => Shown::Number(number.to_string()),
            value => self.value(value),
        }
    }

    /// A value.
    pub fn value(&self, value: &Value) -> Shown {
        match value {
            Value::Text(text) => Shown::Text(text.clone()),
            Value::Number(value) => Shown::Number(number(*value)),
            Value::Boolean(value) => Shown::Boolean(*value),
            Value::Date(date) => Shown::Moment(Moment {
                datetime: date.to_string(),
                text: strtime::format("%-d %B %Y", *date).unwrap_or_else(|_| date.to_string()),
            }),
            Value::Datetime(at) => Shown::Moment(self.moment(*at)),
            Value::List(items) => Shown::List(items.clone()),
        }
    }
}

/// Whether the numbers of a property name records, as its name tells.
fn is_id(property: &str) -> bool {
    property == "id" || property.ends_with("_id") || property.ends_with("companyid")
}

/// A value as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Text.
    Text(String),
    /// A number, its thousands grouped.
    Number(String),
    /// Yes or no.
    Boolean(bool),
    /// A day or a moment.
    Moment(Moment),
    /// Texts in order.
    List(Vec<String>),
}

/// A number with its thousands grouped: `12,500.5`.
pub fn number(value: f64) -> String {
    if value.abs() >= GROUPED_MAX {
        return format!("{value:e}");
    }
    let text = value.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("\u{2212}", digits),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    format!("{sign}{}{fraction}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its thousands grouped.
pub fn count(count: impl Into<i128>) -> String {
    let count = count.into();
    let sign = if count < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", grouped(&count.unsigned_abs().to_string()))
}

/// A size: `312 bytes`, `1.4 kB`, `12 MB`.
pub fn bytes(bytes: u64) -> String {
    // Sizes that are shown are far below a float's whole numbers.
    let scaled = |unit: u64| {
        let number = bytes as f64 / unit as f64;
        match number < 9.95 {
            true => format!("{}", (number * 10.0).round() / 10.0),
            false => count((number.round() as u64).max(1)),
        }
    };
    match bytes {
        1 => "1 byte".to_owned(),
        0..=999 => format!("{bytes} bytes"),
        1_000..=999_499 => format!("{} kB", scaled(1_000)),
        _ => format!("{} MB", scaled(1_000_000)),
    }
}

/// A bound that a time was within, as one would say it: at least `0.1 s`.
pub fn within(bound: f64) -> String {
    seconds(bound.max(0.1))
}

/// A time that passed or is left, as one would say it: `under 0.1 s`, `0.4 s`, `12 s`,
/// `3 min`, `2 h 5 min`.
pub fn seconds(seconds: f64) -> String {
    // No time that is shown is longer than a float's whole numbers.
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.05 => "under 0.1 s".to_owned(),
        _ if seconds < 9.95 => {
            let tenths = (seconds * 10.0).round() / 10.0;
            format!("{tenths} s")
        }
        0..=99 => format!("{whole} s"),
        100..=5_399 => format!("{} min", (seconds / 60.0).round() as u64),
        _ => {
            let minutes = (seconds / 60.0).round() as u64;
            match (minutes / 60, minutes % 60) {
                (hours, 0) => format!("{hours} h"),
                (hours, minutes) => format!("{hours} h {minutes} min"),
            }
        }
    }
}

/// `contacts, companies and deals`.
pub fn enumerated(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// The name of a type on pages.
pub fn type_name(variable_type: VariableType) -> &'static str {
    match variable_type {
        VariableType::Text => "Text",
        VariableType::Number => "Number",
        VariableType::Boolean => "Yes or no",
        VariableType::Date => "Date",
        VariableType::Datetime => "Date and time",
        VariableType::List => "List",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (999.0, "999"),
            (1_000.0, "1,000"),
            (12_500.5, "12,500.5"),
            (-1_234_567.0, "\u{2212}1,234,567"),
            (1e21, "1e21"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn sizes_are_said_with_two_digits_at_most_where_they_are_small() {
        for (given, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (1_449, "1.4 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1 MB"),
            (2_340_000_000, "2,340 MB"),
        ] {
            assert_eq!(bytes(given), text);
        }
    }

    #[test]
    fn the_digits_of_what_names_a_record_are_not_grouped() {
        let calendar = Calendar::new("UTC", Timestamp(0));
        let shown = |property, value| calendar.value_of(property, &Value::Number(value));
        let number = |text: &str| Shown::Number(text.to_owned());
        for property in ["hs_object_id", "associatedcompanyid", "legacy_id"] {
            assert_eq!(shown(property, 508_369_434_351.0), number("508369434351"));
        }
        assert_eq!(shown("amount_paid", 12_500.0), number("12,500"));
    }

    #[test]
    fn times_are_said_as_one_would() {
        for (given, text) in [
            (0.0, "under 0.1 s"),
            (0.05, "0.1 s"),
            (0.43, "0.4 s"),
            (9.96, "10 s"),
            (99.0, "99 s"),
            (100.0, "2 min"),
            (5_400.0, "1 h 30 min"),
            (7_200.0, "2 h"),
        ] {
            assert_eq!(seconds(given), text);
        }
        assert_eq!(within(0.0), "0.1 s");
        assert_eq!(within(12.0), "12 s");
    }

    #[test]
    fn a_moment_is_shown_in_the_projects_zone_and_shorter_on_the_same_day() {
        let noon = Timestamp(1_780_000_000_000);
        let calendar = Calendar::new("Europe/Paris", noon);
        let today = calendar.moment(noon);
        assert_eq!(today.datetime, "2026-05-28T20:26:40.000Z");
        assert_eq!(today.text, "today, 22:26:40");
        let before = calendar.moment(Timestamp(noon.0 - 86_400_000));
        assert_eq!(before.text, "27 May 2026, 22:26");
    }
}
