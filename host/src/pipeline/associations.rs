//! Pages of associations that a read answered, applied: whom a record's
//! associated records reach.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    feeding::Feeder,
    pages::{Error, not_understood},
};
use crate::{
    model::{Association, Existence, Missed, ObjectType, RecordId, Timestamp},
    plugin::{BodyKind, Pass, Version as Plugin, join},
    store::{self, reach::KeptAssociation, records::RecordKey},
};

/// A page of associations of records to one type.
#[derive(Debug)]
pub struct AssociationsPage {
    /// What each element says of its record. Several may be of one.
    pub said: Vec<(RecordId, Vec<Association>)>,
    /// The ids of which the answer says something that the plugin could not
    /// understand: their associations are not known.
    pub not_understood: HashSet<RecordId>,
}

/// Reads a page of associations.
pub fn prepare_associations(
    plugin: &Plugin,
    from: &ObjectType,
    to: &ObjectType,
    body: &[u8],
    received_at: Timestamp,
) -> Result<AssociationsPage, Error> {
    let elements = plugin.split_answer(body, plugin.description().associations_page.as_ref())?;
    let output = plugin
        .run(&Pass {
            body: BodyKind::Associations {
                from: from.clone(),
                to: to.clone(),
            },
            elements: &join(elements.iter().map(|element| element.bytes)),
            element_count: elements.len(),
            received_at,
            interests: &[],
            conversions: &[],
            rules: &[],
        })
        .map_err(|fault| Error::of(plugin, fault))?;
    let not_understood =
        not_understood(&elements, output.associations.iter().map(|set| set.element));
    let named = output.associations.into_iter().filter_map(|set| {
        let record = elements.get(set.element)?.records.first()?.clone();
        Some((record, set.associations))
    });
    Ok(AssociationsPage {
        said: named.collect(),
        not_understood,
    })
}

/// A record takes part in no more merges than this (HubSpot's own bound).
const MERGES_MAX: usize = 250;

/// Applies all associations of a record to one type, to one connection. Asked of
/// one that reaches users through others, they say who of these is to be asked.
pub fn apply_associations(
    feeder: &mut Feeder<'_, '_>,
    from: &ObjectType,
    record: &RecordId,
    to: &ObjectType,
    associations: &[Association],
    sequence: i64,
) -> Result<(), store::Error> {
    feeder.because(Missed::Association);
    let route = feeder.route;
    if route.follows(from, to) {
        return ask_back(feeder, from, to, associations);
    }
    let held = feeder.tx.find_record(route.id, from, record)?;
    let is_asked = route.follows(to, from);
    let Some(state) = held.filter(|state| is_asked && state.reached) else {
        return Ok(());
    };
    let mut kept: BTreeMap<RecordKey, KeptAssociation> = BTreeMap::new();
    let mut ids = HashMap::new();
    for association in associations {
        let (key, id) = through_merges(feeder, to, &association.to_record)?;
        ids.insert(key, id);
        let one = kept.entry(key).or_insert_with(|| KeptAssociation {
            to_record: key,
            primary: false,
            labels: Vec::new(),
        });
        one.primary |= association.primary;
        one.labels.extend_from_slice(&association.labels);
        one.labels.sort();
        one.labels.dedup();
    }
    let kept: Vec<KeptAssociation> = kept.into_values().collect();
    for (key, id) in feeder.tx.associated_records(state.key, to)? {
        ids.entry(key).or_insert(id);
    }
    let changed = feeder
        .tx
        .replace_associations(state.key, to, sequence, &kept)?;
    for key in changed.into_iter().flatten() {
        if let Some(id) = ids.get(&key) {
            feeder.reach(to, key, id)?;
        }
    }
    if let Some((mapping, _)) = route.mapping(to) {
        feeder.touch_reached(mapping, state.key)?;
    }
    Ok(())
}

/// The record that an id leads to: an answer from before a merge still names
/// what became another.
fn through_merges(
    feeder: &Feeder<'_, '_>,
    object_type: &ObjectType,
    record: &RecordId,
) -> Result<(RecordKey, RecordId), store::Error> {
    let mut id = record.clone();
    let mut state = feeder.tx.ensure_record(feeder.route.id, object_type, &id)?;
    for _ in 0..MERGES_MAX {
        let Existence::Merged(Some(survivor)) = state.existence else {
            break;
        };
        state = feeder
            .tx
            .ensure_record(feeder.route.id, object_type, &survivor)?;
        id = survivor;
    }
    Ok((state.key, id))
}

/// Asks the linked records that have one which came back what they have.
fn ask_back(
    feeder: &Feeder<'_, '_>,
    asked: &ObjectType,
    through: &ObjectType,
    associations: &[Association],
) -> Result<(), store::Error> {
    for association in associations {
        let other = &association.to_record;
        let held = feeder.tx.find_record(feeder.route.id, through, other)?;
        if held.is_some_and(|held| held.reached) {
            feeder.read_associations(through, other, asked)?;
        }
    }
    Ok(())
}
