//! Whether an element names a record that a plugin says it names.

use std::collections::HashSet;

use serde_json::value::RawValue;

/// What the elements of a pass name. Nothing is read before it is asked for,
/// which is seldom: only merges and associations name other records.
pub(super) struct Claims<'a> {
    elements: &'a [u8],
    split: Option<Vec<&'a RawValue>>,
    words: Option<(usize, HashSet<&'a str>)>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(elements: &'a [u8]) -> Self {
        Self {
            elements,
            split: None,
            words: None,
        }
    }

    /// Whether the bytes of an element hold this id. An id is nearly always a
    /// word of its own there, or one of several in a text with separators.
    pub(super) fn name(&mut self, element: usize, id: &str) -> bool {
        let elements = self.elements;
        let split = self
            .split
            // What is no array names nothing.
            .get_or_insert_with(|| serde_json::from_slice(elements).unwrap_or_default());
        let Some(text) = split.get(element).map(|raw| raw.get()) else {
            return false;
        };
        if self.words.as_ref().is_none_or(|(of, _)| *of != element) {
            let is_separator = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
            self.words = Some((element, text.split(is_separator).collect()));
        }
        let word = self
            .words
            .as_ref()
            .is_some_and(|(_, words)| words.contains(id));
        // Or it has characters of other kinds, and stands there as a text.
        word || serde_json::to_string(id).is_ok_and(|json| text.contains(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_names_the_ids_that_stand_in_it_and_no_others() {
        let mut claims = Claims::new(br#"[{"id":12,"merged":"34;56:78"},{"id":"a\"b"}]"#);
        for id in ["12", "34", "56", "78"] {
            assert!(claims.name(0, id), "{id}");
            assert!(!claims.name(1, id), "{id}");
        }
        // A part of another number is no id.
        for id in ["99", "1", "4;5", "3"] {
            assert!(!claims.name(0, id), "{id}");
        }
        assert!(claims.name(1, "a\"b"));
        assert!(!claims.name(2, "12"));
    }
}
