//! The host's own reading of bodies: which elements they hold, whose they are,
//! and which records they tell of, by the paths that a description names.
//!
//! Architecture invariant: no plugin runs here. What a plugin says of an
//! element is a claim; whose it is, and which record it names, is known before.
//!
//! Reading is tolerant: an element without an account or a record is still an
//! element, for the pipeline to set aside. Nesting costs no stack.

use std::borrow::Cow;

use serde::{
    Deserializer as _,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{describe::BodyDescription, limits::NAME_BYTES_MAX};
use crate::model::{AccountKey, RecordId};

/// The most elements of one body. HubSpot's deliveries have up to 100 events,
/// its journal's files up to some ten thousand.
pub const ELEMENTS_MAX: usize = 100_000;

/// One element of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its index in the body.
    pub index: usize,
    /// Its bytes, as they stand in the body.
    pub bytes: &'a [u8],
    /// Its account; none where it names none, or what it names is no id.
    pub account: Option<AccountKey>,
    /// The records that it tells something of, each once, its own first.
    pub records: Vec<RecordId>,
}

/// Why a body has no elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The bytes are not JSON in UTF-8.
    #[error("the body is not JSON: line {line}, column {column}")]
    NotJson {
        /// The line at which it stops being JSON, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// There are more elements than any source sends.
    #[error("the body has more than {ELEMENTS_MAX} elements")]
    TooMany,
    /// The plugin describes no bodies of this kind.
    #[error("the plugin does not read bodies of this kind")]
    NotDescribed,
    /// It is JSON, and there is no array where the elements should stand.
    #[error("the body has no array of elements where one should be")]
    NoElements,
}

impl From<serde_json::Error> for SplitError {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Splits a body into its elements.
pub fn split<'a>(body: &'a [u8], at: &BodyDescription) -> Result<Vec<Element<'a>>, SplitError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let raw = match ElementsAt(&at.elements).deserialize(&mut json) {
        Ok(Some(raw)) => raw,
        Err(error) if !error.is_data() => return Err(error.into()),
        // It was not read to its end.
        Ok(None) | Err(_) => {
            serde_json::from_slice::<IgnoredAny>(body)?;
            return Err(SplitError::NoElements);
        }
    };
    json.end()?;
    if raw.len() > ELEMENTS_MAX {
        return Err(SplitError::TooMany);
    }
    let account = at.account.as_deref();
    // The account's path is the first, if there is one; then come the records'.
    let paths: Vec<&[String]> = account
        .into_iter()
        .chain(at.records.iter().map(Vec::as_slice))
        .collect();
    let mut found = vec![None; paths.len()];
    Ok(raw
        .into_iter()
        .enumerate()
        .map(|(index, element)| {
            found.fill(None);
            let wanted: Vec<Wanted<'_>> = paths
                .iter()
                .enumerate()
                .map(|(slot, path)| Wanted { slot, path })
                .collect();
            find(element.get(), &wanted, &mut found);
            let (accounts, records) = found.split_at(usize::from(account.is_some()));
            Element {
                index,
                bytes: element.get().as_bytes(),
                account: accounts
                    .first()
                    .copied()
                    .flatten()
                    .and_then(id)
                    .map(|id| AccountKey::from(&*id)),
                records: record_ids(records),
            }
        })
        .collect())
}

/// The account of a body's first element, at the cost of that one, whatever follows;
/// none where it names none, or where the body is not itself the array.
pub fn first_account(body: &[u8], at: &BodyDescription) -> Option<AccountKey> {
    let elements = body.trim_ascii_start().strip_prefix(b"[")?;
    let (true, Some(path)) = (at.elements.is_empty(), &at.account) else {
        return None;
    };
    let mut values = serde_json::Deserializer::from_slice(elements).into_iter();
    let first: &RawValue = values.next()?.ok()?;
    let mut found = [None];
    find(first.get(), &[Wanted { slot: 0, path }], &mut found);
    found[0].and_then(id).map(|id| AccountKey::from(&*id))
}

/// Puts elements together again, as a JSON array.
pub fn join<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut array = vec![b'['];
    for (index, element) in elements.enumerate() {
        if index > 0 {
            array.push(b',');
        }
        array.extend_from_slice(element);
    }
    array.push(b']');
    array
}

/// Puts elements where a body of that description has them: [`split`] finds them
/// there again.
pub fn enclose<'a>(at: &BodyDescription, elements: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for name in &at.elements {
        body.extend_from_slice(format!("{{{}:", serde_json::Value::from(&**name)).as_bytes());
    }
    body.extend(join(elements));
    body.extend(at.elements.iter().map(|_| b'}'));
    body
}

/// A body without some of its elements, all of which were split from it. What
/// stands around them stays as it is.
pub fn without(
    body: &[u8],
    elements: &[Element<'_>],
    is_left_out: impl Fn(&Element<'_>) -> bool,
) -> Vec<u8> {
    let (Some(first), Some(last)) = (elements.first(), elements.last()) else {
        return body.to_vec();
    };
    // They point into the body.
    let place = |bytes: &[u8]| bytes.as_ptr().addr() - body.as_ptr().addr();
    let begin = place(first.bytes);
    let end = place(last.bytes) + last.bytes.len();
    let kept = elements.iter().filter(|element| !is_left_out(element));
    let kept = join(kept.map(|element| element.bytes));
    let (Some(before), Some(after)) = (body.get(..begin), body.get(end..)) else {
        return kept;
    };
    // Without the brackets: the body has them.
    [before, &kept[1..kept.len() - 1], after].concat()
}

/// The ids that were found, in the order of paths, each once.
fn record_ids(found: &[Option<&str>]) -> Vec<RecordId> {
    let mut ids: Vec<RecordId> = Vec::new();
    let mut add = |raw: &str| {
        if let Some(id) = id(raw)
            && !ids.iter().any(|known| known.as_str() == id)
        {
            ids.push(RecordId::from(&*id));
        }
    };
    for raw in found.iter().flatten() {
        if raw.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            items.iter().for_each(|item| add(item.get()));
        } else {
            add(raw);
        }
    }
    ids
}

/// An id: a text, or a number's digits exactly as they stand. A number with a
/// sign, a fraction or an exponent is no id: two spellings could be one.
fn id(raw: &str) -> Option<Cow<'_, str>> {
    let id = if raw.starts_with('"') {
        serde_json::from_str::<Text<'_>>(raw).ok()?.0
    } else if raw.bytes().all(|byte| byte.is_ascii_digit()) {
        Cow::Borrowed(raw)
    } else {
        return None;
    };
    let usable = !id.is_empty() && id.len() <= NAME_BYTES_MAX && !id.chars().any(char::is_control);
    usable.then_some(id)
}

/// A JSON text, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A path still to be followed, and where to note what stands at its end.
#[derive(Clone, Copy)]
struct Wanted<'p> {
    slot: usize,
    path: &'p [String],
}

/// Notes, for every path, the bytes at its end. What is no object has nothing.
fn find<'a>(json: &'a str, wanted: &[Wanted<'_>], found: &mut [Option<&'a str>]) {
    let mut json = serde_json::Deserializer::from_str(json);
    // The bytes are known to be JSON, so the only error is "not an object".
    let _ = json.deserialize_map(Find { wanted, found });
}

struct Find<'w, 'p, 'a> {
    wanted: &'w [Wanted<'p>],
    found: &'w mut [Option<&'a str>],
}

impl<'a> Visitor<'a> for Find<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Text(key)) = map.next_key()? {
            let leads = |wanted: &&Wanted<'_>| wanted.path.first().is_some_and(|step| *step == key);
            if !self.wanted.iter().any(|wanted| leads(&wanted)) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?.get();
            let mut deeper = Vec::new();
            for Wanted { slot, path } in self.wanted.iter().filter(leads) {
                match &path[1..] {
                    // A null is no id, and no reason to forget one.
                    [] if value != "null" => self.found[*slot] = Some(value),
                    [] => {}
                    rest => deeper.push(Wanted {
                        slot: *slot,
                        path: rest,
                    }),
                }
            }
            if !deeper.is_empty() {
                find(value, &deeper, self.found);
            }
        }
        Ok(())
    }
}

/// Reads the array at the end of a path; none where the path leads nowhere.
struct ElementsAt<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for ElementsAt<'_> {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            serde::Deserialize::deserialize(json).map(Some)
        } else {
            json.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for ElementsAt<'_> {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut elements = None;
        while let Some(Text(key)) = map.next_key()? {
            if self.0.first().is_some_and(|step| *step == key) {
                elements = map.next_value_seed(ElementsAt(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(elements)
    }
}
