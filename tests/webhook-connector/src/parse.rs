//! From the source's bytes to changes or records. Both are told of the same elements: a delivery is whole records.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    contract::parse::{
        BodyKind, Change, ChangeKind, Interest, ParseError, PropertyText, Refusal, SourceRecord,
    },
    source::{Object, Record},
};

/// What was parsed.
#[derive(Debug)]
pub struct Parsed {
    /// Of a page, the type of its records; none for a delivery.
    page_of: Option<Object>,
    records: Vec<Record>,
    refusals: Vec<(u32, &'static str)>,
}

/// Parses the elements of a delivery, or those of them that are records of one type.
pub(crate) fn parse(kind: &BodyKind, elements: &[u8]) -> Result<Parsed, ParseError> {
    let page_of = match kind {
        BodyKind::Delivery => None,
        BodyKind::Records(name) => Some(Object::named(name).ok_or(ParseError::UnsupportedKind)?),
        BodyKind::JournalFile | BodyKind::Associations(_) => {
            return Err(ParseError::UnsupportedKind);
        }
    };
    // Skipping a value costs no stack, however deep it is nested.
    let elements: Vec<&RawValue> = serde_json::from_slice(elements)
        .map_err(|_| ParseError::NotAnArray("it is not a JSON array".to_owned()))?;
    let mut parsed = Parsed {
        page_of,
        records: Vec::new(),
        refusals: Vec::new(),
    };
    for (element, raw) in (0..).zip(elements) {
        match Record::read(element, raw) {
            Ok(Some(record)) if page_of.is_none_or(|of| of == record.object) => {
                parsed.records.push(record);
            }
            Ok(_) => {}
            Err(reason) => parsed.refusals.push((element, reason)),
        }
    }
    Ok(parsed)
}

impl Parsed {
    /// The elements that could not be understood.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        let told = |(element, reason): &(u32, &str)| Refusal {
            element: *element,
            reason: (*reason).to_owned(),
        };
        self.refusals.iter().map(told).collect()
    }

    /// The changes of a delivery that are of interest.
    pub(crate) fn changes(&self, interests: &[Interest]) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.page_of.is_some() {
            return changes;
        }
        let wanted = Object::ALL.map(|object| {
            let interest = interests
                .iter()
                .find(|interest| interest.object_type == object.name())?;
            let places = interest.properties.iter().map(String::as_str).zip(0..);
            Some((object, places.collect::<BTreeMap<&str, u32>>()))
        });
        for record in &self.records {
            let mut wanted = wanted.iter().flatten();
            let Some((_, places)) = wanted.find(|(object, _)| *object == record.object) else {
                continue;
            };
            let mut tell = |kind| {
                changes.push(Change {
                    element: record.element,
                    object_type: record.object.name().to_owned(),
                    occurred_at: record.updated_at_ms,
                    kind,
                });
            };
            if record.deleted {
                tell(ChangeKind::Deleted);
            }
            for (name, text) in &record.properties {
                if let Some(property) = places.get(name.as_str()) {
                    tell(ChangeKind::PropertyChanged(PropertyText {
                        property: *property,
                        text: text.clone(),
                    }));
                }
            }
        }
        changes
    }

    /// The records of a page.
    pub(crate) fn records(&self, properties: &[String]) -> Vec<SourceRecord> {
        let (_, records) = self.page();
        let told = |record: &Record| SourceRecord {
            element: record.element,
            created_at: None,
            modified_at: Some(record.updated_at_ms),
            archived: record.deleted,
            merged: Vec::new(),
            properties: (0..)
                .zip(properties)
                .filter_map(|(property, name)| {
                    let text = record.properties.get(name)?.clone();
                    Some(PropertyText { property, text })
                })
                .collect(),
        };
        records.iter().map(told).collect()
    }

    /// Of a page, its type and its records; of a delivery nothing.
    pub(crate) fn page(&self) -> (Option<Object>, &[Record]) {
        match self.page_of {
            Some(_) => (self.page_of, &self.records),
            None => (None, &[]),
        }
    }

    /// All texts of properties, in the order in which they are told.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&Record, &str, &str)> {
        self.records.iter().flat_map(|record| {
            let texts = record.properties.iter();
            texts.map(move |(name, text)| (record, name.as_str(), text.as_str()))
        })
    }
}
