//! Conditions on users: what segments are made of.
//!
//! A [`Condition`] is what an admin builds. [`Condition::at`] makes a
//! [`Filter`] of it, which knows the moment, the time zone and the one form in
//! which values are compared: whoever evaluates a filter decides nothing more.

mod filter;
mod moment;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use filter::{Filter, Key, Keys, keys_of};
pub use moment::Today;

use super::{SegmentId, Timestamp, VariableId, VariableType};

/// The most rules of one segment: more, nobody reads.
pub const RULES_MAX: usize = 100;

/// How deep groups may be nested: more, nobody follows.
pub const DEPTH_MAX: usize = 8;

/// The most rules of a segment with those of the segments it uses: one
/// statement of SQLite nests at most a thousand expressions.
pub const RULES_WITH_USED_MAX: usize = 500;

/// How long a chain of segments that use one another may be.
pub const CHAIN_MAX: usize = 10;

/// The most texts that one rule compares with.
pub const TEXTS_MAX: usize = 100;

/// The most days that "in the last" and "in the next" reach: a hundred years.
pub const DAYS_MAX: u32 = 36_500;

/// Which users are meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Those for whom all hold.
    All(Vec<Self>),
    /// Those for whom any holds.
    Any(Vec<Self>),
    /// Those for whom it does not hold.
    Not(Box<Self>),
    /// Those who are in a segment.
    Segment(SegmentId),
    /// Those whose attribute passes a test.
    Rule(Rule),
}

/// An attribute, and what it has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The attribute.
    pub attribute: Attribute,
    /// The test, one of those of its type.
    pub test: Test,
}

/// Something that users have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// The e-mail address.
    Email,
    /// The name.
    Name,
    /// The customer's own id.
    ExternalId,
    /// When the user came to exist here.
    CreatedAt,
    /// A variable of the project.
    Variable(VariableId),
}

impl Attribute {
    /// Those that every project has.
    pub const NATIVE: [Self; 4] = [Self::Email, Self::Name, Self::ExternalId, Self::CreatedAt];

    /// The type of one that every project has; none of a variable.
    pub fn native_type(self) -> Option<VariableType> {
        match self {
            Self::Email | Self::Name | Self::ExternalId => Some(VariableType::Text),
            Self::CreatedAt => Some(VariableType::Datetime),
            Self::Variable(_) => None,
        }
    }
}

/// What an attribute has to be. An absent value is empty, so passes
/// [`Test::IsEmpty`] and the tests that say what a value is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// There is no value.
    IsEmpty,
    /// Of a text, whatever its case.
    Text(TextTest),
    /// Of a number.
    Number(Comparison<Number>),
    /// Of a date.
    Date(DayTest<Date>),
    /// Of a moment.
    Datetime(DayTest<Point>),
    /// True, or false.
    Boolean(bool),
    /// Of a list, whatever the case of its items.
    List(ListTest),
}

/// A finite number. Written as text, for not every number survives as JSON's.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A test of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTest {
    /// It is this text.
    Is(String),
    /// It is another text, or there is none.
    IsNot(String),
    /// This text is a part of it.
    Contains(String),
    /// It begins with this text.
    StartsWith(String),
    /// It ends with this text.
    EndsWith(String),
    /// It is one of these.
    IsOneOf(Vec<String>),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison<T> {
    /// Equal.
    Equal(T),
    /// Another value, or none.
    NotEqual(T),
    /// Less; of days and moments, before.
    Less(T),
    /// Less, or equal.
    AtMost(T),
    /// Greater; of days and moments, after.
    Greater(T),
    /// Greater, or equal.
    AtLeast(T),
    /// From the first to the second, both included.
    Between(T, T),
}

/// A test of a date or a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayTest<T> {
    /// Compared with what does not move.
    Is(Comparison<T>),
    /// Not after now (of a date: today), and not before the day that is so many
    /// days before today, in the project's time zone.
    InLastDays(u32),
    /// Not before now (of a date: today), and not after the day that is so many
    /// days after today.
    InNextDays(u32),
}

/// What a moment is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// A moment.
    At(Timestamp),
    /// A whole day in the project's time zone: a moment equals it while it
    /// lasts, and is after it once it is over.
    Day(Date),
}

impl PartialOrd for Point {
    /// A day and a moment have no order without a time zone.
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::At(one), Self::At(other)) => one.partial_cmp(other),
            (Self::Day(one), Self::Day(other)) => one.partial_cmp(other),
            _ => None,
        }
    }
}

/// A test of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListTest {
    /// Any of these is in it.
    ContainsAny(Vec<String>),
    /// All of these are in it.
    ContainsAll(Vec<String>),
    /// None of these is in it, or there is no list.
    ContainsNone(Vec<String>),
}

impl Condition {
    /// Calls `visit` with every rule and every segment that it names.
    pub fn visit<'c>(&'c self, visit: &mut impl FnMut(Leaf<'c>)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.visit(visit));
            }
            Self::Not(part) => part.visit(visit),
            Self::Segment(segment) => visit(Leaf::Segment(*segment)),
            Self::Rule(rule) => visit(Leaf::Rule(rule)),
        }
    }

    /// What it asks at a moment. `used` gives the filter of a segment that it
    /// names, and may fail.
    pub fn at<E>(
        &self,
        day: &Today,
        used: &mut impl FnMut(SegmentId) -> Result<Filter, E>,
    ) -> Result<Filter, E> {
        let mut each = |parts: &[Self]| -> Result<Vec<Filter>, E> {
            parts.iter().map(|part| part.at(day, used)).collect()
        };
        Ok(match self {
            Self::All(parts) => Filter::all(each(parts)?),
            Self::Any(parts) => Filter::any(each(parts)?),
            Self::Not(part) => part.at(day, used)?.negated(),
            Self::Segment(segment) => used(*segment)?,
            Self::Rule(rule) => rule.at(day),
        })
    }
}

/// What a condition ends in.
pub enum Leaf<'c> {
    /// A rule.
    Rule(&'c Rule),
    /// Another segment.
    Segment(SegmentId),
}
