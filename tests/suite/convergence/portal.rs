//! An account of HubSpot, and what happens in it.

use std::collections::BTreeMap;

use hubspot_sim::{Account, Error, Link, ObjectType};

use super::{
    history::{FIELDS, Step, address},
    oracle::Texts,
};

/// An account whose records are named by slots.
pub struct Portal {
    /// The account.
    pub account: Account,
    /// All texts that its records had.
    pub texts: Texts,
    /// Ids by slot.
    pub records: BTreeMap<(ObjectType, usize), u64>,
    /// The slots and ids of deleted records.
    deleted: Vec<((ObjectType, usize), u64)>,
}

impl Portal {
    /// An account without records.
    pub fn new(account: Account) -> Self {
        Self {
            account,
            texts: Texts::new(),
            records: BTreeMap::new(),
            deleted: Vec::new(),
        }
    }

    /// Does what a step says at once: nobody else has a turn before this
    /// returns. Refused where a record is not there or an address is taken: then
    /// nothing happened.
    pub fn happen(&mut self, step: &Step) -> Result<(), Error> {
        let account = self.account.clone();
        match step {
            Step::Set {
                record,
                field,
                text,
                ..
            } => {
                let id = self.ensure(*record)?;
                let (object_type, property, ..) = FIELDS[*field];
                account.patch(object_type.name(), id, &[(property, text)])?;
                let id = account.record(object_type.name(), id)?.id;
                self.texts
                    .entry((object_type, id, property))
                    .or_default()
                    .push(text.clone());
            }
            Step::Calculate {
                record,
                field,
                text,
            } => {
                let (object_type, property, ..) = FIELDS[*field];
                if let Some(id) = self.held(*record) {
                    account.recalculate(object_type.name(), id, property, text)?;
                    let texts = self.texts.entry((object_type, id, property));
                    texts.or_default().push(text.clone());
                }
            }
            Step::Readdress {
                contact,
                own,
                additional,
            } => {
                let id = self.ensure((ObjectType::Contacts, *contact))?;
                let own = own.map(address).unwrap_or_default();
                // Additional ones alone are told by no event.
                if account
                    .record("contacts", id)?
                    .value("email")
                    .unwrap_or_default()
                    != own
                {
                    account.patch("contacts", id, &[("email", &own)])?;
                    let additional: Vec<_> = additional.iter().map(|one| address(*one)).collect();
                    let additional = additional.join(";");
                    account.recalculate("contacts", id, "hs_additional_emails", &additional)?;
                }
            }
            Step::Associate {
                contact,
                to,
                primary,
            } => {
                let link = match to.0 {
                    ObjectType::Companies if *primary => Link::Primary,
                    _ => Link::Plain,
                };
                let (contact, other) = (
                    self.ensure((ObjectType::Contacts, *contact))?,
                    self.ensure(*to)?,
                );
                account.associate(("contacts", contact), (to.0.name(), other), link)?;
            }
            Step::Dissociate { contact, to } => {
                if let (Some(contact), Some(other)) =
                    (self.held((ObjectType::Contacts, *contact)), self.held(*to))
                {
                    account.dissociate(("contacts", contact), (to.0.name(), other))?;
                }
            }
            Step::Delete { record } => {
                if let Some(id) = self.held(*record) {
                    account.delete(record.0.name(), id)?;
                    self.records.remove(record);
                    self.deleted.push((*record, id));
                }
            }
            Step::Restore { of } => {
                let last = self.deleted.iter().rposition(|(record, _)| record.0 == *of);
                if let Some((record, id)) = last.map(|index| self.deleted.remove(index)) {
                    account.restore(of.name(), id)?;
                    self.records.insert(record, id);
                }
            }
            Step::Erase { contact } => {
                if let Some(id) = self.held((ObjectType::Contacts, *contact)) {
                    account.erase("contacts", id)?;
                    self.records.remove(&(ObjectType::Contacts, *contact));
                }
            }
            Step::Merge { of, primary, other } => {
                let slots = [*primary, *other].map(|slot| (*of, slot));
                if let [Some(primary), Some(other)] = slots.map(|slot| self.held(slot)) {
                    let into = account.merge(of.name(), primary, other)?;
                    self.records.remove(&slots[1]);
                    self.records.insert(slots[0], into);
                    let survivor = account.record(of.name(), into)?;
                    for (_, property, ..) in FIELDS.iter().filter(|field| field.0 == *of) {
                        let text = survivor.value(property).unwrap_or_default();
                        let texts = self.texts.entry((*of, into, property));
                        texts.or_default().push(text.to_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn held(&self, record: (ObjectType, usize)) -> Option<u64> {
        self.records.get(&record).copied()
    }

    fn ensure(&mut self, record: (ObjectType, usize)) -> Result<u64, Error> {
        if let Some(id) = self.held(record) {
            return Ok(id);
        }
        let id = self.account.create(record.0.name(), &[])?;
        self.records.insert(record, id);
        Ok(id)
    }
}
