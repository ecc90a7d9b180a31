//! From HubSpot's bytes to changes, records and associations, and what was not understood, by index.
//!
//! Parsing never fails because of one element, and copies nothing that it can point at: what is parsed keeps the input
//! and places in it, and only what is asked for crosses to the host.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::event::{Change, Kind, delivered, journalled};
use crate::hubspot::Object;
use crate::json::{self, Reason, Text};
use crate::p::{
    AssociationChange, AssociationSet, BodyKind, Change as ToldChange, ChangeKind, Interest, Merge,
    ParseError, PropertyText, Refusal, SourceRecord,
};
use crate::page::{Record, association_set, record};

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
            object(&pair.from_type)?;
            object(&pair.to_type)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p::AssociationPair;

    fn parsed(kind: &BodyKind, elements: &str) -> Parsed {
        parse(kind, elements.into()).expect("an array")
    }

    #[test]
    fn only_what_is_of_interest_is_told() {
        let event = |kind: &str, property: &str| {
            format!(
                r#"{{"subscriptionType":"{kind}.propertyChange","occurredAt":1,"objectId":7,"propertyName":"{property}","propertyValue":"x"}}"#
            )
        };
        let delivery = format!(
            "[{},{},{}]",
            event("contact", "a"),
            event("contact", "b"),
            event("deal", "a")
        );
        let parsed = parsed(&BodyKind::Delivery, &delivery);
        let interest = |object_type: &str, properties: &[&str]| Interest {
            object_type: object_type.to_owned(),
            properties: properties.iter().map(|name| (*name).to_owned()).collect(),
        };
        let told = |interests: &[Interest]| -> Vec<u32> {
            parsed
                .changes(interests)
                .iter()
                .map(|change| change.element)
                .collect()
        };
        assert!(told(&[]).is_empty());
        assert_eq!(told(&[interest("contacts", &["b", "a"])]), [0, 1]);
        assert_eq!(
            told(&[interest("deals", &["a"]), interest("contacts", &["b"])]),
            [1, 2]
        );
        assert!(told(&[interest("deals", &[]), interest("tickets", &["a"])]).is_empty());
        assert!(parsed.refusals().is_empty());
    }

    #[test]
    fn other_object_types_than_those_described_are_not_supported() {
        let pair = |from: &str, to: &str| {
            BodyKind::Associations(AssociationPair {
                from_type: from.to_owned(),
                to_type: to.to_owned(),
            })
        };
        for kind in [
            BodyKind::Records("tickets".to_owned()),
            pair("contacts", "tickets"),
            pair("", "deals"),
        ] {
            assert!(
                matches!(
                    parse(&kind, b"[]".to_vec()),
                    Err(ParseError::UnsupportedKind)
                ),
                "{kind:?}"
            );
        }
        assert!(parse(&pair("deals", "companies"), b"[]".to_vec()).is_ok());
    }

    #[test]
    fn a_text_with_escapes_says_what_they_mean() {
        let page = r#"[{"id":"1","properties":{"fir\u0073tname":"a\"\\\n\u00e9"}}]"#;
        let parsed = parsed(&BodyKind::Records("contacts".to_owned()), page);
        let records = parsed.records(&["firstname".to_owned()]);
        let texts: Vec<&str> = records
            .iter()
            .flat_map(|record| &record.properties)
            .map(|one| &*one.text)
            .collect();
        assert_eq!(texts, ["a\"\\\né"]);
    }

    #[test]
    fn a_page_tells_no_changes_and_a_delivery_no_records() {
        let page = parsed(&BodyKind::Records("deals".to_owned()), r#"[{"id":"1"}]"#);
        assert!(page.changes(&[]).is_empty() && page.associations().is_empty());
        let delivery = parsed(&BodyKind::Delivery, "[]");
        assert!(delivery.records(&[]).is_empty() && delivery.associations().is_empty());
    }
}
