//! What rules ask at a moment: days and moments, and the keys that pass.

use std::ops::Bound;

use jiff::{ToSpan, civil::Date, tz::TimeZone};

use super::{
    super::{Timestamp, fold},
    Comparison, DayTest, ListTest, Point, Rule, Test, TextTest,
    filter::{Filter, Key, Keys, date_key},
};

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

impl Rule {
    /// What it asks at a moment.
    pub(super) fn at(&self, day: &Today) -> Filter {
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
