//! Pages of associations that a read answered, applied: whom a record's
//! associated records reach.

use std::collections::{HashMap, HashSet};

use super::{
    feeding::Feeder,
    pages::{Error, not_understood},
};
use crate::{
    model::{Association, ObjectType, RecordId, Timestamp},
    plugin::{
        BodyKind, Pass, Version as Plugin,
        elements::{join, split},
    },
    store::{self, reach::KeptAssociation},
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
    let elements = split(body, &plugin.description().associations_page)?;
    let output = plugin.run(&Pass {
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
    })?;
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

/// Applies all associations of a record to one type, to one connection.
pub fn apply_associations(
    feeder: &mut Feeder<'_, '_>,
    from: &ObjectType,
    record: &RecordId,
    to: &ObjectType,
    associations: &[Association],
    sequence: i64,
) -> Result<(), store::Error> {
    let route = feeder.route;
    let follows = route
        .mapping(to)
        .is_some_and(|(_, mapping)| mapping.through.as_ref() == Some(from));
    let held = feeder.tx.find_record(route.id, from, record)?;
    let Some(state) = held.filter(|state| follows && state.reached) else {
        return Ok(());
    };
    let mut kept = Vec::new();
    let mut ids = HashMap::new();
    for association in associations {
        let other = feeder
            .tx
            .ensure_record(route.id, to, &association.to_record)?;
        ids.insert(other.key, association.to_record.clone());
        kept.push(KeptAssociation {
            to_record: other.key,
            primary: association.primary,
            labels: association.labels.clone(),
        });
    }
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
