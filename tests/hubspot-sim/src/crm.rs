//! The world: accounts, their records, property definitions and associations.
//!
//! Everything is reached by id through maps, so that a million records cost no more a call than
//! ten do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::config::AccountSpec;
use crate::defaults;
use crate::definitions::Property;
use crate::links::Links;
use crate::owners::Owner;
use crate::pipelines::Pipeline;
use crate::record::Record;
use crate::search_index::Index;
use crate::values::Refusal;

/// The object types that the simulator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectType {
    /// People.
    Contacts,
    /// Organisations.
    Companies,
    /// Sales.
    Deals,
}

impl ObjectType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Contacts, Self::Companies, Self::Deals];

    /// Reads any of the names HubSpot takes: plural, singular, type id.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "contacts" | "contact" | "0-1" => Some(Self::Contacts),
            "companies" | "company" | "0-2" => Some(Self::Companies),
            "deals" | "deal" | "0-3" => Some(Self::Deals),
            _ => None,
        }
    }

    /// `contacts`, `companies`, `deals`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
        }
    }

    /// `contact`, `company`, `deal`, as in subscription types.
    #[must_use]
    pub fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Companies => "company",
            Self::Deals => "deal",
        }
    }

    /// `0-1`, `0-2`, `0-3`.
    #[must_use]
    pub fn type_id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
            Self::Deals => "0-3",
        }
    }

    /// The property that holds the last-modified stamp: contacts have a name of their own for it.
    #[must_use]
    pub fn modified_property(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            Self::Companies | Self::Deals => "hs_lastmodifieddate",
        }
    }

    /// What an answer carries when no properties were asked for.
    pub(crate) fn default_properties(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &[
                "createdate",
                "email",
                "firstname",
                "hs_object_id",
                "lastmodifieddate",
                "lastname",
            ],
            Self::Companies => &[
                "createdate",
                "domain",
                "hs_lastmodifieddate",
                "hs_object_id",
                "name",
            ],
            Self::Deals => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "hs_object_id",
                "pipeline",
            ],
        }
    }

    /// Whether a merge makes a record with a new id (HubSpot: since January 2025).
    pub(crate) fn merges_into_new_id(self) -> bool {
        self != Self::Deals
    }

    fn first_id(self) -> u64 {
        match self {
            Self::Contacts => 508_369_434_347,
            Self::Companies => 52_100_000_333,
            Self::Deals => 61_234_567_890,
        }
    }
}

/// Why something could not be done to the world.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("no account {0}")]
    NoAccount(u64),
    /// There is no such object type.
    #[error("Unable to infer object type from: {0}")]
    NoType(String),
    /// There is no such record, or it is in another state than needed.
    #[error("no {object_type} {id}")]
    NoRecord {
        /// The object type's name.
        object_type: &'static str,
        /// The record asked for.
        id: String,
    },
    /// Some values were refused, or their properties do not exist.
    #[error("Property values were not valid: {}", .0.iter().map(|fault| format!("{}: {}", fault.property, fault.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<PropertyFault>),
    /// Another record holds a value that must be unique.
    #[error("{message}")]
    Conflict {
        /// The record that holds it.
        existing: u64,
        /// A sentence.
        message: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// One refused property value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyFault {
    /// The property.
    pub property: String,
    /// HubSpot's code: `PROPERTY_DOESNT_EXIST`, `INVALID_OPTION`, …
    pub code: &'static str,
    /// A sentence.
    pub message: String,
}

impl PropertyFault {
    pub(crate) fn new(property: &str, refusal: Refusal) -> Self {
        Self {
            property: property.to_owned(),
            code: refusal.code,
            message: refusal.message,
        }
    }
}

/// Everything that is true, of all accounts.
#[derive(Debug)]
pub(crate) struct World {
    pub accounts: BTreeMap<u64, Account>,
    pub ids: Ids,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            accounts: BTreeMap::new(),
            ids: Ids {
                rng: StdRng::seed_from_u64(seed ^ 0x1d5),
                last: HashMap::new(),
            },
        }
    }

    /// An account.
    pub(crate) fn account(&mut self, portal: u64) -> Result<&mut Account, Error> {
        Ok(self.account_and_ids(portal)?.0)
    }

    /// An account, and where its records' ids come from.
    pub(crate) fn account_and_ids(
        &mut self,
        portal: u64,
    ) -> Result<(&mut Account, &mut Ids), Error> {
        let account = self
            .accounts
            .get_mut(&portal)
            .ok_or(Error::NoAccount(portal))?;
        Ok((account, &mut self.ids))
    }
}

/// Where record ids come from: they rise, with gaps, and stand above 32 bits.
#[derive(Debug)]
pub(crate) struct Ids {
    rng: StdRng,
    last: HashMap<ObjectType, u64>,
}

impl Ids {
    pub(crate) fn next(&mut self, object_type: ObjectType) -> u64 {
        let gap = self.rng.random_range(1..=97);
        let last = self
            .last
            .entry(object_type)
            .or_insert_with(|| object_type.first_id());
        *last += gap;
        *last
    }
}

/// One account and all that it holds.
#[derive(Debug)]
pub(crate) struct Account {
    pub spec: AccountSpec,
    pub links: Links,
    /// Whether calls with its tokens are told to go to another region.
    pub misrouted: bool,
    /// The pipelines of deals, in order.
    pub pipelines: Vec<Pipeline>,
    /// The owners, by id.
    pub owners: BTreeMap<u64, Owner>,
    stores: [Store; 3],
}

impl Account {
    pub(crate) fn new(spec: AccountSpec, now: i64) -> Self {
        Self {
            spec,
            links: Links::default(),
            misrouted: false,
            pipelines: vec![Pipeline::sales(now)],
            owners: BTreeMap::new(),
            stores: ObjectType::ALL.map(|object_type| Store::new(object_type, now)),
        }
    }

    pub(crate) fn store(&self, object_type: ObjectType) -> &Store {
        &self.stores[object_type as usize]
    }

    pub(crate) fn store_mut(&mut self, object_type: ObjectType) -> &mut Store {
        &mut self.stores[object_type as usize]
    }

    /// Whether a record exists and is not in the recycle bin.
    pub(crate) fn is_live(&self, key: (ObjectType, u64)) -> bool {
        self.store(key.0).live.contains_key(&key.1)
    }
}

/// All records of one type in one account.
#[derive(Debug)]
pub(crate) struct Store {
    pub object_type: ObjectType,
    pub properties: BTreeMap<Arc<str>, Property>,
    /// Records, by id.
    pub live: BTreeMap<u64, Record>,
    /// The recycle bin, by id.
    pub archived: BTreeMap<u64, Record>,
    /// Ids merged away, to what they became (which may have been merged away since).
    pub merged: HashMap<u64, u64>,
    /// Ids erased for privacy.
    pub erased: BTreeSet<u64>,
    /// For each unique property, lower-case value to record; secondary e-mail addresses too.
    unique: HashMap<Arc<str>, HashMap<String, BTreeSet<u64>>>,
    /// Live records by their last-modified stamp.
    pub by_update: BTreeSet<(i64, u64)>,
    /// What search shows.
    pub index: Index,
}

impl Store {
    fn new(object_type: ObjectType, now: i64) -> Self {
        let properties: BTreeMap<Arc<str>, Property> = defaults::properties(object_type, now)
            .into_iter()
            .map(|property| (Arc::from(property.name.as_str()), property))
            .collect();
        Self {
            object_type,
            properties,
            live: BTreeMap::new(),
            archived: BTreeMap::new(),
            merged: HashMap::new(),
            erased: BTreeSet::new(),
            unique: HashMap::new(),
            by_update: BTreeSet::new(),
            index: Index::default(),
        }
    }

    /// A property that is not archived, with its shared name.
    pub(crate) fn property(&self, name: &str) -> Option<(&Arc<str>, &Property)> {
        self.properties
            .get_key_value(name)
            .filter(|(_, property)| property.archived_at.is_none())
    }

    /// What an id leads to, through any merges.
    pub(crate) fn resolve(&self, id: u64) -> u64 {
        let mut id = id;
        while let Some(&into) = self.merged.get(&id) {
            id = into;
        }
        id
    }

    /// The live record that an id leads to.
    pub(crate) fn find(&self, id: u64) -> Option<&Record> {
        self.live.get(&self.resolve(id))
    }

    /// The live record that holds a value of a unique property, or has it as a secondary address.
    pub(crate) fn find_unique(&self, property: &str, value: &str) -> Option<u64> {
        self.unique
            .get(property)?
            .get(&value.trim().to_lowercase())?
            .first()
            .copied()
    }

    /// Puts a record among the live ones and into every index.
    pub(crate) fn put(&mut self, record: Record) {
        for (property, value) in self.keys(&record) {
            self.unique
                .entry(property)
                .or_default()
                .entry(value)
                .or_default()
                .insert(record.id);
        }
        self.by_update.insert((record.updated_at, record.id));
        self.live.insert(record.id, record);
    }

    /// Takes a live record out of every index.
    pub(crate) fn take(&mut self, id: u64) -> Option<Record> {
        let record = self.live.remove(&id)?;
        for (property, value) in self.keys(&record) {
            if let Some(values) = self.unique.get_mut(&property)
                && let Some(holders) = values.get_mut(&value)
            {
                holders.remove(&id);
                if holders.is_empty() {
                    values.remove(&value);
                }
            }
        }
        self.by_update.remove(&(record.updated_at, id));
        Some(record)
    }

    /// The unique values of a record, as the index keeps them.
    pub(crate) fn keys(&self, record: &Record) -> Vec<(Arc<str>, String)> {
        let mut keys = Vec::new();
        for (name, cell) in record.cells() {
            let value = &cell.now.value;
            if value.is_empty() {
                continue;
            }
            if &**name == "hs_additional_emails" {
                let email: Arc<str> = Arc::from("email");
                keys.extend(
                    value
                        .split(';')
                        .map(|address| (email.clone(), address.trim().to_lowercase())),
                );
            } else if self.properties.get(name).is_some_and(|held| held.unique) {
                keys.push((name.clone(), value.trim().to_lowercase()));
            }
        }
        keys
    }
}
