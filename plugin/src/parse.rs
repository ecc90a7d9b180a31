//! From HubSpot's bytes to changes, records and associations, and what was not understood, by index.
//!
//! Parsing never fails because of one element, and copies nothing that it can point at: what is parsed keeps the input
//! and places in it, and only what is asked for crosses to the host.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::event::{Change, Kind, delivered, journalled};
use crate::hubspot::{self, AssociationsBody, Object, RecordBody};
use crate::json::{self, Raw, Reason, Text};
use crate::moment;
use crate::p::{
    Association, AssociationChange, AssociationSet, BodyKind, Change as ToldChange, ChangeKind,
    Interest, Merge, ParseError, PropertyText, Refusal, SourceRecord,
};

/// What was parsed.
#[derive(Debug)]
pub struct Parsed {
    source: String,
    body: Body,
    refusals: Vec<(u32, Reason)>,
}

#[derive(Debug)]
enum Body {
    Changes(Vec<Change>),
    Records {
        object: Object,
        records: Vec<Record>,
    },
    Associations(Vec<AssociationSet>),
}

/// A record of a page.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its index in the input.
    pub(crate) element: u32,
    created_at_ms: Option<i64>,
    modified_at_ms: Option<i64>,
    archived: bool,
    merged: Vec<String>,
    properties: Vec<(Text, Text)>,
}

/// Parses the elements of one kind of body.
pub(crate) fn parse(kind: &BodyKind, elements: Vec<u8>) -> Result<Parsed, ParseError> {
    let object = |name: &str| Object::named(name).ok_or(ParseError::UnsupportedKind);
    // Bytes that are not UTF-8 as a whole are read element by element, and what is kept of them is copied.
    let (source, bytes) = match String::from_utf8(elements) {
        Ok(source) => (source, None),
        Err(error) => (String::new(), Some(error.into_bytes())),
    };
    let mut input = Input {
        source: &source,
        bytes: bytes.as_deref(),
        refusals: Vec::new(),
    };
    let body = match kind {
        BodyKind::Delivery => {
            let mut changes = Vec::new();
            let read = input
                .each(|source, element, event| delivered(source, element, &event, &mut changes));
            read.map(|()| Body::Changes(changes))
        }
        BodyKind::JournalFile => {
            let mut changes = Vec::new();
            let read = input
                .each(|source, element, event| journalled(source, element, &event, &mut changes));
            read.map(|()| Body::Changes(changes))
        }
        BodyKind::Records(name) => {
            let object = object(name)?;
            let mut records = Vec::new();
            let read = input.each(|source, element, body| {
                records.push(record(source, element, object, &body)?);
                Ok(())
            });
            read.map(|()| Body::Records { object, records })
        }
        BodyKind::Associations(pair) => {
            (object(&pair.from_type)?, object(&pair.to_type)?);
            let mut sets = Vec::new();
            let read = input.each(|_, element, body| {
                sets.push(association_set(element, &body)?);
                Ok(())
            });
            read.map(|()| Body::Associations(sets))
        }
    };
    let refusals = input.refusals;
    let body = body.map_err(|reason| ParseError::NotAnArray(reason.to_owned()))?;
    Ok(Parsed {
        source,
        body,
        refusals,
    })
}

/// What is read, and what could not be.
struct Input<'a> {
    source: &'a str,
    /// The input where it is not UTF-8 as a whole; `source` is empty then.
    bytes: Option<&'a [u8]>,
    refusals: Vec<(u32, Reason)>,
}

impl<'a> Input<'a> {
    /// Reads every element with `read`, and keeps why it could not be.
    fn each<T: Deserialize<'a>>(
        &mut self,
        mut read: impl FnMut(&'a str, u32, T) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let bytes = self.bytes.unwrap_or(self.source.as_bytes());
        let text = self.bytes.is_none().then_some(self.source);
        json::each_element(bytes, text, |element, value: Result<T, Reason>| {
            if let Err(reason) = value.and_then(|value| read(self.source, element, value)) {
                self.refusals.push((element, reason));
            }
        })
    }
}

fn record(
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

fn association_set(element: u32, body: &AssociationsBody<'_>) -> Result<AssociationSet, Reason> {
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

impl Parsed {
    /// The elements that could not be understood.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        let told = |(element, reason): &(u32, Reason)| Refusal {
            element: *element,
            reason: (*reason).to_owned(),
        };
        self.refusals.iter().map(told).collect()
    }

    /// The changes of interest.
    pub(crate) fn changes(&self, interests: &[Interest]) -> Vec<ToldChange> {
        let Body::Changes(changes) = &self.body else {
            return Vec::new();
        };
        let mut wanted: BTreeMap<Object, BTreeMap<&str, u32>> = BTreeMap::new();
        for interest in interests {
            if let Some(object) = Object::named(&interest.object_type) {
                let properties = wanted.entry(object).or_default();
                for (index, name) in (0..).zip(&interest.properties) {
                    properties.entry(name).or_insert(index);
                }
            }
        }
        let told = |change: &Change| {
            let properties = wanted.get(&change.object)?;
            Some(ToldChange {
                element: change.element,
                object_type: change.object.name().to_owned(),
                occurred_at: change.occurred_at_ms,
                kind: self.kind(&change.kind, properties)?,
            })
        };
        changes.iter().filter_map(told).collect()
    }

    /// The records of a page.
    pub(crate) fn records(&self, properties: &[String]) -> Vec<SourceRecord> {
        let names: Vec<&str> = properties.iter().map(String::as_str).collect();
        let mut told = Vec::new();
        self.each_record(&names, |record, texts| {
            let present = (0..)
                .zip(texts)
                .filter_map(|(property, text)| Some((property, (*text)?)));
            told.push(SourceRecord {
                element: record.element,
                created_at: record.created_at_ms,
                modified_at: record.modified_at_ms,
                archived: record.archived,
                merged: record.merged.clone(),
                properties: present
                    .map(|(property, text)| PropertyText {
                        property,
                        text: text.to_owned(),
                    })
                    .collect(),
            });
        });
        told
    }

    /// The associations of a page.
    pub(crate) fn associations(&self) -> Vec<AssociationSet> {
        match &self.body {
            Body::Associations(sets) => sets.clone(),
            _ => Vec::new(),
        }
    }

    /// The object type of a page of records; none for other bodies.
    pub(crate) fn page_of(&self) -> Option<Object> {
        match &self.body {
            Body::Records { object, .. } => Some(*object),
            _ => None,
        }
    }

    /// Calls `each` for every record of a page, with the texts of the properties named, in the order of `names`; none
    /// for a property that the answer does not have. A property that stands twice has its last text, as JSON's readers do.
    pub(crate) fn each_record<'a>(
        &'a self,
        names: &[&str],
        mut each: impl FnMut(&Record, &[Option<&'a str>]),
    ) {
        let Body::Records { records, .. } = &self.body else {
            return;
        };
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            places.entry(name).or_default().push(place);
        }
        let mut texts = vec![None; names.len()];
        for record in records {
            texts.fill(None);
            for (name, text) in &record.properties {
                for place in places.get(self.text(name)).into_iter().flatten() {
                    if let Some(slot) = texts.get_mut(*place) {
                        *slot = Some(self.text(text));
                    }
                }
            }
            each(record, &texts);
        }
    }

    /// Calls `each` for every change of a property: its element, object type, name and text.
    pub(crate) fn each_property_change<'a>(
        &'a self,
        mut each: impl FnMut(u32, Object, &'a str, &'a str),
    ) {
        let Body::Changes(changes) = &self.body else {
            return;
        };
        for change in changes {
            if let Kind::Property { name, text } = &change.kind {
                each(
                    change.element,
                    change.object,
                    self.text(name),
                    self.text(text),
                );
            }
        }
    }

    fn kind(&self, kind: &Kind, properties: &BTreeMap<&str, u32>) -> Option<ChangeKind> {
        let own = |text| self.text(text).to_owned();
        Some(match kind {
            Kind::Created => ChangeKind::Created,
            Kind::Deleted => ChangeKind::Deleted,
            Kind::Restored => ChangeKind::Restored,
            Kind::Erased => ChangeKind::Erased,
            Kind::Merged { survivor, merged } => ChangeKind::Merged(Merge {
                survivor: own(survivor),
                merged: merged.iter().map(own).collect(),
            }),
            Kind::Property { name, text } => ChangeKind::PropertyChanged(PropertyText {
                property: *properties.get(self.text(name))?,
                text: own(text),
            }),
            Kind::Association {
                to,
                to_record,
                removed,
            } => ChangeKind::AssociationChanged(AssociationChange {
                to_type: to.name().to_owned(),
                to_record: own(to_record),
                removed: *removed,
            }),
        })
    }

    fn text<'a>(&'a self, text: &'a Text) -> &'a str {
        text.get(&self.source)
    }
}
