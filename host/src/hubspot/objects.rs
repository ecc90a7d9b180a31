//! Records, associations and property definitions (HubSpot: CRM objects,
//! associations v4 and properties guides, in their dated versions).
//!
//! Pages go to the plugin as they came; read here is what says which of the
//! things asked for the page does not hold, and where it goes on.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    API_VERSION, Caller, Client, Error, Pool,
    account::undecodable,
    transport::{Call, Reply},
};
use crate::model::{ObjectType, PropertyName, RecordId, Timestamp};

/// The most records of one batch read.
pub const RECORDS_MAX: usize = 100;
/// The most records of one batch read of associations (since February 2025).
pub const ASSOCIATION_INPUTS_MAX: usize = 1_000;
/// What an object type may look like in a path: `contacts`, `0-1`, `p1_cars`.
const OBJECT_TYPE_LENGTH_MAX: usize = 64;
/// The page of a batch in which nothing was found.
const EMPTY_PAGE: &[u8] = br#"{"status":"COMPLETE","results":[]}"#;

/// Which of the things asked for do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Those that errors of the answer name, by index of what was asked for.
    Named(Vec<usize>),
    /// All, by an answer that names none. To be believed when it repeats.
    WholeBatch,
}

/// Things asked for that the answer refuses for another reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Their indexes; none when the answer does not name them.
    pub inputs: Vec<usize>,
    /// HubSpot's word for the reason.
    pub category: Option<String>,
}

/// An answer to a batch read.
#[derive(Clone, Debug)]
pub struct Records {
    /// The page, as HubSpot wrote it. Its order is not that of the inputs, and
    /// a record that was merged has another id than the one asked for.
    pub body: Bytes,
    /// What does not exist.
    pub missing: Missing,
    /// What was refused.
    pub refused: Vec<Refusal>,
    /// When the call was sent, by our clock: it answers for nothing later.
    pub begun_at: Timestamp,
    /// When HubSpot answered, by its clock.
    pub answered_at: Timestamp,
}

/// A record whose associations are asked for.
#[derive(Clone, Copy, Debug)]
pub struct AssociationInput<'a> {
    /// The record.
    pub record: &'a RecordId,
    /// Where its page before left off.
    pub after: Option<&'a str>,
}

/// An answer to a batch read of associations.
#[derive(Clone, Debug)]
pub struct Associations {
    /// The page, as HubSpot wrote it.
    pub body: Bytes,
    /// Records that have more associations, and where to go on.
    pub more: Vec<(RecordId, String)>,
    /// Records without associations of this type: HubSpot names them by an
    /// error, or leaves them out of a complete answer.
    pub without: Missing,
    /// What was refused, or can't be told from it.
    pub refused: Vec<Refusal>,
    /// When the call was sent, by our clock: registers of associations are
    /// ordered by it.
    pub begun_at: Timestamp,
    /// When HubSpot answered, by its clock.
    pub answered_at: Timestamp,
}

impl Client {
    /// Reads up to [`RECORDS_MAX`] records by id, or by the values of a unique
    /// property.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn read_records(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
        inputs: &[&str],
        properties: &[PropertyName],
        id_property: Option<&PropertyName>,
    ) -> Result<Records, Error> {
        check_inputs(inputs.len(), RECORDS_MAX)?;
        let name = "batch read";
        let body = RecordsWire {
            inputs: inputs
                .iter()
                .map(|id| InputWire { id, after: None })
                .collect(),
            properties,
            id_property,
        };
        let call = Call {
            name,
            method: Method::POST,
            path: format!(
                "/crm/objects/{API_VERSION}/{}/batch/read?archived=false",
                segment(object_type)?
            ),
            json: Some(encode(&body)),
            pool: Pool::General,
            may_miss_all: true,
        };
        let reply = self.call(caller, &call).await?;
        let mut records = Records {
            body: Bytes::from_static(EMPTY_PAGE),
            missing: Missing::WholeBatch,
            refused: Vec::new(),
            begun_at: reply.begun_at,
            answered_at: reply.answered_at,
        };
        if reply.status != StatusCode::NOT_FOUND {
            let page: PageWire<serde::de::IgnoredAny> = decode_page(&reply, name)?;
            let faults = sort_faults(&page.errors, inputs, id_property.is_some());
            records.missing = Missing::Named(faults.missing);
            records.refused = faults.refused;
            records.body = reply.body;
        }
        Ok(records)
    }

    /// Reads the associations of up to [`ASSOCIATION_INPUTS_MAX`] records to
    /// one object type.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn read_associations(
        &self,
        caller: &Caller,
        from: &ObjectType,
        to: &ObjectType,
        inputs: &[AssociationInput<'_>],
    ) -> Result<Associations, Error> {
        check_inputs(inputs.len(), ASSOCIATION_INPUTS_MAX)?;
        let name = "batch read of associations";
        let ids: Vec<&str> = inputs.iter().map(|input| input.record.as_str()).collect();
        let wire = inputs.iter().map(|input| InputWire {
            id: input.record.as_str(),
            after: input.after,
        });
        let body = serde_json::json!({ "inputs": wire.collect::<Vec<_>>() });
        let call = Call {
            name,
            method: Method::POST,
            path: format!(
                "/crm/associations/{API_VERSION}/{}/{}/batch/read",
                segment(from)?,
                segment(to)?
            ),
            json: Some(encode(&body)),
            pool: Pool::Associations,
            may_miss_all: true,
        };
        let reply = self.call(caller, &call).await?;
        let mut associations = Associations {
            body: Bytes::from_static(EMPTY_PAGE),
            more: Vec::new(),
            without: Missing::WholeBatch,
            refused: Vec::new(),
            begun_at: reply.begun_at,
            answered_at: reply.answered_at,
        };
        if reply.status != StatusCode::NOT_FOUND {
            let page: PageWire<FromWire> = decode_page(&reply, name)?;
            let mut faults = sort_faults(&page.errors, &ids, false);
            let left_out = left_out(&ids, &page.results, &faults);
            if faults.all_told(&page) {
                faults.missing.extend(left_out);
                faults.missing.sort_unstable();
            } else if !left_out.is_empty() {
                // Some errors are not told, so silence says nothing.
                faults.refused.push(Refusal {
                    inputs: left_out,
                    category: None,
                });
            }
            associations.more = page
                .results
                .into_iter()
                .filter_map(FromWire::more)
                .collect();
            associations.without = Missing::Named(faults.missing);
            associations.refused = faults.refused;
            associations.body = reply.body;
        }
        Ok(associations)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordsWire<'a> {
    inputs: Vec<InputWire<'a>>,
    properties: &'a [PropertyName],
    #[serde(skip_serializing_if = "Option::is_none")]
    id_property: Option<&'a PropertyName>,
}

#[derive(Serialize)]
struct InputWire<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

/// A page of a batch, at 200 and 207 alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
struct PageWire<T> {
    status: Option<String>,
    results: Vec<T>,
    num_errors: Option<usize>,
    #[serde(default, deserialize_with = "null_is_empty")]
    errors: Vec<FaultWire>,
}

#[derive(Deserialize)]
struct FaultWire {
    category: Option<String>,
    #[serde(default)]
    context: serde_json::Value,
}

/// The associations of one record.
#[derive(Deserialize)]
struct FromWire {
    from: IdWire,
    paging: Option<PagingWire>,
}

impl FromWire {
    fn more(self) -> Option<(RecordId, String)> {
        let after = self.paging?.next?.after.text();
        Some((self.from.id.text().into(), after))
    }
}

#[derive(Deserialize)]
struct IdWire {
    id: TextOrNumber,
}

#[derive(Deserialize)]
struct PagingWire {
    next: Option<NextWire>,
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
struct Faults {
    missing: Vec<usize>,
    refused: Vec<Refusal>,
    named: usize,
}

impl Faults {
    /// Whether the errors told are all that are counted. One error may name
    /// several records.
    fn all_told<T>(&self, page: &PageWire<T>) -> bool {
        page.num_errors.unwrap_or(0) <= page.errors.len().max(self.named)
    }
}

fn sort_faults(errors: &[FaultWire], inputs: &[&str], by_property: bool) -> Faults {
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
fn left_out(inputs: &[&str], results: &[FromWire], faults: &Faults) -> Vec<usize> {
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

fn decode_page<T: for<'de> Deserialize<'de>>(
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

fn encode(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .expect("texts and lists become JSON")
        .into()
}

fn check_inputs(count: usize, max: usize) -> Result<(), Error> {
    match (1..=max).contains(&count) {
        true => Ok(()),
        false => Err(Error::Unsendable("a batch has too many inputs, or none")),
    }
}

/// An object type in a path. It comes from a plugin, so it might be anything.
pub(super) fn segment(object_type: &ObjectType) -> Result<&str, Error> {
    let text = object_type.as_str();
    let good = (1..=OBJECT_TYPE_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match good {
        true => Ok(text),
        false => Err(Error::Unsendable(
            "an object type has other than letters and digits",
        )),
    }
}
