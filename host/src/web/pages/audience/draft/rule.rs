//! A rule while somebody builds it: what was chosen and filled in, what is missing,
//! and the document of it.

use serde_json::{Value as Json, json};

use crate::model::VariableType;

/// What the attribute of a rule is that asks for another segment.
pub const SEGMENT: &str = "segment";

/// What the attributes of other rules begin with.
const ATTRIBUTE: &str = "attribute.";

/// The operators that pages have beside those of the API, and what they negate.
pub(super) const NEGATED: [(&str, &str); 6] = [
    ("not_in", "in"),
    ("not_empty", "is_empty"),
    ("not_contains", "contains"),
    ("not_starts_with", "starts_with"),
    ("not_ends_with", "ends_with"),
    ("not_one_of", "is_one_of"),
];

/// A rule, as far as it is filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// What was chosen; empty before.
    pub attribute: String,
    /// What was chosen.
    pub operator: String,
    /// What was filled in.
    pub values: Vec<String>,
}

/// The choice of an attribute by its name.
pub fn attribute(name: &str) -> String {
    format!("{ATTRIBUTE}{name}")
}

/// How a rule's operator takes its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One.
    One,
    /// Two, as numbers or days between.
    Two,
    /// Any number of texts.
    Many,
    /// A number of days.
    Days,
}

impl Rule {
    /// The name of the attribute; none where none is chosen, or a segment is.
    pub fn attribute_name(&self) -> Option<&str> {
        self.attribute.strip_prefix(ATTRIBUTE)
    }

    /// The values of which each is a text of its own: a line, or a field.
    pub fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for text in self.values.iter().flat_map(|value| value.split('\n')) {
            let text = text.strip_suffix('\r').unwrap_or(text);
            if !text.trim().is_empty() && !texts.iter().any(|known| known == text) {
                texts.push(text.to_owned());
            }
        }
        texts
    }

    /// How its operator takes values.
    pub fn takes(&self) -> Takes {
        match self.operator.as_str() {
            "is_empty" | "not_empty" | "is_true" | "is_false" => Takes::Nothing,
            "between" => Takes::Two,
            "is_one_of" | "not_one_of" | "contains_any" | "contains_all" | "contains_none" => {
                Takes::Many
            }
            "in_last_days" | "in_next_days" => Takes::Days,
            _ => Takes::One,
        }
    }

    /// The value in a place, as it was filled in.
    pub fn value(&self, place: usize) -> &str {
        self.values.get(place).map_or("", String::as_str)
    }

    /// Whether everything is filled in; else what is not.
    pub fn missing(&self) -> Option<&'static str> {
        if self.attribute.is_empty() {
            return Some("Choose an attribute.");
        }
        // Blanks are a text, too.
        let is_there = |place: usize| !self.value(place).is_empty();
        match self.takes() {
            Takes::Nothing => None,
            Takes::One if self.attribute == SEGMENT => {
                (!is_there(0)).then_some("Choose a segment.")
            }
            Takes::One | Takes::Days => (!is_there(0)).then_some("Fill in a value."),
            Takes::Two => (!is_there(0) || !is_there(1)).then_some("Fill in both values."),
            Takes::Many => self
                .texts()
                .is_empty()
                .then_some("Fill in at least one value."),
        }
    }

    /// Its document; values of `of` are written as their type is.
    pub fn document(&self, of: Option<VariableType>) -> Json {
        let negated = NEGATED.iter().find(|(word, _)| *word == self.operator);
        let operator = negated.map_or(self.operator.as_str(), |(_, of)| of);
        let document = match self.attribute_name() {
            None => json!({"segment": self.value(0)}),
            Some(name) => {
                let one = |place: usize| typed(self.value(place), of);
                let value = match self.takes() {
                    Takes::Nothing => Json::Null,
                    Takes::One => one(0),
                    Takes::Two => json!([one(0), one(1)]),
                    Takes::Many => self.texts().into(),
                    Takes::Days => typed(self.value(0), Some(VariableType::Number)),
                };
                json!({"variable": name, "operator": operator, "value": value})
            }
        };
        match negated {
            Some(_) => json!({ "not": document }),
            None => document,
        }
    }
}

pub(super) fn typed(text: &str, of: Option<VariableType>) -> Json {
    let text = match of {
        // Of a text, blanks are a part.
        None | Some(VariableType::Text) => text,
        Some(_) => text.trim(),
    };
    if of == Some(VariableType::Number) {
        let digits = without_groups(text);
        let text = digits.as_deref().unwrap_or(text);
        if let Ok(whole) = text.parse::<i64>() {
            return whole.into();
        }
        // What is no finite number is said to be none by whoever reads it.
        if let Some(number) = text.parse().ok().and_then(serde_json::Number::from_f64) {
            return number.into();
        }
    }
    text.into()
}

/// A number that is written as pages write them, `−1,200.5`, as programs do; none
/// where it is written otherwise.
fn without_groups(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    let mut groups = whole.split(',');
    let is_first = |group: &str| (1..=3).contains(&group.len());
    let is_grouped = groups.next().is_some_and(is_first) && groups.all(|group| group.len() == 3);
    let is_written = whole
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b',');
    let is_one = is_written && (is_grouped || !whole.contains(','));
    is_one.then(|| format!("{sign}{}{fraction}", whole.replace(',', "")))
}
