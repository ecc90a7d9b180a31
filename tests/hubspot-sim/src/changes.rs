//! What can be done to the records of an account, and the facts that each change leaves.
//!
//! The public API and the simulator's own go through here alike, so webhooks and journal cannot
//! tell them apart but by their source.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crm::{Account, Error, Ids, ObjectType, PropertyFault};
use crate::definitions::{Kind, Sensitivity};
use crate::links::{Key, LinkType, Links};
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
    fn change(self, fact: Fact) -> Change {
        Change {
            at: self.at,
            source: self.source,
            fact,
        }
    }
}

/// Most merges that one record takes part in (HubSpot: 250).
const MERGES_MAX: usize = 250;

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
        record.archived_at = Some(stamp.at);
        record.updated_at = record.updated_at.max(stamp.at);
        store.archived.insert(id, record);
        self.recount_around((object_type, id), stamp.at);
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
        self.recount_around((object_type, id), stamp.at);
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
        if store.take(id).is_none() && store.archived.remove(&id).is_none() {
            return Err(missing(object_type, id));
        }
        store.erased.insert(id);
        store.index.forget(id);
        let key = (object_type, id);
        let around = self.links.all(key);
        self.links.forget(key);
        for (other, _) in around {
            self.recount(other, stamp.at);
        }
        let mut changes = vec![stamp.change(Fact::Deleted(key))];
        if object_type == ObjectType::Contacts {
            changes.push(stamp.change(Fact::Erased(key)));
        }
        Ok(changes)
    }

    /// Merges two live records. Contacts and companies become a new record; deals keep the
    /// primary's id. Values are the primary's, whatever the stamps; the other fills what is empty.
    pub(crate) fn merge(
        &mut self,
        object_type: ObjectType,
        primary: u64,
        loser: u64,
        stamp: Stamp,
        ids: &mut Ids,
    ) -> Result<(u64, Vec<Change>), Error> {
        let primary = self.require(object_type, primary)?;
        let loser = self.require(object_type, loser)?;
        if primary == loser {
            return Err(Error::Refused(
                "A record can't be merged with itself".to_owned(),
            ));
        }
        let ancestors = merged_ids(self.store(object_type), primary)
            .into_iter()
            .chain(merged_ids(self.store(object_type), loser))
            .chain([primary, loser])
            .collect::<Vec<_>>();
        if ancestors.len() > MERGES_MAX {
            return Err(Error::Refused(format!(
                "A record can take part in at most {MERGES_MAX} merges"
            )));
        }
        let into = if object_type.merges_into_new_id() {
            ids.next(object_type)
        } else {
            primary
        };
        let store = self.store_mut(object_type);
        let (Some(first), Some(second)) = (store.take(primary), store.take(loser)) else {
            return Err(missing(object_type, primary));
        };
        let (mut record, moved) = combine(&first, &second, into, stamp);
        set_merged(
            store,
            &mut record,
            &ancestors,
            object_type,
            &first,
            &second,
            stamp,
        );
        store.index.forget(loser);
        if into == primary {
            store.index.note(into, Some(first), stamp);
        } else {
            store.index.forget(primary);
            store.index.note(into, None, stamp);
            store.merged.insert(primary, into);
        }
        store.merged.insert(loser, into);
        store.put(record);
        self.move_links(object_type, primary, into);
        self.move_links(object_type, loser, into);
        self.recount((object_type, into), stamp.at);

        let gone = if into == primary {
            vec![loser]
        } else {
            vec![loser, primary]
        };
        let mut changes: Vec<Change> = gone
            .into_iter()
            .map(|id| stamp.change(Fact::Deleted((object_type, id))))
            .collect();
        changes.push(stamp.change(Fact::Merged {
            object_type,
            primary,
            loser,
            new: (into != primary).then_some(into),
            moved,
        }));
        Ok((into, changes))
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
        if let Some(record) = store.live.get_mut(&id) {
            record.set(&name, value, at, Source::Calculated);
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

    /// Computes the calculated properties that depend on the record alone.
    fn calculate(&self, object_type: ObjectType, record: &mut Record, at: i64) {
        let store = self.store(object_type);
        let set = |record: &mut Record, name: &str, value: &str| {
            if let Some((name, _)) = store.property(name) {
                record.set(name, value, at, Source::Calculated);
            }
        };
        match object_type {
            ObjectType::Contacts => {
                let full = format!(
                    "{} {}",
                    record.stored("firstname"),
                    record.stored("lastname")
                );
                let full = if full.trim().is_empty() {
                    record.stored("email").to_owned()
                } else {
                    full.trim().to_owned()
                };
                set(record, "hs_full_name_or_email", &full);
            }
            ObjectType::Deals => {
                let stage = record.stored("dealstage").to_owned();
                let found = crate::defaults::STAGES.iter().find(|row| row.0 == stage);
                if let Some(&(_, _, closed, probability)) = found {
                    let won = closed && stage == "closedwon";
                    set(
                        record,
                        "hs_is_closed",
                        if closed { "true" } else { "false" },
                    );
                    set(
                        record,
                        "hs_is_closed_won",
                        if won { "true" } else { "false" },
                    );
                    set(record, "hs_deal_stage_probability", probability);
                }
            }
            ObjectType::Companies => {}
        }
    }

    /// Counts again the associations of a record's neighbours.
    fn recount_around(&mut self, key: Key, at: i64) {
        for (other, _) in self.links.all(key) {
            self.recount(other, at);
        }
        self.recount(key, at);
    }

    /// Computes the properties of a record that follow from its associations.
    pub(crate) fn recount(&mut self, key: Key, at: i64) {
        let (object_type, id) = key;
        if !self.is_live(key) {
            return;
        }
        let count = |account: &Self, to: ObjectType| {
            account
                .links
                .of(key, to, 0)
                .filter(|(other, _)| account.is_live((to, *other)))
                .count()
                .to_string()
        };
        let mut values: Vec<(&str, String)> = Vec::new();
        if object_type != ObjectType::Deals {
            values.push(("num_associated_deals", count(self, ObjectType::Deals)));
        }
        if object_type != ObjectType::Contacts {
            values.push(("num_associated_contacts", count(self, ObjectType::Contacts)));
        } else {
            let primary = self
                .links
                .of(key, ObjectType::Companies, 0)
                .find(|(other, types)| {
                    types.iter().any(|link| Links::is_primary(*link))
                        && self.is_live((ObjectType::Companies, *other))
                })
                .map_or_else(String::new, |(other, _)| other.to_string());
            values.push(("associatedcompanyid", primary));
        }
        let store = self.store_mut(object_type);
        for (name, value) in values {
            let Some((name, _)) = store.property(name) else {
                continue;
            };
            let name = name.clone();
            let zero = value == "0";
            if let Some(record) = store.live.get_mut(&id)
                && !(zero && record.stored(&name).is_empty())
            {
                record.set(&name, &value, at, Source::Calculated);
            }
        }
    }

    /// Gives the associations of a merged record to what it became.
    fn move_links(&mut self, object_type: ObjectType, old: u64, into: u64) {
        if old == into {
            return;
        }
        let (from, to) = ((object_type, old), (object_type, into));
        for (other, types) in self.links.all(from) {
            for link in types {
                self.links.remove(from, other, link);
                let second_primary = Links::is_primary(link)
                    && Links::primary(object_type, other.0).is_some()
                    && other.0 == ObjectType::Companies
                    && self
                        .links
                        .of(to, other.0, 0)
                        .any(|(_, held)| held.iter().any(|held| Links::is_primary(*held)));
                if other != to && !second_primary {
                    self.links.add(to, other, link);
                }
            }
        }
    }
}

fn combine(first: &Record, second: &Record, into: u64, stamp: Stamp) -> (Record, usize) {
    let mut record = first.clone();
    record.id = into;
    record.updated_at = record.updated_at.max(second.updated_at).max(stamp.at);
    record.created_at = first.created_at.min(second.created_at);
    let mut moved = 0;
    for (name, cell) in second.cells() {
        let empty = record.stored(name).is_empty();
        if empty && record.set(name, &cell.now.value, stamp.at, Source::Merge) {
            moved += 1;
        }
    }
    (record, moved)
}

/// Writes what a merge leaves in the survivor: the ids it came from and the other addresses.
fn set_merged(
    store: &crate::crm::Store,
    record: &mut Record,
    ancestors: &[u64],
    object_type: ObjectType,
    first: &Record,
    second: &Record,
    stamp: Stamp,
) {
    let mut set = |name: &str, value: String| {
        if let Some((name, _)) = store.property(name) {
            record.set(name, &value, stamp.at, Source::Merge);
        }
    };
    let list = ancestors
        .iter()
        .filter(|id| object_type.merges_into_new_id() || **id != first.id)
        .map(u64::to_string)
        .collect::<Vec<_>>();
    set("hs_merged_object_ids", list.join(";"));
    if object_type != ObjectType::Contacts {
        return;
    }
    let own = if first.stored("email").is_empty() {
        second.stored("email")
    } else {
        first.stored("email")
    };
    let mut others: Vec<&str> = Vec::new();
    for list in [
        first.stored("hs_additional_emails"),
        second.stored("email"),
        second.stored("hs_additional_emails"),
    ] {
        for address in list.split(';').filter(|address| !address.is_empty()) {
            if !address.eq_ignore_ascii_case(own) && !others.contains(&address) {
                others.push(address);
            }
        }
    }
    set("hs_additional_emails", others.join(";"));
    let mut vids = first.stored("hs_calculated_merged_vids").to_owned();
    for id in [first.id, second.id] {
        if !vids.is_empty() {
            vids.push(';');
        }
        vids.push_str(&format!("{id}:{}", stamp.at));
    }
    set("hs_calculated_merged_vids", vids);
}

fn merged_ids(store: &crate::crm::Store, id: u64) -> Vec<u64> {
    store.find(id).map_or_else(Vec::new, |record| {
        record
            .stored("hs_merged_object_ids")
            .split(';')
            .filter_map(|id| id.parse().ok())
            .collect()
    })
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
