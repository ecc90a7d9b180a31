//! What a condition asks at one moment, and the one form in which values are
//! compared.

use std::ops::{Bound, RangeBounds};

use jiff::civil::Date;

use super::{
    super::{Value, fold},
    Attribute,
};

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
    pub(super) fn one(key: Key) -> Self {
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

/// The key of a date.
pub(super) fn date_key(date: Date) -> Key {
    Key::Text(date.to_string())
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
