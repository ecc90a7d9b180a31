//! JSON as it comes from outside: an array read element by element, so that a bad one never spoils its neighbours.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Why an element, or a part of it, could not be understood. Never holds anything of the input.
pub(crate) type Reason = &'static str;

/// A field of an element, not yet looked into; none where it is absent or `null`.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// A text of the input. Most stand in it as they are and are kept as a place, so that parsing copies nothing; one that
/// is written with escapes is kept decoded.
#[derive(Debug)]
pub(crate) enum Text {
    /// Bytes `start..end` of the input.
    Place { start: u32, end: u32 },
    /// A text of its own.
    Own(Box<str>),
}

impl Text {
    /// Keeps `text`, as a place if it lies in `source`.
    pub(crate) fn of(source: &str, text: Cow<'_, str>) -> Self {
        if let Cow::Borrowed(text) = text {
            let start = (text.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
            // Only a part of `source` can lie between its first byte and its last.
            if let Some(end) = start.checked_add(text.len())
                && end <= source.len()
                && let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end))
            {
                return Text::Place { start, end };
            }
        }
        Text::Own(text.into())
    }

    /// The text. `source` is the input that it was kept from.
    pub(crate) fn get<'a>(&'a self, source: &'a str) -> &'a str {
        match self {
            Text::Place { start, end } => source
                .get(*start as usize..*end as usize)
                .unwrap_or_default(),
            Text::Own(text) => text,
        }
    }
}

/// Reads a JSON array: calls `element` with each element's index and what it is, or why it is nothing.
///
/// `source` is the text that elements borrow from; none where the bytes are not UTF-8 as a whole.
/// Fails, with what is wrong for people, if the bytes are not an array; what was told until then means nothing.
pub(crate) fn each_element<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    source: Option<&'a str>,
    mut element: impl FnMut(u32, Result<T, Reason>),
) -> Result<(), Reason> {
    let mut told = 0;
    if let Some(source) = source {
        // The usual case, in one go. Deep nesting is harmless: what is not of interest is skipped without recursion.
        let tell = |value| {
            element(told, Ok(value));
            told += 1;
        };
        let mut json = serde_json::Deserializer::from_str(source);
        if json
            .deserialize_seq(Elements {
                tell,
                of: PhantomData,
            })
            .is_ok()
            && json.end().is_ok()
        {
            return Ok(());
        }
    }
    // Something is wrong with the next element, or with the array: from there on each is read for itself.
    for (index, range) in (0..).zip(split(bytes)?).skip(told as usize) {
        let bytes = bytes.get(range).unwrap_or_default();
        let value = std::str::from_utf8(bytes)
            .map_err(|_| "it is not UTF-8")
            .and_then(|text| serde_json::from_str::<T>(text).map_err(|error| describe(&error)));
        element(index, value);
    }
    Ok(())
}

/// Tells each element as it is read, so that an array of any length needs no room of its own.
struct Elements<T, F> {
    tell: F,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Elements<T, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(value) = array.next_element()? {
            (self.tell)(value);
        }
        Ok(())
    }
}

/// Where the elements of a JSON array stand, by brackets and quotes alone.
fn split(bytes: &[u8]) -> Result<Vec<Range<usize>>, Reason> {
    let mut at = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    if bytes.get(at) != Some(&b'[') {
        return Err("it does not begin with a bracket");
    }
    at += 1;
    let mut elements = Vec::new();
    let mut start = at;
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    while let Some(&byte) = bytes.get(at) {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => in_text = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth > 0 => depth -= 1,
                b',' if depth == 0 => {
                    elements.push(start..at);
                    start = at + 1;
                }
                b']' => {
                    let last = bytes.get(start..at).unwrap_or_default();
                    if !elements.is_empty() || !last.trim_ascii().is_empty() {
                        elements.push(start..at);
                    }
                    let rest = bytes.get(at + 1..).unwrap_or_default();
                    return if rest.trim_ascii().is_empty() {
                        Ok(elements)
                    } else {
                        Err("something follows the array")
                    };
                }
                b'}' => return Err("a brace closes nothing"),
                _ => {}
            }
        }
        at += 1;
    }
    Err("it ends before the array does")
}

/// The kind of a JSON error, in words of our own: serde's may quote the input.
fn describe(error: &serde_json::Error) -> Reason {
    match error.classify() {
        serde_json::error::Category::Data => {
            "a field is missing, twice there, or of the wrong type"
        }
        _ => "it is not JSON",
    }
}

/// The text of a JSON text, number or boolean, exactly as written; the empty text for nothing.
pub(crate) fn text<'a>(raw: Raw<'a>) -> Result<Cow<'a, str>, Reason> {
    let Some(raw) = raw else {
        return Ok(Cow::Borrowed(""));
    };
    let written = raw.get();
    match written.as_bytes().first() {
        Some(b'"') => {
            let inner = written.get(1..written.len() - 1).unwrap_or_default();
            if inner.as_bytes().contains(&b'\\') {
                serde_json::from_str(written)
                    .map(Cow::Owned)
                    .map_err(|_| "a text has a broken escape")
            } else {
                Ok(Cow::Borrowed(inner))
            }
        }
        Some(b'{' | b'[') | None => Err("a text or number was expected"),
        Some(_) if written == "null" => Ok(Cow::Borrowed("")),
        Some(_) => Ok(Cow::Borrowed(written)),
    }
}

/// The texts of an array of texts or numbers, or of a single one; none for nothing.
pub(crate) fn texts<'a>(raw: Raw<'a>) -> Result<Vec<Cow<'a, str>>, Reason> {
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    if !raw.get().starts_with('[') {
        return Ok(vec![text(Some(raw))?]);
    }
    let items: Vec<&'a RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| describe(&error))?;
    items.into_iter().map(|item| text(Some(item))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_input_is_a_place_and_any_other_its_own() {
        let source = "one two".to_owned();
        let place = Text::of(&source, Cow::Borrowed(&source[4..]));
        assert!(matches!(place, Text::Place { start: 4, end: 7 }));
        assert_eq!(place.get(&source), "two");
        let elsewhere = Text::of(&source, Cow::Borrowed("two"));
        assert!(matches!(&elsewhere, Text::Own(text) if &**text == "two"));
        assert_eq!(elsewhere.get(&source), "two");
        assert_eq!(Text::of("", Cow::Borrowed("")).get(""), "");
    }

    #[test]
    fn an_array_is_cut_by_brackets_and_quotes() {
        let cut = |text: &str| {
            split(text.as_bytes()).map(|all| {
                all.into_iter()
                    .map(|range| text[range].to_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            cut(r#"[1, {"a":[2,"]"]} ,"\",\\"]"#),
            Ok(vec![
                "1".into(),
                r#" {"a":[2,"]"]} "#.into(),
                r#""\",\\""#.into()
            ])
        );
        assert_eq!(cut(" [ ] "), Ok(vec![]));
        assert_eq!(cut("[,]"), Ok(vec![String::new(), String::new()]));
        for text in ["", "x", "{}", "[", "[1", "[\"]", "[}", "[] 1"] {
            assert!(cut(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reading_goes_on_behind_a_bad_element() {
        let bytes = b"[1,2,true,3,\"\xff\",4]";
        let mut told = Vec::new();
        let read = each_element::<u32>(bytes, None, |index, value| told.push((index, value.ok())));
        assert!(read.is_ok());
        assert_eq!(
            told,
            [
                (0, Some(1)),
                (1, Some(2)),
                (2, None),
                (3, Some(3)),
                (4, None),
                (5, Some(4))
            ]
        );
        let text = "[1,2,true,3]";
        told.clear();
        assert!(
            each_element::<u32>(text.as_bytes(), Some(text), |index, value| told
                .push((index, value.ok())))
            .is_ok()
        );
        assert_eq!(
            told,
            [(0, Some(1)), (1, Some(2)), (2, None), (3, Some(3))],
            "each once, also those read at first"
        );
    }
}
