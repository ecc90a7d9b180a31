//! From one element of a page to a record, or to the associations of one.

use std::collections::{BTreeMap, BTreeSet};

use crate::hubspot::{self, AssociationsBody, Object, RecordBody};
use crate::json::{self, Raw, Reason, Text};
use crate::moment;
use crate::p::{Association, AssociationSet};

/// A record of a page.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its index in the input.
    pub(crate) element: u32,
    pub(crate) created_at_ms: Option<i64>,
    pub(crate) modified_at_ms: Option<i64>,
    pub(crate) archived: bool,
    pub(crate) merged: Vec<String>,
    /// Names and texts, in HubSpot's order.
    pub(crate) properties: Vec<(Text, Text)>,
}

/// Reads a record of a page of `object`.
pub(crate) fn record(
    source: &str,
    element: u32,
    object: Object,
    body: &RecordBody<'_>,
) -> Result<Record, Reason> {
    let id = json::text(body.id)?;
    if id.is_empty() {
        return Err("a record has no id");
    }
    let mut properties = Vec::new();
    let (mut created, mut modified, mut merged) = (None, None, BTreeSet::new());
    for (name, raw) in body.properties.iter().flat_map(|properties| &properties.0) {
        let text = json::text(*raw)?;
        if *name == hubspot::CREATED {
            created = *raw;
        } else if *name == object.last_modified() {
            modified = *raw;
        } else if *name == hubspot::MERGED_IDS || *name == hubspot::MERGED_VIDS {
            merged.extend(hubspot::merged_ids(&text, &id).map(str::to_owned));
        }
        // Names are few and short; only those with escapes are copied.
        properties.push((Text::of(source, name.clone()), Text::of(source, text)));
    }
    Ok(Record {
        element,
        created_at_ms: moment_of([body.created_at, created])?,
        modified_at_ms: moment_of([body.updated_at, modified])?,
        archived: json::text(body.archived)? == "true",
        merged: merged.into_iter().collect(),
        properties,
    })
}

/// The first of a moment's places that has it; none where all are empty.
fn moment_of(places: [Raw<'_>; 2]) -> Result<Option<i64>, Reason> {
    for place in places {
        let text = json::text(place)?;
        if !text.is_empty() {
            let moment = moment::read(&text);
            return moment
                .map(Some)
                .map_err(|_| "a record's own moment cannot be read");
        }
    }
    Ok(None)
}

/// Reads one record's associations.
pub(crate) fn association_set(
    element: u32,
    body: &AssociationsBody<'_>,
) -> Result<AssociationSet, Reason> {
    let from = body.from.as_ref().and_then(|from| from.id);
    if json::text(from)?.is_empty() {
        return Err("the record that was asked about is not named");
    }
    // HubSpot may list one record several times; a record is told once, with all that was said of it.
    let mut all: BTreeMap<String, (bool, BTreeSet<String>)> = BTreeMap::new();
    for to in body.to.iter().flatten() {
        let to_record = json::text(to.to_object_id)?;
        if to_record.is_empty() {
            return Err("an associated record has no id");
        }
        let (primary, labels) = all.entry(to_record.into_owned()).or_default();
        for kind in to.association_types.iter().flatten() {
            *primary |= kind.is_primary();
            let label = json::text(kind.label)?;
            if kind.is_of_people() && !label.is_empty() {
                labels.insert(label.into_owned());
            }
        }
    }
    let associations = all
        .into_iter()
        .map(|(to_record, (primary, labels))| Association {
            to_record,
            primary,
            labels: labels.into_iter().collect(),
        });
    Ok(AssociationSet {
        element,
        associations: associations.collect(),
    })
}
