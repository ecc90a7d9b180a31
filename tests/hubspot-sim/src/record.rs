//! One record: its properties, each with the stamp and the source of its last change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crm::ObjectType;
use crate::values::iso;

/// Who made a change (HubSpot: webhooks guide, `changeSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person in HubSpot's pages.
    #[default]
    Person,
    /// A person, many records at once.
    BulkEdit,
    /// An app over the API.
    Integration,
    /// An import of a file.
    Import,
    /// HubSpot itself, computing a property.
    Calculated,
    /// HubSpot itself, in a merge.
    Merge,
}

impl Source {
    /// `changeSource` of webhooks, `sourceType` of a property's history.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Person => "CRM_UI",
            Self::BulkEdit => "CRM_UI_BULK_ACTION",
            Self::Integration => "INTEGRATION",
            Self::Import => "IMPORT",
            Self::Calculated => "CALCULATED",
            Self::Merge => "MERGE_OBJECTS",
        }
    }

    /// `sourceId`: a person, the app, or an internal name.
    pub(crate) fn id(self, app: u64) -> String {
        match self {
            Self::Person | Self::BulkEdit => "userId:69531640".to_owned(),
            Self::Integration => app.to_string(),
            Self::Import => "11883".to_owned(),
            Self::Calculated => "CalculatedPropertyComputer".to_owned(),
            Self::Merge => "MergeObjects".to_owned(),
        }
    }
}

/// One value that a property had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub value: Box<str>,
    pub at: i64,
    pub source: Source,
}

/// A property of a record: what it holds and what it held. A cleared one holds the empty text.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub now: Version,
    /// Oldest first.
    pub before: Vec<Version>,
}

/// A record of any type.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub id: u64,
    pub created_at: i64,
    /// The last-modified stamp: calculated properties and associations do not move it.
    pub updated_at: i64,
    pub archived_at: Option<i64>,
    /// By name, so that a record of few properties is small.
    cells: Vec<(Arc<str>, Cell)>,
}

/// How many earlier values a property remembers (HubSpot: 45 for contacts, 20 for others).
const HISTORY_MAX: usize = 20;

impl Record {
    pub(crate) fn new(id: u64, now: i64) -> Self {
        Self {
            id,
            created_at: now,
            updated_at: now,
            archived_at: None,
            cells: Vec::new(),
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.cells.binary_search_by(|(held, _)| (**held).cmp(name))
    }

    pub(crate) fn cell(&self, name: &str) -> Option<&Cell> {
        self.place(name).ok().map(|at| &self.cells[at].1)
    }

    /// What is stored, empty when never set or cleared. Stamps and id are not stored: see `read`.
    pub(crate) fn stored(&self, name: &str) -> &str {
        self.cell(name).map_or("", |cell| &cell.now.value)
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = (&Arc<str>, &Cell)> {
        self.cells.iter().map(|(name, cell)| (name, cell))
    }

    /// Sets a property; true if the value is another than before.
    pub(crate) fn set(&mut self, name: &Arc<str>, value: &str, at: i64, source: Source) -> bool {
        let version = Version {
            value: value.into(),
            at,
            source,
        };
        match self.place(name) {
            Ok(place) => {
                let cell = &mut self.cells[place].1;
                if *cell.now.value == *value {
                    return false;
                }
                let old = std::mem::replace(&mut cell.now, version);
                if cell.before.len() == HISTORY_MAX {
                    cell.before.remove(0);
                }
                cell.before.push(old);
                true
            }
            Err(_) if value.is_empty() => false,
            Err(place) => {
                let cell = Cell {
                    now: version,
                    before: Vec::new(),
                };
                self.cells.insert(place, (name.clone(), cell));
                true
            }
        }
    }

    /// The number behind a property that is kept as one: id and stamps.
    pub(crate) fn number(&self, object_type: ObjectType, name: &str) -> Option<f64> {
        match name {
            "hs_object_id" => Some(self.id as f64),
            "createdate" => Some(self.created_at as f64),
            _ if name == object_type.modified_property() => Some(self.updated_at as f64),
            _ => None,
        }
    }

    /// A property as the API reads it: `None` when it never had a value.
    pub(crate) fn read(&self, object_type: ObjectType, name: &str) -> Option<String> {
        match name {
            "hs_object_id" => Some(self.id.to_string()),
            "createdate" => Some(iso(self.created_at)),
            _ if name == object_type.modified_property() => Some(iso(self.updated_at)),
            _ => self.cell(name).map(|cell| cell.now.value.to_string()),
        }
    }
}
