//! What can be done to the records of an account, and the facts that each change leaves.
//!
//! The public API and the simulator's own go through here alike, so webhooks and journal cannot
//! tell them apart but by their source.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crm::{Account, Error, Ids, ObjectType, PropertyFault};
use crate::definitions::{Kind, Sensitivity};
use crate::links::{Key, LinkType};
use crate::record::{Record, Source};
use crate::values::{self, Refusal};

/// One thing that happened, before it becomes events of any form.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub at: i64,
    pub source: Source,
    pub fact: Fact,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Created(Key),
    Deleted(Key),
    Restored(Key),
    Erased(Key),
    Property {
        key: Key,
        name: Arc<str>,
        kind: Kind,
        value: String,
        sensitivity: Sensitivity,
        fires: bool,
    },
    Merged {
        object_type: ObjectType,
        primary: u64,
        loser: u64,
        /// The record that the merge made, where it makes one.
        new: Option<u64>,
        moved: usize,
    },
    Linked {
        from: Key,
        to: Key,
        link: LinkType,
        removed: bool,
    },
}

/// The moment and the source of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub at: i64,
    pub source: Source,
    /// How long search goes on showing what was before.
    pub lag_ms: i64,
}

impl Stamp {
    pub(crate) fn change(self, fact: Fact) -> Change {
        Change {
            at: self.at,
            source: self.source,
            fact,
        }
    }
}

type Values = BTreeMap<String, String>;

impl Account {
    /// Makes a record.
    pub(crate) fn create(
        &mut self,
        object_type: ObjectType,
        given: &Values,
        stamp: Stamp,
        ids: &mut Ids,
    ) -> Result<(u64, Vec<Change>), Error> {
        let accepted = self.accept(object_type, given, None)?;
        let id = ids.next(object_type);
        let mut record = Record::new(id, stamp.at);
        let mut changes = vec![stamp.change(Fact::Created((object_type, id)))];
        for (name, value) in &accepted {
            if record.set(name, value, stamp.at, stamp.source) {
                changes.extend(self.property_change((object_type, id), name, value, stamp));
            }
        }
        self.calculate(object_type, &mut record, stamp.at);
        let store = self.store_mut(object_type);
        store.index.note(id, None, stamp);
        store.put(record);
        Ok((id, changes))
    }

    /// Changes properties of a live record. A value equal to what is held changes nothing.
    pub(crate) fn patch(
        &mut self,
        object_type: ObjectType,
        id: u64,
        given: &Values,
        stamp: Stamp,
    ) -> Result<Vec<Change>, Error> {
        let id = self.require(object_type, id)?;
        let accepted = self.accept(object_type, given, Some(id))?;
        let store = self.store_mut(object_type);
        let Some(mut record) = store.take(id) else {
            return Err(missing(object_type, id));
        };
        let before = (stamp.lag_ms > 0).then(|| record.clone());
        let mut changes = Vec::new();
        for (name, value) in &accepted {
            if record.set(name, value, stamp.at, stamp.source) {
                changes.extend(self.property_change((object_type, id), name, value, stamp));
                record.updated_at = record.updated_at.max(stamp.at);
            }
        }
        self.calculate(object_type, &mut record, stamp.at);
        let store = self.store_mut(object_type);
        if !changes.is_empty() {
            store.index.note(id, before, stamp);
        }
        store.put(record);
        Ok(changes)
    }

    /// Moves a record to the recycle bin.
    pub(crate) fn delete(
        &mut self,
        object_type: ObjectType,
        id: u64,
        stamp: Stamp,
    ) -> Result<Vec<Change>, Error> {
        let id = self.require(object_type, id)?;
        let store = self.store_mut(object_type);
        let Some(mut record) = store.take(id) else {
            return Err(missing(object_type, id));
        };
        store.index.gone(&record, stamp);
        record.archived_at = Some(stamp.at);
        record.updated_at = record.updated_at.max(stamp.at);
        store.archived.insert(id, record);
        self.bump_around((object_type, id), -1, stamp.at);
        Ok(vec![stamp.change(Fact::Deleted((object_type, id)))])
    }

    /// Brings a record back from the recycle bin.
    pub(crate) fn restore(
        &mut self,
        object_type: ObjectType,
        id: u64,
        stamp: Stamp,
    ) -> Result<Vec<Change>, Error> {
        let store = self.store_mut(object_type);
        let Some(mut record) = store.archived.remove(&id) else {
            return Err(missing(object_type, id));
        };
        if let Some((_, value)) = store
            .keys(&record)
            .into_iter()
            .find(|(name, value)| store.find_unique(name, value).is_some())
        {
            store.archived.insert(id, record);
            return Err(Error::Refused(format!(
                "another record holds {value} by now"
            )));
        }
        record.archived_at = None;
        record.updated_at = record.updated_at.max(stamp.at);
        store.index.note(id, None, stamp);
        store.put(record);
        self.bump_around((object_type, id), 1, stamp.at);
        self.recount((object_type, id), stamp.at);
        Ok(vec![stamp.change(Fact::Restored((object_type, id)))])
    }

    /// Erases a record for privacy, live or archived: nothing of it stays.
    pub(crate) fn erase(
        &mut self,
        object_type: ObjectType,
        id: u64,
        stamp: Stamp,
    ) -> Result<Vec<Change>, Error> {
        let store = self.store_mut(object_type);
        let id = store.resolve(id);
        let was_live = store.take(id).is_some();
        if !was_live && store.archived.remove(&id).is_none() {
            return Err(missing(object_type, id));
        }
        store.erased.insert(id);
        store.index.forget(id);
        let key = (object_type, id);
        if was_live {
            self.bump_around(key, -1, stamp.at);
        }
        self.links.forget(key);
        let mut changes = vec![stamp.change(Fact::Deleted(key))];
        if object_type == ObjectType::Contacts {
            changes.push(stamp.change(Fact::Erased(key)));
        }
        Ok(changes)
    }

    /// Writes a calculated property: no event, and the last-modified stamp stays.
    pub(crate) fn recalculate(
        &mut self,
        object_type: ObjectType,
        id: u64,
        name: &str,
        value: &str,
        at: i64,
    ) -> Result<(), Error> {
        let id = self.require(object_type, id)?;
        let store = self.store_mut(object_type);
        let Some((name, _)) = store.property(name) else {
            return Err(unknown_property(name));
        };
        let name = name.clone();
        // Put back into the indexes as well: secondary addresses find their contact.
        if let Some(mut record) = store.take(id) {
            record.set(&name, value, at, Source::Calculated);
            store.put(record);
        }
        Ok(())
    }

    /// Moves the last-modified stamp of a record without changing anything that shows.
    pub(crate) fn touch(
        &mut self,
        object_type: ObjectType,
        id: u64,
        stamp: Stamp,
    ) -> Result<(), Error> {
        let id = self.require(object_type, id)?;
        let store = self.store_mut(object_type);
        if let Some(mut record) = store.take(id) {
            let before = (stamp.lag_ms > 0).then(|| record.clone());
            record.updated_at = record.updated_at.max(stamp.at);
            store.index.note(id, before, stamp);
            store.put(record);
        }
        Ok(())
    }

    /// The id of a live record, through merges.
    pub(crate) fn require(&self, object_type: ObjectType, id: u64) -> Result<u64, Error> {
        self.store(object_type)
            .find(id)
            .map(|record| record.id)
            .ok_or_else(|| missing(object_type, id))
    }

    /// Checks values to be written to a record, or to a new one.
    fn accept(
        &self,
        object_type: ObjectType,
        given: &Values,
        id: Option<u64>,
    ) -> Result<Vec<(Arc<str>, String)>, Error> {
        let store = self.store(object_type);
        let record = id.and_then(|id| store.live.get(&id));
        let mut accepted = Vec::with_capacity(given.len());
        let mut faults = Vec::new();
        for (name, text) in given {
            let Some((shared, property)) = store.property(name) else {
                faults.push(PropertyFault::new(name, no_such_property(name)));
                continue;
            };
            if property.read_only {
                faults.push(PropertyFault::new(
                    name,
                    Refusal {
                        code: "READ_ONLY_VALUE",
                        message: format!("{name} is a read only property"),
                    },
                ));
                continue;
            }
            let before = record.map_or("", |record| record.stored(name));
            match values::accept(property, text, before) {
                Ok(value) => accepted.push((shared.clone(), value)),
                Err(refusal) => faults.push(PropertyFault::new(name, refusal)),
            }
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        for (name, value) in &accepted {
            let unique = store.properties.get(name).is_some_and(|held| held.unique);
            if !unique || value.is_empty() {
                continue;
            }
            if let Some(existing) = store.find_unique(name, value)
                && Some(existing) != id
            {
                let what = if object_type == ObjectType::Contacts && &**name == "email" {
                    "Contact already exists".to_owned()
                } else {
                    format!("Another record has the same value of {name}")
                };
                return Err(Error::Conflict {
                    existing,
                    message: format!("{what}. Existing ID: {existing}"),
                });
            }
        }
        Ok(accepted)
    }

    fn property_change(
        &self,
        key: Key,
        name: &Arc<str>,
        value: &str,
        stamp: Stamp,
    ) -> Option<Change> {
        let (_, property) = self.store(key.0).property(name)?;
        Some(stamp.change(Fact::Property {
            key,
            name: name.clone(),
            kind: property.kind,
            value: value.to_owned(),
            sensitivity: property.sensitivity,
            fires: property.fires(),
        }))
    }
}

fn no_such_property(name: &str) -> Refusal {
    Refusal {
        code: "PROPERTY_DOESNT_EXIST",
        message: format!("Property \"{name}\" does not exist"),
    }
}

pub(crate) fn unknown_property(name: &str) -> Error {
    Error::Invalid(vec![PropertyFault::new(name, no_such_property(name))])
}

pub(crate) fn missing(object_type: ObjectType, id: u64) -> Error {
    Error::NoRecord {
        object_type: object_type.name(),
        id: id.to_string(),
    }
}
