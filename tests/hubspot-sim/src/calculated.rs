//! Properties that HubSpot computes: their changes fire no webhook and move no stamp.

use crate::crm::{Account, ObjectType};
use crate::links::{Key, Links};
use crate::record::{Record, Source};

use ObjectType::{Companies, Contacts, Deals};

/// The property that counts what a record is associated with.
fn counter(of: ObjectType, to: ObjectType) -> Option<&'static str> {
    match (of, to) {
        (Contacts | Companies, Deals) => Some("num_associated_deals"),
        (Companies | Deals, Contacts) => Some("num_associated_contacts"),
        _ => None,
    }
}

impl Account {
    /// Computes the calculated properties that depend on the record alone.
    pub(crate) fn calculate(&self, object_type: ObjectType, record: &mut Record, at: i64) {
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
                if let Some(stage) = self.stage(&stage) {
                    let won = stage.closed && stage.probability == "1.0";
                    let word = |is: bool| if is { "true" } else { "false" };
                    set(record, "hs_is_closed", word(stage.closed));
                    set(record, "hs_is_closed_won", word(won));
                    set(record, "hs_deal_stage_probability", &stage.probability);
                }
            }
            ObjectType::Companies => {}
        }
    }

    /// Notes at a record that it has one association more or less with a type.
    pub(crate) fn bump(&mut self, key: Key, to: ObjectType, by: i64, at: i64) {
        let Some(name) = counter(key.0, to) else {
            return;
        };
        let held = self
            .store(key.0)
            .live
            .get(&key.1)
            .and_then(|record| record.stored(name).parse::<i64>().ok())
            .unwrap_or(0);
        self.set_calculated(key, name, &(held + by).max(0).to_string(), at);
    }

    /// Notes at a record's neighbours that it is there again, or no longer.
    pub(crate) fn bump_around(&mut self, key: Key, by: i64, at: i64) {
        for (other, _) in self.links.all(key) {
            self.bump(other, key.0, by, at);
            self.follow_primary(other, at);
        }
    }

    /// Counts all associations of a record again.
    pub(crate) fn recount(&mut self, key: Key, at: i64) {
        for to in ObjectType::ALL {
            let Some(name) = counter(key.0, to) else {
                continue;
            };
            let count = self
                .links
                .of(key, to, 0)
                .filter(|(other, _)| self.is_live((to, *other)))
                .count();
            self.set_calculated(key, name, &count.to_string(), at);
        }
        self.follow_primary(key, at);
    }

    /// Writes a contact's primary company into the contact.
    pub(crate) fn follow_primary(&mut self, key: Key, at: i64) {
        if key.0 != Contacts {
            return;
        }
        let primary = self
            .links
            .of(key, Companies, 0)
            .find(|(other, types)| {
                types.iter().any(|link| Links::is_primary(*link))
                    && self.is_live((Companies, *other))
            })
            .map_or_else(String::new, |(other, _)| other.to_string());
        self.set_calculated(key, "associatedcompanyid", &primary, at);
    }

    fn set_calculated(&mut self, key: Key, name: &str, value: &str, at: i64) {
        let store = self.store_mut(key.0);
        let Some((name, _)) = store.property(name) else {
            return;
        };
        let name = name.clone();
        if let Some(record) = store.live.get_mut(&key.1) {
            // What was never counted stays unset rather than becoming zero.
            if value != "0" || !record.stored(&name).is_empty() {
                record.set(&name, value, at, Source::Calculated);
            }
        }
    }
}
