//! Searches and lists of records (HubSpot: search guide; objects guide).
//!
//! The index behind searches lags and misses (see there): what they find are
//! ids, and the values come from reads.

use std::collections::HashMap;

use http::Method;
use serde::{Deserialize, Serialize};

use super::{
    API_VERSION, Caller, Client, Error, Pool,
    objects::{encode, segment},
    transport::Call,
};
use crate::model::{ObjectType, PropertyName, RecordId, Timestamp};

/// The most records of one page of a search.
pub const FOUND_MAX: usize = 200;
/// The most records of one page of a list.
pub const LISTED_MAX: usize = 100;
/// The most values of one `IN`, by count; and by their bytes, so that the body
/// stays below HubSpot's 3,000 characters.
pub const VALUES_MAX: usize = 100;
/// See [`VALUES_MAX`].
pub const VALUES_BYTES_MAX: usize = 2_400;
/// The longest list of properties in an address: longer ones are answered 414
/// from 8 kB on.
const LIST_PROPERTIES_BYTES_MAX: usize = 6_000;

/// What a found record's property has to be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter<'a> {
    property_name: &'a str,
    operator: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<&'a str>>,
}

impl<'a> Filter<'a> {
    /// The record's id is greater.
    pub fn after(record: &'a RecordId) -> Self {
        Self {
            property_name: "hs_object_id",
            operator: "GT",
            value: Some(record.to_string()),
            values: None,
        }
    }

    /// The record was modified then or later.
    pub fn modified_since(object_type: &ObjectType, moment: Timestamp) -> Self {
        Self {
            property_name: modified_property(object_type),
            operator: "GTE",
            value: Some(moment.0.to_string()),
            values: None,
        }
    }

    /// The property is one of these, at most [`VALUES_MAX`].
    pub fn one_of(property: &'a PropertyName, values: Vec<&'a str>) -> Self {
        Self {
            property_name: property.as_str(),
            operator: "IN",
            value: None,
            values: Some(values),
        }
    }
}

/// The property that holds when a record was last modified: contacts have a name
/// of their own for it, and asking them for the other one finds nothing.
fn modified_property(object_type: &ObjectType) -> &'static str {
    match object_type.as_str() {
        "contacts" => "lastmodifieddate",
        _ => "hs_lastmodifieddate",
    }
}

/// A record that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// The record.
    pub record: RecordId,
    /// When it was last modified, as far as the index knows.
    pub modified_at: Option<Timestamp>,
    /// Which of the values of [`Filter::one_of`] it has, as far as the index
    /// knows, and as it writes it.
    pub value: Option<String>,
}

/// A page of a search.
#[derive(Clone, Debug)]
pub struct Found {
    /// The records, the lowest ids first.
    pub records: Vec<FoundRecord>,
    /// Whether there are more.
    pub has_more: bool,
    /// How many there are in all.
    pub total: u64,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The page, as HubSpot wrote it.
    pub body: bytes::Bytes,
    /// The ids on it.
    pub records: Vec<RecordId>,
    /// Where the next page begins; none on the last.
    pub after: Option<String>,
    /// When HubSpot answered, by its clock.
    pub answered_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SearchWire<'a> {
    filter_groups: Vec<GroupWire<'a>>,
    sorts: [SortWire; 1],
    properties: Vec<&'a str>,
    limit: usize,
}

#[derive(Serialize)]
struct GroupWire<'a> {
    filters: &'a [Filter<'a>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SortWire {
    property_name: &'static str,
    direction: &'static str,
}

#[derive(Deserialize)]
struct PageWire<T> {
    results: Vec<T>,
    total: Option<u64>,
    paging: Option<PagingWire>,
}

#[derive(Deserialize)]
struct ListedWire {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundWire {
    id: String,
    updated_at: Option<String>,
    #[serde(default)]
    properties: HashMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct PagingWire {
    next: Option<NextWire>,
}

#[derive(Deserialize)]
struct NextWire {
    after: String,
}

impl Client {
    /// Searches for records to which all filters apply: those with the lowest
    /// ids, at most `limit` (up to [`FOUND_MAX`]).
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn search(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
        filters: &[Filter<'_>],
        limit: usize,
    ) -> Result<Found, Error> {
        self.search_in(caller, object_type, filters, limit, "ASCENDING")
            .await
    }

    /// The highest id of a type's records, as far as the index knows; none where
    /// it knows of none.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn highest(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
    ) -> Result<Option<RecordId>, Error> {
        let found = self.search_in(caller, object_type, &[], 1, "DESCENDING");
        Ok(found.await?.records.pop().map(|found| found.record))
    }

    async fn search_in(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
        filters: &[Filter<'_>],
        limit: usize,
        direction: &'static str,
    ) -> Result<Found, Error> {
        let name = "search";
        let one_of = filters.iter().find(|filter| filter.values.is_some());
        let asked_for = one_of.map(|filter| filter.property_name);
        let body = SearchWire {
            filter_groups: match filters {
                [] => Vec::new(),
                filters => vec![GroupWire { filters }],
            },
            // By id, which never changes: stamps move while pages are read, and
            // their order is not strict.
            sorts: [SortWire {
                property_name: "hs_object_id",
                direction,
            }],
            properties: std::iter::once("hs_object_id").chain(asked_for).collect(),
            limit: limit.min(FOUND_MAX),
        };
        let call = Call {
            name,
            method: Method::POST,
            path: format!(
                "/crm/objects/{API_VERSION}/{}/search",
                segment(object_type)?
            ),
            json: Some(encode(&body)),
            pool: Pool::Search,
            may_miss_all: false,
        };
        let page: PageWire<FoundWire> = self.call(caller, &call).await?.decode(name)?;
        let records = page.results.into_iter().map(|mut record| FoundRecord {
            modified_at: record.updated_at.as_deref().and_then(parse_moment),
            value: asked_for.and_then(|name| record.properties.remove(name).flatten()),
            record: record.id.into(),
        });
        let records: Vec<FoundRecord> = records.collect();
        let total = page.total.unwrap_or_default();
        Ok(Found {
            // Either may say so; where one is wrong, an empty page ends it.
            has_more: !records.is_empty()
                && (page.paging.and_then(|paging| paging.next).is_some()
                    || total > records.len() as u64),
            records,
            total,
        })
    }

    /// How many records of a type there are, as far as the index knows.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn count(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
        filters: &[Filter<'_>],
    ) -> Result<u64, Error> {
        let found = self.search(caller, object_type, filters, 1).await?;
        Ok(found.total)
    }

    /// Lists records that are not archived, a page of [`LISTED_MAX`] at a time,
    /// with these properties: none of them where [`fit_a_list`] says that they
    /// are too many for an address.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn list(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
        properties: &[PropertyName],
        after: Option<&str>,
    ) -> Result<Listed, Error> {
        let name = "list";
        let call = Call {
            name,
            method: Method::GET,
            path: format!(
                "/crm/objects/{API_VERSION}/{}?{}",
                segment(object_type)?,
                list_query(properties, after)
            ),
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        let reply = self.call(caller, &call).await?;
        let page: PageWire<ListedWire> = reply.decode(name)?;
        let records = page.results.into_iter().map(|record| record.id.into());
        Ok(Listed {
            records: records.collect(),
            after: page.paging.and_then(|p| p.next).map(|next| next.after),
            body: reply.body,
            answered_at: reply.answered_at,
        })
    }
}

/// Whether these properties can be asked for by a list, whose address holds them.
pub fn fit_a_list(properties: &[PropertyName]) -> bool {
    // A character may take three when it is encoded, a comma always does.
    let bytes: usize = properties.iter().map(|name| name.as_str().len() + 3).sum();
    bytes <= LIST_PROPERTIES_BYTES_MAX
}

fn list_query(properties: &[PropertyName], after: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &LISTED_MAX.to_string());
    query.append_pair("archived", "false");
    if fit_a_list(properties) {
        let names: Vec<&str> = properties.iter().map(PropertyName::as_str).collect();
        query.append_pair("properties", &names.join(","));
    }
    if let Some(after) = after {
        query.append_pair("after", after);
    }
    query.finish()
}

fn parse_moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(moment.as_millisecond()))
}
