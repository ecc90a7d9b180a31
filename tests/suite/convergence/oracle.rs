//! What every user should have, by the rules alone: nothing of the host is used.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use hubspot_sim::{ObjectType, TrueRecord, Truth};
use serde_json::{Value, json};

use super::history::{FIELDS, too_long};

/// All texts that a record's property had, by type, id and property.
pub type Texts = HashMap<(ObjectType, u64, &'static str), Vec<String>>;

/// What a variable may hold: a value with the record that it is from, or
/// nothing. More than one only where what HubSpot says cannot be read: any
/// readable value of the same record may be the newest that was heard of.
pub type Allowed = Vec<Option<(Value, u64)>>;

/// What a user with an address may have, variable by variable.
pub fn expected(truth: &Truth, texts: &Texts, address: &str) -> BTreeMap<&'static str, Allowed> {
    let contacts: Vec<(bool, &TrueRecord)> = truth
        .live(ObjectType::Contacts)
        .filter_map(|contact| {
            let own = contact
                .value("email")
                .is_some_and(|own| own.eq_ignore_ascii_case(address));
            let additional = contact.value("hs_additional_emails").unwrap_or_default();
            let has = own
                || additional
                    .split(';')
                    .any(|one| one.eq_ignore_ascii_case(address));
            has.then_some((!own, contact))
        })
        .collect();
    let mut allowed = BTreeMap::new();
    for object_type in ObjectType::ALL {
        let feeding = match object_type {
            ObjectType::Contacts => contacts
                .iter()
                .min_by_key(|(additional, contact)| (*additional, contact.id))
                .map(|(_, contact)| *contact),
            // The primary of any contact; the lowest of several and of none.
            ObjectType::Companies => associated(truth, &contacts, object_type)
                .min_by_key(|(primary, company)| (Reverse(*primary), company.id))
                .map(|(_, company)| company),
            // The latest modified.
            ObjectType::Deals => associated(truth, &contacts, object_type)
                .max_by_key(|(_, deal)| (deal.modified_at_ms, deal.id))
                .map(|(_, deal)| deal),
        };
        for (_, property, variable, is_number) in
            FIELDS.iter().filter(|field| field.0 == object_type)
        {
            let values = feeding.map_or(vec![None], |record| {
                values(record, property, *is_number, texts)
            });
            allowed.insert(*variable, values);
        }
    }
    allowed
}

fn associated<'a>(
    truth: &'a Truth,
    contacts: &'a [(bool, &'a TrueRecord)],
    to: ObjectType,
) -> impl Iterator<Item = (bool, &'a TrueRecord)> {
    contacts
        .iter()
        .filter_map(move |(_, contact)| contact.associations.get(&to))
        .flatten()
        .filter_map(move |link| Some((link.primary, truth.record(to, link.id)?)))
}

fn values(record: &TrueRecord, property: &'static str, is_number: bool, texts: &Texts) -> Allowed {
    let value = |text: &str| match text {
        "" => None,
        text if is_number => Some((json!(text.parse::<f64>().unwrap()), record.id)),
        text => Some((json!(text), record.id)),
    };
    let text = record.value(property).unwrap_or_default();
    if text != too_long() {
        return vec![value(text)];
    }
    let before = texts
        .get(&(record.object_type, record.id, property))
        .into_iter()
        .flatten();
    let readable = before
        .filter(|text| **text != too_long())
        .map(|text| value(text));
    std::iter::once(None).chain(readable).collect()
}
