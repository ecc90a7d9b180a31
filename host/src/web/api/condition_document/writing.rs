//! Writing a rule's test: its operator and its value.

use serde_json::Value as Json;

use super::super::values;
use crate::model::{
    Value,
    condition::{Comparison, DayTest, ListTest, Point, Test, TextTest},
};

/// The operator of a test, and what it compares with.
pub(super) fn written(test: &Test) -> (&'static str, Option<Json>) {
    match test {
        Test::IsEmpty => ("is_empty", None),
        Test::Boolean(true) => ("is_true", None),
        Test::Boolean(false) => ("is_false", None),
        Test::Text(test) => match test {
            TextTest::Is(text) => ("is", Some(text.clone().into())),
            TextTest::IsNot(text) => ("is_not", Some(text.clone().into())),
            TextTest::Contains(text) => ("contains", Some(text.clone().into())),
            TextTest::StartsWith(text) => ("starts_with", Some(text.clone().into())),
            TextTest::EndsWith(text) => ("ends_with", Some(text.clone().into())),
            TextTest::IsOneOf(texts) => ("is_one_of", Some(texts.clone().into())),
        },
        Test::List(test) => match test {
            ListTest::ContainsAny(texts) => ("contains_any", Some(texts.clone().into())),
            ListTest::ContainsAll(texts) => ("contains_all", Some(texts.clone().into())),
            ListTest::ContainsNone(texts) => ("contains_none", Some(texts.clone().into())),
        },
        Test::Number(comparison) => written_comparison(comparison, |number| {
            values::to_json(&Value::Number(number.0))
        }),
        Test::Date(test) => written_day_test(test, |date| date.to_string().into()),
        Test::Datetime(test) => written_day_test(test, |point| match point {
            Point::Day(day) => day.to_string().into(),
            Point::At(moment) => moment.to_string().into(),
        }),
    }
}

fn written_day_test<T>(
    test: &DayTest<T>,
    write: impl Fn(&T) -> Json,
) -> (&'static str, Option<Json>) {
    match test {
        DayTest::Is(comparison) => written_comparison(comparison, write),
        DayTest::InLastDays(days) => ("in_last_days", Some((*days).into())),
        DayTest::InNextDays(days) => ("in_next_days", Some((*days).into())),
    }
}

fn written_comparison<T>(
    comparison: &Comparison<T>,
    write: impl Fn(&T) -> Json,
) -> (&'static str, Option<Json>) {
    let (operator, value) = match comparison {
        Comparison::Equal(value) => ("=", write(value)),
        Comparison::NotEqual(value) => ("!=", write(value)),
        Comparison::Less(value) => ("<", write(value)),
        Comparison::AtMost(value) => ("<=", write(value)),
        Comparison::Greater(value) => (">", write(value)),
        Comparison::AtLeast(value) => (">=", write(value)),
        Comparison::Between(first, last) => ("between", vec![write(first), write(last)].into()),
    };
    (operator, Some(value))
}
