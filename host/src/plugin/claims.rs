//! Whether an element holds what a plugin says it holds: the id of a record, or the
//! text of a match key.

use std::collections::HashSet;

use serde_json::value::RawValue;

/// What the elements of a pass hold. Nothing is read before it is asked for: of a
/// delivery seldom, as only merges and associations name other records.
pub(super) struct Claims<'a> {
    elements: &'a [u8],
    split: Option<Vec<&'a RawValue>>,
    words: Option<(usize, HashSet<&'a str>)>,
    /// The last element that was searched, with its escapes resolved.
    unescaped: Option<(usize, String)>,
    scanned: usize,
}

/// The longest value that sources have: HubSpot's has so many characters.
const SHORT_BYTES_MAX: usize = 1 << 16;

/// So much is searched for one pass. Searching costs the host's own time, which no
/// deadline bounds; an honest answer has each element searched a few times, and all
/// of them have 4 MiB.
const SCANNED_BYTES_MAX: usize = 1 << 30;

impl<'a> Claims<'a> {
    pub(super) fn new(elements: &'a [u8]) -> Self {
        Self {
            elements,
            split: None,
            words: None,
            unescaped: None,
            scanned: 0,
        }
    }

    /// Whether an element has as many bytes as a text that it is said to write. The
    /// shorter texts are not looked at: they are as harmless as they are many.
    pub(super) fn has_room_for(&mut self, element: usize, text: &str) -> bool {
        text.len() <= SHORT_BYTES_MAX
            || (self.element(element)).is_some_and(|raw| text.len() <= raw.len())
    }

    /// Whether a text of this element holds this one, with no letter or digit
    /// beside it that would make it a part of another.
    pub(super) fn hold(&mut self, element: usize, text: &str) -> bool {
        let Some(raw) = self.element(element) else {
            return false;
        };
        if self.unescaped.as_ref().is_none_or(|(of, _)| *of != element) {
            self.unescaped = Some((element, unescaped(raw)));
        }
        self.may_scan(raw.len())
            && (self.unescaped.as_ref()).is_some_and(|(_, said)| holds(said, text))
    }

    /// Whether so many bytes may be searched once more.
    fn may_scan(&mut self, bytes: usize) -> bool {
        self.scanned = self.scanned.saturating_add(bytes);
        self.scanned <= SCANNED_BYTES_MAX
    }

    fn element(&mut self, element: usize) -> Option<&'a str> {
        let elements = self.elements;
        let split = self
            .split
            // What is no array holds nothing.
            .get_or_insert_with(|| serde_json::from_slice(elements).unwrap_or_default());
        split.get(element).map(|raw| raw.get())
    }

    /// Whether the bytes of an element hold this id. An id is nearly always a
    /// word of its own there, or one of several in a text with separators.
    pub(super) fn name(&mut self, element: usize, id: &str) -> bool {
        let Some(text) = self.element(element) else {
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
        // Or it has characters of other kinds, and stands there as a text, however that
        // is written.
        word || self.may_scan(text.len())
            && serde_json::to_string(id).is_ok_and(|json| text.contains(&json))
            || text.contains('\\') && self.hold(element, id)
    }
}

fn holds(raw: &str, text: &str) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let (first, last) = (text.chars().next(), text.chars().next_back());
    raw.match_indices(text).any(|(start, found)| {
        let before = raw
            .get(..start)
            .and_then(|before| before.chars().next_back());
        let after = raw
            .get(start + found.len()..)
            .and_then(|after| after.chars().next());
        !(is_word(before) && is_word(first) || is_word(last) && is_word(after))
    })
}

/// JSON with the escapes of its texts resolved: no JSON any more, but what its texts
/// say stands in it.
fn unescaped(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('u') => {
                let first = unit(escape);
                let second = escape.get(5..).and_then(|more| more.strip_prefix('\\'));
                let second = second.map(unit);
                let pair = [first, second.unwrap_or(0)];
                // Two halves are one character; a half alone says nothing.
                let (character, length) = match char::decode_utf16(pair).next() {
                    Some(Ok(character)) => (Some(character), 5 + 6 * (character.len_utf16() - 1)),
                    _ => (None, 5),
                };
                text.extend(character);
                rest = escape.get(length..).unwrap_or_default();
            }
            Some(character) => {
                text.push(match character {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    itself => itself,
                });
                rest = characters.as_str();
            }
            None => rest = "",
        }
    }
    text.push_str(rest);
    text
}

/// The unit of UTF-16 of `uXXXX`; half a character where it is none.
fn unit(escape: &str) -> u16 {
    let digits = escape.strip_prefix('u').and_then(|digits| digits.get(..4));
    let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
    unit.unwrap_or(0xd800)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_holds_the_texts_that_stand_in_it_however_they_are_escaped() {
        let mut claims = Claims::new(
            br#"[{"email":"ana@example.com;bo@example.com ","n":17,"x":"jimbo@example.com"},
                {"email":"an\u0061@ex\/ample.com","smile":"\ud83d\ude00x\n+33 1\ud800"}]"#,
        );
        for text in ["ana@example.com", "bo@example.com", "17", "example.com"] {
            assert!(claims.hold(0, text), "{text}");
        }
        for text in [
            "cy@example.com",
            "7",
            "1",
            "imbo@example.com",
            "a@example.com",
        ] {
            assert!(!claims.hold(0, text), "{text}");
        }
        for text in ["ana@ex/ample.com", "\u{1f600}x", "+33 1", "x\n+33 1"] {
            assert!(claims.hold(1, text), "{text}");
        }
        assert!(!claims.hold(1, "ana@example.com"));
        assert!(!claims.hold(2, "17"));
    }

    #[test]
    fn no_plugin_has_elements_searched_without_end() {
        let text = format!(r#"["{} a b"]"#, "x".repeat(1 << 20));
        let honest = 100;
        for search in [Claims::hold, Claims::name] {
            let mut claims = Claims::new(text.as_bytes());
            let id = |search: usize| {
                if search.is_multiple_of(2) {
                    "a b"
                } else {
                    "nobody"
                }
            };
            for turn in 0..honest {
                search(&mut claims, 0, id(turn));
            }
            assert!(claims.hold(0, "a b"));
            let last = (0..2_000).find(|_| !claims.hold(0, "a b"));
            assert!(last.is_some());
        }
    }

    #[test]
    fn an_element_names_the_ids_that_stand_in_it_and_no_others() {
        let mut claims = Claims::new(
            br#"[{"id":12,"merged":"34;56:78"},{"id":"a\"b","merged":"gid:\/\/shop\/\u00e9"}]"#,
        );
        for id in ["12", "34", "56", "78"] {
            assert!(claims.name(0, id), "{id}");
            assert!(!claims.name(1, id), "{id}");
        }
        // A part of another number is no id.
        for id in ["99", "1", "4;5", "3"] {
            assert!(!claims.name(0, id), "{id}");
        }
        assert!(claims.name(1, "a\"b"));
        assert!(claims.name(1, "gid://shop/\u{e9}"));
        assert!(!claims.name(1, "gid://shop/\u{e8}"));
        assert!(!claims.name(2, "12"));
    }
}
