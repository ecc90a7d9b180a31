//! Values as callers write them in a body: HubSpot takes ids as text and as numbers, and property
//! values as any plain JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::fault::Fault;
use crate::linking::standard;
use crate::links::{Category, LinkType};
use crate::request::record_id;

/// An id, as text or as a number.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct WrittenId(Value);

impl WrittenId {
    /// What it says, whatever that is.
    pub(crate) fn text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The record it may name.
    pub(crate) fn record(&self) -> Result<u64, Fault> {
        record_id(&self.text())
    }
}

/// Property values: text, numbers, booleans or null.
pub(crate) fn values<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let given = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let values = given.into_iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        (name, text)
    });
    Ok(values.collect())
}

/// Types of an association.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Vec<WrittenType>")]
pub(crate) struct WrittenTypes(pub Vec<LinkType>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenType {
    association_category: Option<String>,
    association_type_id: u32,
}

impl From<Vec<WrittenType>> for WrittenTypes {
    fn from(written: Vec<WrittenType>) -> Self {
        let types = written.iter().map(|written| {
            let mut link = standard(written.association_type_id);
            if written.association_category.as_deref() == Some("USER_DEFINED") {
                link.category = Category::UserDefined;
            }
            link
        });
        Self(types.collect())
    }
}
