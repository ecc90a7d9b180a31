//! What a variable can hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Jimo keeps at most this many characters (Unicode scalar values) in an
/// attribute; a list's items are counted together.
pub const TEXT_LENGTH_MAX: usize = 700;

/// Beyond this, not every whole number is a 64-bit float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The type of a variable.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum VariableType {
    /// Text of at most [`TEXT_LENGTH_MAX`] characters.
    Text,
    /// A finite 64-bit float.
    Number,
    /// True or false.
    Boolean,
    /// A day of no time zone, years 1 to 9999.
    Date,
    /// A moment, years 1 to 9999 in UTC.
    Datetime,
    /// Texts in the source's order.
    List,
}

impl VariableType {
    /// The name that people and programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::List => "list",
        }
    }
}

impl fmt::Display for VariableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of a variable. An absent value is no [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a text variable; never the empty text.
    Text(String),
    /// Of a number variable; always finite.
    Number(f64),
    /// Of a boolean variable.
    Boolean(bool),
    /// Of a date variable.
    Date(jiff::civil::Date),
    /// Of a datetime variable.
    Datetime(Timestamp),
    /// Of a list variable; never empty.
    List(Vec<String>),
}

impl Value {
    /// The type of variable that holds it.
    pub fn variable_type(&self) -> VariableType {
        match self {
            Self::Text(_) => VariableType::Text,
            Self::Number(_) => VariableType::Number,
            Self::Boolean(_) => VariableType::Boolean,
            Self::Date(_) => VariableType::Date,
            Self::Datetime(_) => VariableType::Datetime,
            Self::List(_) => VariableType::List,
        }
    }

    /// The value as JSON: dates and moments as text, whole numbers without a point.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < WHOLE_MAX => {
                // Exact: it is whole, and within the range of both types.
                #[expect(clippy::cast_possible_truncation)]
                let whole = *number as i64;
                whole.into()
            }
            Self::Number(number) => (*number).into(),
            Self::Boolean(boolean) => (*boolean).into(),
            Self::Date(date) => date.to_string().into(),
            Self::Datetime(moment) => moment.to_string().into(),
            Self::List(items) => items.clone().into(),
        }
    }
}

/// Why a property's text could not become a value. The user keeps the newest
/// value that could be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreadable {
    /// The source hides the value from us.
    Redacted,
    /// The text is not what its type says, or not what the variable can show.
    Malformed,
    /// The text has more than [`TEXT_LENGTH_MAX`] characters; how many.
    TooLong(u32),
    /// A number or a year that the variable's type cannot hold.
    OutOfRange,
    /// A label was asked for, and the choice is not among those known.
    UnknownChoice,
}

impl Unreadable {
    /// All words that [`Unreadable::as_str`] says.
    pub const WORDS: [&str; 5] = [
        "redacted",
        "malformed",
        "too_long",
        "out_of_range",
        "unknown_choice",
    ];

    /// The word for it in counts, metrics and the activity list.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Redacted => "redacted",
            Self::Malformed => "malformed",
            Self::TooLong(_) => "too_long",
            Self::OutOfRange => "out_of_range",
            Self::UnknownChoice => "unknown_choice",
        }
    }
}
