//! Any number and any moment, in the forms in which HubSpot writes them.

use plugin_kit::contract::jimo::connect::types::{Value, VariableType};
use proptest::prelude::*;

use crate::properties::{FIRST_MS, LAST_MS, convert};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_moment_is_the_same_in_every_form(ms in FIRST_MS..=LAST_MS) {
        // The other side is a calendar of its own.
        let iso = plugin_kit::show::moment(ms);
        let expected = Some(Value::Datetime(ms));
        prop_assert_eq!(convert("datetime", "date", VariableType::Datetime, &ms.to_string()), expected.clone());
        prop_assert_eq!(convert("datetime", "date", VariableType::Datetime, &iso), expected);
        let day = Value::Date(i32::try_from(ms.div_euclid(86_400_000)).expect("in range"));
        prop_assert_eq!(convert("datetime", "date", VariableType::Date, &iso), Some(day.clone()));
        prop_assert_eq!(convert("date", "date", VariableType::Date, iso.get(..10).expect("a day")), Some(day));
        let written = convert("datetime", "date", VariableType::Text, &ms.to_string());
        let Some(Value::Text(written)) = written else { panic!("{written:?}") };
        prop_assert_eq!(written, iso);
    }

    #[test]
    fn an_integer_is_read_exactly_or_not_at_all(number: i64) {
        match convert("number", "number", VariableType::Number, &number.to_string()) {
            Some(Value::Number(read)) => prop_assert_eq!(read as i128, i128::from(number)),
            Some(other) => panic!("{other:?}"),
            None => prop_assert!(number.unsigned_abs() > 1 << 53),
        }
    }

    #[test]
    fn a_float_that_is_written_is_read_back(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
        let expected = if number == 0.0 { 0.0 } else { number };
        for text in [format!("{number}"), format!("{number:e}")] {
            match convert("number", "number", VariableType::Number, &text) {
                Some(Value::Number(read)) => prop_assert_eq!(read.to_bits(), expected.to_bits()),
                // The shortest digits of a large float are not those that it holds.
                None => prop_assert!(number.abs() >= 9_007_199_254_740_992.0),
                Some(other) => panic!("{other:?}"),
            }
        }
    }
}
