//! Records, associations and property definitions (HubSpot: CRM objects,
//! associations v4 and properties guides, in their dated versions).
//!
//! Pages go to the plugin as they came; read here is what says which of the
//! things asked for the page does not hold, and where it goes on.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Serialize;

use super::{
    API_VERSION, Caller, Client, Error, Pool,
    page::{FromWire, PageWire, decode_page, left_out, sort_faults},
    transport::Call,
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

/// Whether records can be read by this property although its definition need
/// not say that it is unique: contacts can by their address (objects guide).
pub fn are_read_by(object_type: &ObjectType, property: &PropertyName) -> bool {
    object_type.as_str() == "contacts" && property.as_str() == "email"
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

pub(super) fn encode(body: &impl Serialize) -> Bytes {
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
