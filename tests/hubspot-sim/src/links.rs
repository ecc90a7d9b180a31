//! Associations between records: which types link a pair, and what each type is called.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::crm::ObjectType;

/// Who defined an association type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Category {
    /// One of HubSpot's own.
    HubspotDefined,
    /// A label of the account.
    UserDefined,
}

impl Category {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HubspotDefined => "HUBSPOT_DEFINED",
            Self::UserDefined => "USER_DEFINED",
        }
    }
}

/// One type of association, seen from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkType {
    /// Who defined it.
    pub category: Category,
    /// Its number; the other side has a number of its own.
    pub type_id: u32,
}

/// A record: its type and id.
pub(crate) type Key = (ObjectType, u64);

/// A row of HubSpot's table (HubSpot: associations guide, "Association type ID values").
struct Standard {
    from: ObjectType,
    to: ObjectType,
    type_id: u32,
    inverse: u32,
    label: Option<&'static str>,
}

const fn row(
    from: ObjectType,
    to: ObjectType,
    type_id: u32,
    inverse: u32,
    label: Option<&'static str>,
) -> Standard {
    Standard {
        from,
        to,
        type_id,
        inverse,
        label,
    }
}

use ObjectType::{Companies, Contacts, Deals};

const STANDARD: &[Standard] = &[
    row(Contacts, Companies, 1, 2, Some("Primary")),
    row(Companies, Contacts, 2, 1, Some("Primary")),
    row(Contacts, Companies, 279, 280, None),
    row(Companies, Contacts, 280, 279, None),
    row(Deals, Companies, 5, 6, Some("Primary")),
    row(Companies, Deals, 6, 5, Some("Primary")),
    row(Deals, Companies, 341, 342, None),
    row(Companies, Deals, 342, 341, None),
    row(Deals, Contacts, 3, 4, None),
    row(Contacts, Deals, 4, 3, None),
    row(Contacts, Contacts, 449, 449, None),
    row(Companies, Companies, 450, 450, None),
    row(Deals, Deals, 451, 451, None),
    row(Companies, Companies, 13, 14, Some("Child Company")),
    row(Companies, Companies, 14, 13, Some("Parent Company")),
];

/// A label that an account defined, one side of it.
#[derive(Debug, Clone)]
struct Label {
    from: ObjectType,
    to: ObjectType,
    type_id: u32,
    inverse: u32,
    label: String,
}

/// The associations of one account.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pairs: HashMap<Key, BTreeMap<Key, Vec<LinkType>>>,
    labels: Vec<Label>,
}

impl Links {
    /// The unlabelled type of a pair of object types, which every association has.
    pub(crate) fn unlabelled(from: ObjectType, to: ObjectType) -> LinkType {
        let found = STANDARD
            .iter()
            .find(|row| row.from == from && row.to == to && row.label.is_none());
        LinkType {
            category: Category::HubspotDefined,
            type_id: found.map_or(0, |row| row.type_id),
        }
    }

    /// The primary type, where there is one.
    pub(crate) fn primary(from: ObjectType, to: ObjectType) -> Option<LinkType> {
        STANDARD
            .iter()
            .find(|row| row.from == from && row.to == to && row.label == Some("Primary"))
            .map(|row| LinkType {
                category: Category::HubspotDefined,
                type_id: row.type_id,
            })
    }

    /// Whether a type is a primary one.
    pub(crate) fn is_primary(link: LinkType) -> bool {
        link.category == Category::HubspotDefined && matches!(link.type_id, 1 | 2 | 5 | 6)
    }

    /// Defines a label and its name from the other side; answers with its type seen from `from`.
    pub(crate) fn define(
        &mut self,
        from: ObjectType,
        to: ObjectType,
        label: &str,
        inverse_label: &str,
    ) -> LinkType {
        let type_id = 1 + u32::try_from(self.labels.len()).unwrap_or(u32::MAX - 2);
        let inverse = if from == to && label == inverse_label {
            type_id
        } else {
            type_id + 1
        };
        self.labels.push(Label {
            from,
            to,
            type_id,
            inverse,
            label: label.to_owned(),
        });
        if inverse != type_id {
            self.labels.push(Label {
                from: to,
                to: from,
                type_id: inverse,
                inverse: type_id,
                label: inverse_label.to_owned(),
            });
        }
        LinkType {
            category: Category::UserDefined,
            type_id,
        }
    }

    /// The types between two object types, with their labels.
    pub(crate) fn types(&self, from: ObjectType, to: ObjectType) -> Vec<(LinkType, Option<&str>)> {
        let standard = STANDARD
            .iter()
            .filter(|row| row.from == from && row.to == to)
            .map(|row| {
                let link = LinkType {
                    category: Category::HubspotDefined,
                    type_id: row.type_id,
                };
                (link, row.label)
            });
        let own = self
            .labels
            .iter()
            .filter(|label| label.from == from && label.to == to)
            .map(|label| {
                let link = LinkType {
                    category: Category::UserDefined,
                    type_id: label.type_id,
                };
                (link, Some(label.label.as_str()))
            });
        standard.chain(own).collect()
    }

    /// The name of a type between two object types; `None` if there is no such type.
    pub(crate) fn label(
        &self,
        from: ObjectType,
        to: ObjectType,
        link: LinkType,
    ) -> Option<Option<&str>> {
        match link.category {
            Category::HubspotDefined => STANDARD
                .iter()
                .find(|row| row.from == from && row.to == to && row.type_id == link.type_id)
                .map(|row| row.label),
            Category::UserDefined => self
                .labels
                .iter()
                .find(|own| own.from == from && own.to == to && own.type_id == link.type_id)
                .map(|own| Some(own.label.as_str())),
        }
    }

    /// The same type seen from the other side.
    pub(crate) fn inverse(&self, link: LinkType) -> LinkType {
        let type_id = match link.category {
            Category::HubspotDefined => STANDARD
                .iter()
                .find(|row| row.type_id == link.type_id)
                .map(|row| row.inverse),
            Category::UserDefined => self
                .labels
                .iter()
                .find(|own| own.type_id == link.type_id)
                .map(|own| own.inverse),
        };
        LinkType {
            category: link.category,
            type_id: type_id.unwrap_or(link.type_id),
        }
    }

    /// The types that link a pair.
    pub(crate) fn between(&self, from: Key, to: Key) -> &[LinkType] {
        self.pairs
            .get(&from)
            .and_then(|ends| ends.get(&to))
            .map_or(&[], Vec::as_slice)
    }

    /// Adds a type to a pair, on both sides; false if it was there.
    pub(crate) fn add(&mut self, from: Key, to: Key, link: LinkType) -> bool {
        let inverse = self.inverse(link);
        let fresh = insert(
            self.pairs.entry(from).or_default().entry(to).or_default(),
            link,
        );
        insert(
            self.pairs.entry(to).or_default().entry(from).or_default(),
            inverse,
        );
        fresh
    }

    /// Takes a type from a pair, on both sides; false if it was not there.
    pub(crate) fn remove(&mut self, from: Key, to: Key, link: LinkType) -> bool {
        let inverse = self.inverse(link);
        let held = self.take(from, to, link);
        self.take(to, from, inverse);
        held
    }

    fn take(&mut self, from: Key, to: Key, link: LinkType) -> bool {
        let Some(ends) = self.pairs.get_mut(&from) else {
            return false;
        };
        let Some(types) = ends.get_mut(&to) else {
            return false;
        };
        let before = types.len();
        types.retain(|held| *held != link);
        let held = types.len() < before;
        if types.is_empty() {
            ends.remove(&to);
        }
        if ends.is_empty() {
            self.pairs.remove(&from);
        }
        held
    }

    /// The records of one type that a record is linked with, by id, from `after` on.
    pub(crate) fn of(
        &self,
        from: Key,
        to: ObjectType,
        after: u64,
    ) -> impl Iterator<Item = (u64, &[LinkType])> {
        self.pairs
            .get(&from)
            .into_iter()
            .flat_map(move |ends| ends.range((to, after)..=(to, u64::MAX)))
            .map(|((_, id), types)| (*id, types.as_slice()))
    }

    /// All records that a record is linked with.
    pub(crate) fn all(&self, from: Key) -> Vec<(Key, Vec<LinkType>)> {
        self.pairs.get(&from).map_or_else(Vec::new, |ends| {
            ends.iter()
                .map(|(key, types)| (*key, types.clone()))
                .collect()
        })
    }

    /// Forgets every association of a record.
    pub(crate) fn forget(&mut self, key: Key) {
        for (other, types) in self.all(key) {
            for link in types {
                self.remove(key, other, link);
            }
        }
    }
}

fn insert(types: &mut Vec<LinkType>, link: LinkType) -> bool {
    match types.binary_search(&link) {
        Ok(_) => false,
        Err(place) => {
            types.insert(place, link);
            true
        }
    }
}
