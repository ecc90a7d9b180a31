//! What is true now: every record of an account with each value's stamp, for tests to compare
//! with what a product made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crm::{Account, ObjectType};
use crate::links::{Category, Links};
use crate::record::Record;

/// What an id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existence {
    /// It can be read.
    Live,
    /// It is in the recycle bin.
    Archived,
    /// It was merged away, into this record (which is live, or was at the time).
    MergedInto(u64),
    /// It was erased for privacy.
    Erased,
}

/// A value and when it became so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueValue {
    /// As the API reads it; empty when it was cleared.
    pub value: String,
    /// When it last changed, in milliseconds since 1970.
    pub changed_at_ms: i64,
    /// Whether HubSpot computes it, so that no event told of it and no stamp moved.
    pub calculated: bool,
}

/// An association to another live record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueLink {
    /// The other record.
    pub id: u64,
    /// Whether it is the primary one.
    pub primary: bool,
    /// Its types: category, number and label.
    pub types: Vec<(Category, u32, Option<String>)>,
}

/// A record as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueRecord {
    /// Its type.
    pub object_type: ObjectType,
    /// Its id.
    pub id: u64,
    /// Whether it is there.
    pub existence: Existence,
    /// When it was created.
    pub created_at_ms: i64,
    /// Its last-modified stamp.
    pub modified_at_ms: i64,
    /// Every property that was ever set, and the stamps and id that HubSpot keeps.
    pub properties: BTreeMap<String, TrueValue>,
    /// What it is associated with, by object type, by id.
    pub associations: BTreeMap<ObjectType, Vec<TrueLink>>,
}

impl TrueRecord {
    /// A property's value; `None` when never set or cleared.
    #[must_use]
    pub fn value(&self, property: &str) -> Option<&str> {
        self.properties
            .get(property)
            .map(|held| held.value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The ids of associated records of a type.
    #[must_use]
    pub fn linked(&self, object_type: ObjectType) -> Vec<u64> {
        self.associations
            .get(&object_type)
            .map_or_else(Vec::new, |links| links.iter().map(|link| link.id).collect())
    }
}

/// An account as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The account.
    pub portal: u64,
    /// Its records, live and archived, by type and id.
    pub records: BTreeMap<ObjectType, BTreeMap<u64, TrueRecord>>,
    /// Ids that lead elsewhere or nowhere: merged away or erased.
    pub gone: BTreeMap<ObjectType, BTreeMap<u64, Existence>>,
}

impl Truth {
    /// The live records of a type.
    pub fn live(&self, object_type: ObjectType) -> impl Iterator<Item = &TrueRecord> {
        self.records
            .get(&object_type)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|record| record.existence == Existence::Live)
    }

    /// The record that an id leads to, through merges.
    #[must_use]
    pub fn record(&self, object_type: ObjectType, id: u64) -> Option<&TrueRecord> {
        let mut id = id;
        while let Some(Existence::MergedInto(into)) =
            self.gone.get(&object_type).and_then(|gone| gone.get(&id))
        {
            id = *into;
        }
        self.records.get(&object_type)?.get(&id)
    }

    /// The live contact that has an address, as its own or as another one.
    #[must_use]
    pub fn contact_by_email(&self, email: &str) -> Option<&TrueRecord> {
        self.live(ObjectType::Contacts).find(|record| {
            let others = record.value("hs_additional_emails").unwrap_or_default();
            record
                .value("email")
                .into_iter()
                .chain(others.split(';'))
                .any(|held| held.eq_ignore_ascii_case(email))
        })
    }
}

/// A whole account.
pub(crate) fn of_account(account: &Account) -> Truth {
    let mut records = BTreeMap::new();
    let mut gone = BTreeMap::new();
    for object_type in ObjectType::ALL {
        let store = account.store(object_type);
        let held: BTreeMap<u64, TrueRecord> = store
            .live
            .values()
            .chain(store.archived.values())
            .map(|record| (record.id, of_record(account, object_type, record)))
            .collect();
        records.insert(object_type, held);
        let merged = store
            .merged
            .iter()
            .filter(|(id, _)| !store.live.contains_key(*id))
            .map(|(id, into)| (*id, Existence::MergedInto(*into)));
        let erased = store.erased.iter().map(|id| (*id, Existence::Erased));
        gone.insert(object_type, merged.chain(erased).collect());
    }
    Truth {
        portal: account.spec.portal,
        records,
        gone,
    }
}

/// One record.
pub(crate) fn of_record(account: &Account, object_type: ObjectType, record: &Record) -> TrueRecord {
    let store = account.store(object_type);
    let mut properties: BTreeMap<String, TrueValue> = record
        .cells()
        .map(|(name, cell)| {
            let calculated = store.properties.get(name).is_some_and(|p| p.calculated);
            let value = TrueValue {
                value: cell.now.value.to_string(),
                changed_at_ms: cell.now.at,
                calculated,
            };
            (name.to_string(), value)
        })
        .collect();
    for (name, at) in [
        ("hs_object_id", record.created_at),
        ("createdate", record.created_at),
        (object_type.modified_property(), record.updated_at),
    ] {
        let value = TrueValue {
            value: record.read(object_type, name).unwrap_or_default(),
            changed_at_ms: at,
            calculated: false,
        };
        properties.insert(name.to_owned(), value);
    }
    let associations = ObjectType::ALL
        .into_iter()
        .filter_map(|to| {
            let links: Vec<TrueLink> = account
                .links
                .of((object_type, record.id), to, 0)
                .filter(|(id, _)| account.is_live((to, *id)))
                .map(|(id, types)| TrueLink {
                    id,
                    primary: types.iter().any(|link| Links::is_primary(*link)),
                    types: types
                        .iter()
                        .map(|link| {
                            let label = account.links.label(object_type, to, *link).flatten();
                            (link.category, link.type_id, label.map(str::to_owned))
                        })
                        .collect(),
                })
                .collect();
            (!links.is_empty()).then_some((to, links))
        })
        .collect();
    TrueRecord {
        object_type,
        id: record.id,
        existence: if record.archived_at.is_some() {
            Existence::Archived
        } else {
            Existence::Live
        },
        created_at_ms: record.created_at,
        modified_at_ms: record.updated_at,
        properties,
        associations,
    }
}
