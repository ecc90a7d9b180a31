//! Cuts bodies into elements by what a component describes, as a host does before the component sees them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::contract::exports::jimo::connect::describe::{BodyDescription, Path};

/// The elements of one account, unchanged, and the records that each names.
#[derive(Debug, Default)]
pub struct Elements {
    /// The elements as a JSON array.
    pub json: Vec<u8>,
    /// For each element the ids that it names, its own first.
    pub records: Vec<Vec<String>>,
}

/// Cuts a body into the elements of each account; the account is empty where elements name none.
///
/// # Errors
/// If the body is not what the description says.
pub fn cut(
    body: &[u8],
    description: &BodyDescription,
) -> Result<BTreeMap<String, Elements>, serde_json::Error> {
    let body: &RawValue = serde_json::from_slice(body)?;
    let elements = at(body, &description.elements)?.unwrap_or(RawValue::NULL);
    let elements: Vec<&RawValue> = serde_json::from_str(elements.get())?;
    let mut accounts: BTreeMap<String, Elements> = BTreeMap::new();
    for element in elements {
        let account = match &description.account {
            Some(path) => ids(element, path)?.into_iter().next().unwrap_or_default(),
            None => String::new(),
        };
        let mut records = Vec::new();
        for path in &description.records {
            records.extend(ids(element, path)?);
        }
        let cut = accounts.entry(account).or_default();
        cut.json.push(if cut.json.is_empty() { b'[' } else { b',' });
        cut.json.extend_from_slice(element.get().as_bytes());
        cut.records.push(records);
    }
    for cut in accounts.values_mut() {
        cut.json.push(b']');
    }
    Ok(accounts)
}

/// The value at a path; none where it is not there.
fn at<'a>(value: &'a RawValue, path: &Path) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let mut value = value;
    for key in path {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(value.get())?;
        match object.get(key) {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The ids at a path: a text, a number, or an array of them.
fn ids(element: &RawValue, path: &Path) -> Result<Vec<String>, serde_json::Error> {
    let Some(value) = at(element, path)? else {
        return Ok(Vec::new());
    };
    let one = |value: &RawValue| value.get().trim_matches('"').to_owned();
    if value.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(value.get())?;
        return Ok(items.into_iter().map(one).collect());
    }
    Ok(Some(value)
        .filter(|value| value.get() != "null")
        .map(one)
        .into_iter()
        .collect())
}
