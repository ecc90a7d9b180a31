//! Conditions on users: what segments are made of.
//!
//! A [`Condition`] is what an admin builds. [`Condition::at`] makes a
//! [`Filter`] of it, which knows the moment, the time zone and the one form in
//! which values are compared: whoever evaluates a filter decides nothing more.

use std::ops::{Bound, RangeBounds};

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{SegmentId, Timestamp, Value, VariableId, VariableType, fold};

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

/// The moment at which a condition is asked, and where.
pub struct Today {
    now: Timestamp,
    zone: TimeZone,
}

impl Today {
    /// Now, in a time zone by its IANA name; in UTC where it is unknown.
    pub fn new(now: Timestamp, zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        Self { now, zone }
    }

    fn date(&self) -> Date {
        match jiff::Timestamp::from_millisecond(self.now.0) {
            Ok(now) => self.zone.to_datetime(now).date(),
            Err(_) => Date::MIN,
        }
    }

    /// The day so many days from today; the calendar's first or last where it
    /// would be beyond.
    fn date_from_today(&self, days: i64) -> Date {
        self.date().saturating_add(days.days())
    }

    /// When a day begins; beyond the calendar, far before or after everything.
    fn start_of(&self, day: Date) -> i64 {
        match self
            .zone
            .to_timestamp(day.to_datetime(jiff::civil::Time::midnight()))
        {
            Ok(start) => start.as_millisecond(),
            Err(_) if day.year() < 1 => i64::MIN,
            Err(_) => i64::MAX,
        }
    }

    fn end_of(&self, day: Date) -> i64 {
        match day.tomorrow() {
            Ok(next) => self.start_of(next),
            Err(_) => i64::MAX,
        }
    }

    /// The milliseconds that a point takes: its first, and the first after it.
    fn span_of(&self, point: Point) -> (i64, i64) {
        match point {
            Point::At(moment) => (moment.0, moment.0.saturating_add(1)),
            Point::Day(day) => (self.start_of(day), self.end_of(day)),
        }
    }
}

/// What is asked of users, at one moment: each leaf asks whether a value is
/// there whose key is among some.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All hold; none asks nothing.
    All(Vec<Self>),
    /// Any holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The attribute has a key among these.
    Has(Attribute, Keys),
}

/// The form in which a value is compared; a list has one for each item.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Key {
    /// Of a boolean (0, 1) or a moment (milliseconds).
    Whole(i64),
    /// Of a number.
    Number(f64),
    /// Of a text or an item, folded; of a date, as `2026-09-30`.
    Text(String),
}

/// Some of the keys that an attribute of a type can have.
#[derive(Clone, Debug, PartialEq)]
pub enum Keys {
    /// All of them.
    All,
    /// These texts.
    Texts(Vec<String>),
    /// Those between two.
    Between(Bound<Key>, Bound<Key>),
    /// Those that have this text in them.
    Containing(String),
    /// Those that end with this text.
    EndingWith(String),
}

impl Keys {
    fn one(key: Key) -> Self {
        Self::Between(Bound::Included(key.clone()), Bound::Included(key))
    }

    /// Whether a key is among these.
    pub fn contains(&self, key: &Key) -> bool {
        let text = || match key {
            Key::Text(text) => text.as_str(),
            Key::Whole(_) | Key::Number(_) => "",
        };
        match self {
            Self::All => true,
            Self::Texts(texts) => texts.iter().any(|wanted| wanted == text()),
            Self::Between(from, to) => (from.as_ref(), to.as_ref()).contains(key),
            Self::Containing(part) => text().contains(part.as_str()),
            Self::EndingWith(end) => text().ends_with(end.as_str()),
        }
    }
}

impl Filter {
    /// Of several, all hold.
    pub fn all(parts: Vec<Self>) -> Self {
        match Self::without_not(&parts) {
            Some(negated) => Self::one_or(negated, Self::Any).negated(),
            None => Self::one_or(parts, Self::All),
        }
    }

    /// Of several, any holds.
    pub fn any(parts: Vec<Self>) -> Self {
        match Self::without_not(&parts) {
            Some(negated) => Self::one_or(negated, Self::All).negated(),
            None => Self::one_or(parts, Self::Any),
        }
    }

    /// Where all are negated, what they negate: one negation outside is worth
    /// more, for whoever counts can count the others instead.
    fn without_not(parts: &[Self]) -> Option<Vec<Self>> {
        let negated = parts.iter().map(|part| match part {
            Self::Not(part) => Some((**part).clone()),
            _ => None,
        });
        negated
            .collect::<Option<Vec<_>>>()
            .filter(|parts| !parts.is_empty())
    }

    fn one_or(mut parts: Vec<Self>, several: impl FnOnce(Vec<Self>) -> Self) -> Self {
        match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                parts.extend(last);
                several(parts)
            }
        }
    }

    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(part) => *part,
            part => Self::Not(Box::new(part)),
        }
    }

    /// Whether it holds for a user, whose keys of an attribute `keys` gives.
    pub fn holds<'k>(&self, keys: &impl Fn(Attribute) -> &'k [Key]) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(keys)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(keys)),
            Self::Not(part) => !part.holds(keys),
            Self::Has(attribute, wanted) => keys(*attribute).iter().any(|key| wanted.contains(key)),
        }
    }
}

/// The keys that a value is found by.
pub fn keys_of(value: &Value) -> Vec<Key> {
    let items = |items: &[String]| {
        let mut keys: Vec<String> = items.iter().map(|item| fold(item)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(Key::Text).collect()
    };
    match value {
        Value::Text(text) => vec![Key::Text(fold(text))],
        Value::Number(number) => vec![Key::Number(*number)],
        Value::Boolean(boolean) => vec![Key::Whole(i64::from(*boolean))],
        Value::Date(date) => vec![date_key(*date)],
        Value::Datetime(moment) => vec![Key::Whole(moment.0)],
        Value::List(texts) => items(texts),
    }
}

fn date_key(date: Date) -> Key {
    Key::Text(date.to_string())
}

impl Rule {
    fn at(&self, day: &Today) -> Filter {
        let has = |keys| Filter::Has(self.attribute, keys);
        let has_compared = |(keys, is_negated)| match is_negated {
            true => has(keys).negated(),
            false => has(keys),
        };
        let texts = |texts: &[String]| Keys::Texts(texts.iter().map(|text| fold(text)).collect());
        match &self.test {
            Test::IsEmpty => has(Keys::All).negated(),
            Test::Boolean(wanted) => has(Keys::one(Key::Whole(i64::from(*wanted)))),
            Test::Text(test) => match test {
                TextTest::Is(text) => has(Keys::one(Key::Text(fold(text)))),
                TextTest::IsNot(text) => has(Keys::one(Key::Text(fold(text)))).negated(),
                TextTest::Contains(text) => has(Keys::Containing(fold(text))),
                TextTest::StartsWith(text) => has(starting_with(fold(text))),
                TextTest::EndsWith(text) => has(Keys::EndingWith(fold(text))),
                TextTest::IsOneOf(wanted) => has(texts(wanted)),
            },
            Test::Number(comparison) => has_compared(compared(comparison, |number| {
                (
                    Key::Number(number.0),
                    Bound::Included(Key::Number(number.0)),
                )
            })),
            Test::Date(DayTest::Is(comparison)) => has_compared(compared(comparison, |date| {
                (date_key(*date), Bound::Included(date_key(*date)))
            })),
            Test::Date(DayTest::InLastDays(days)) => has(Keys::Between(
                Bound::Included(date_key(day.date_from_today(-i64::from(*days)))),
                Bound::Included(date_key(day.date())),
            )),
            Test::Date(DayTest::InNextDays(days)) => has(Keys::Between(
                Bound::Included(date_key(day.date())),
                Bound::Included(date_key(day.date_from_today((*days).into()))),
            )),
            Test::Datetime(DayTest::Is(comparison)) => {
                has_compared(compared(comparison, |point| {
                    let (first, next) = day.span_of(*point);
                    (Key::Whole(first), Bound::Excluded(Key::Whole(next)))
                }))
            }
            Test::Datetime(DayTest::InLastDays(days)) => {
                let first = day.date_from_today(-i64::from(*days));
                has(Keys::Between(
                    Bound::Included(Key::Whole(day.start_of(first))),
                    Bound::Included(Key::Whole(day.now.0)),
                ))
            }
            Test::Datetime(DayTest::InNextDays(days)) => {
                let last = day.date_from_today((*days).into());
                has(Keys::Between(
                    Bound::Included(Key::Whole(day.now.0)),
                    Bound::Excluded(Key::Whole(day.end_of(last))),
                ))
            }
            Test::List(test) => match test {
                ListTest::ContainsAny(wanted) => has(texts(wanted)),
                ListTest::ContainsNone(wanted) => has(texts(wanted)).negated(),
                ListTest::ContainsAll(wanted) => {
                    let each = wanted
                        .iter()
                        .map(|text| has(Keys::one(Key::Text(fold(text)))));
                    Filter::all(each.collect())
                }
            },
        }
    }
}

/// The keys that pass a comparison, and whether a user passes without one of
/// them. `span` gives the first key of what is compared with, and where its keys
/// end.
fn compared<T>(comparison: &Comparison<T>, span: impl Fn(&T) -> (Key, Bound<Key>)) -> (Keys, bool) {
    let from = |value: &T| Bound::Included(span(value).0);
    let to = |value: &T| span(value).1;
    let before = |value: &T| Bound::Excluded(span(value).0);
    let after = |value: &T| match span(value).1 {
        Bound::Included(last) => Bound::Excluded(last),
        Bound::Excluded(next) => Bound::Included(next),
        Bound::Unbounded => Bound::Unbounded,
    };
    let (from, to) = match comparison {
        Comparison::Equal(value) | Comparison::NotEqual(value) => (from(value), to(value)),
        Comparison::Less(value) => (Bound::Unbounded, before(value)),
        Comparison::AtMost(value) => (Bound::Unbounded, to(value)),
        Comparison::Greater(value) => (after(value), Bound::Unbounded),
        Comparison::AtLeast(value) => (from(value), Bound::Unbounded),
        Comparison::Between(first, last) => (from(first), to(last)),
    };
    let is_negated = matches!(comparison, Comparison::NotEqual(_));
    (Keys::Between(from, to), is_negated)
}

/// The texts that begin with a text are neighbours.
fn starting_with(text: String) -> Keys {
    let end = match successor(&text) {
        Some(next) => Bound::Excluded(Key::Text(next)),
        None => Bound::Unbounded,
    };
    Keys::Between(Bound::Included(Key::Text(text)), end)
}

/// The first text after all that begin with this one, by the order of their
/// bytes, which is that of their characters; none where nothing is.
fn successor(text: &str) -> Option<String> {
    let mut characters: Vec<char> = text.chars().collect();
    while let Some(last) = characters.pop() {
        // A range of characters steps over those that are none.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_one_is_that_one_negated_or_not() {
        let one = || Filter::Has(Attribute::Email, Keys::All);
        for made in [Filter::all(vec![one()]), Filter::any(vec![one()])] {
            assert_eq!(made, one());
        }
        // So whoever counts can count the others.
        let not = || one().negated();
        for made in [Filter::all(vec![not()]), Filter::any(vec![not()])] {
            assert_eq!(made, not());
        }
    }
}
