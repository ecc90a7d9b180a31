//! Pages of batches, as far as the client reads them: which of the things asked
//! for an answer does not hold, and where it goes on.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Error, account::undecodable, objects::Refusal, transport::Reply};
use crate::model::RecordId;

/// A page of a batch, at 200 and 207 alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
pub(super) struct PageWire<T> {
    status: Option<String>,
    pub(super) results: Vec<T>,
    num_errors: Option<usize>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) errors: Vec<FaultWire>,
}

#[derive(Deserialize)]
pub(super) struct FaultWire {
    category: Option<String>,
    #[serde(default)]
    context: serde_json::Value,
}

/// The associations of one record.
#[derive(Deserialize)]
pub(super) struct FromWire {
    from: IdWire,
    paging: Option<PagingWire>,
}

impl FromWire {
    /// Whose associations go on, and where.
    pub(super) fn more(self) -> Option<(RecordId, String)> {
        let after = self.paging?.after()?;
        Some((self.from.id.text().into(), after))
    }
}

#[derive(Deserialize)]
struct IdWire {
    id: TextOrNumber,
}

/// Where a page goes on.
#[derive(Deserialize)]
pub(super) struct PagingWire {
    next: Option<NextWire>,
}

impl PagingWire {
    /// What to name to get the next page; none at the end.
    pub(super) fn after(self) -> Option<String> {
        self.next.map(|next| next.after.text())
    }
}

#[derive(Deserialize)]
struct NextWire {
    after: TextOrNumber,
}

/// HubSpot writes ids both ways.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(u64),
}

impl TextOrNumber {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What the errors of a page say, by input.
pub(super) struct Faults {
    pub(super) missing: Vec<usize>,
    pub(super) refused: Vec<Refusal>,
    named: usize,
}

impl Faults {
    /// Whether the errors told are all that are counted. One error may name
    /// several records.
    pub(super) fn all_told<T>(&self, page: &PageWire<T>) -> bool {
        page.num_errors.unwrap_or(0) <= page.errors.len().max(self.named)
    }
}

pub(super) fn sort_faults(errors: &[FaultWire], inputs: &[&str], by_property: bool) -> Faults {
    // HubSpot may write a unique property's value, such as an e-mail address,
    // in another way than it was asked for.
    let key = |text: &str| match by_property {
        true => text.trim().to_lowercase(),
        false => text.to_owned(),
    };
    let mut indexes: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, input) in inputs.iter().enumerate() {
        indexes.entry(key(input)).or_default().push(index);
    }
    let mut faults = Faults {
        missing: Vec::new(),
        refused: Vec::new(),
        named: 0,
    };
    for error in errors {
        let ids = named_ids(&error.context);
        let known = ids.iter().filter_map(|id| indexes.get(&key(id)));
        let named: Vec<usize> = known.flatten().copied().collect();
        faults.named += ids.len();
        if error.category.as_deref() == Some("OBJECT_NOT_FOUND") && !named.is_empty() {
            faults.missing.extend(named);
        } else {
            faults.refused.push(Refusal {
                inputs: named,
                category: error.category.clone(),
            });
        }
    }
    faults.missing.sort_unstable();
    faults.missing.dedup();
    faults
}

/// The ids that an error names: `ids` by the guide, `fromObjectId` in answers
/// about associations (observed).
fn named_ids(context: &serde_json::Value) -> Vec<String> {
    ["ids", "id", "fromObjectId"]
        .iter()
        .filter_map(|name| context[*name].as_array())
        .flatten()
        .filter_map(|id| match id {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect()
}

/// Inputs that neither a result nor an error speaks of.
pub(super) fn left_out(inputs: &[&str], results: &[FromWire], faults: &Faults) -> Vec<usize> {
    let found: std::collections::HashSet<String> =
        results.iter().map(|result| result.from.id.text()).collect();
    let told = |index: &usize| {
        faults.missing.binary_search(index).is_ok()
            || faults
                .refused
                .iter()
                .any(|refusal| refusal.inputs.contains(index))
    };
    (0..inputs.len())
        .filter(|index| !found.contains(inputs[*index]) && !told(index))
        .collect()
}

pub(super) fn decode_page<T: for<'de> Deserialize<'de>>(
    reply: &Reply,
    call: &'static str,
) -> Result<PageWire<T>, Error> {
    let page: PageWire<T> =
        serde_json::from_slice(&reply.body).map_err(|error| undecodable(call, &error))?;
    match page.status.as_deref() {
        None | Some("COMPLETE") => Ok(page),
        Some(_) => Err(Error::Undecodable {
            call,
            reason: "the batch is not complete".into(),
        }),
    }
}
