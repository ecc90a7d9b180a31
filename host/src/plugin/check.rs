//! From the contract's types to the host's, checking on the way all that a
//! plugin claims. What is let through here is believed everywhere else.
//!
//! What a plugin says is about the elements that it was handed, by index, in
//! their order; of the object types and properties that were asked for; of
//! records that the element itself names.

use std::collections::HashMap;

use super::{
    bindings::exports::jimo::connect::{matching, parse},
    claims::Claims,
    describe::Description,
    fault::{Nonsense, shown},
    limits::{MOMENT_MAX, MOMENT_MIN, NAME_BYTES_MAX},
    pass::{
        BodyKind, ConversionField, Interest, NeededProperties, Pass, RecordKeys, Refusal, RuleError,
    },
};
use crate::model::{
    Association, AssociationChange, AssociationSet, Change, ChangeKind, KeyKind, MatchKey, Merge,
    ObjectType, PropertyName, PropertyText, RecordId, SourceRecord, Timestamp,
};

/// What the answers of one pass are checked against.
pub(super) struct Checks<'a> {
    description: &'a Description,
    interests: &'a [Interest],
    /// Of a page of records: the properties that are asked about.
    properties: &'a [PropertyName],
    body: &'a BodyKind,
    received_max: Timestamp,
    /// By element, whether it was refused.
    refused: Vec<bool>,
    claims: Claims<'a>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(
        pass: &'a Pass<'_>,
        description: &'a Description,
        received_max: Timestamp,
    ) -> Self {
        let properties = match &pass.body {
            BodyKind::Records(of) => interest(pass.interests, of.as_str()),
            _ => None,
        };
        Self {
            description,
            interests: pass.interests,
            properties: properties.map_or(&[], |interest| &interest.properties),
            body: &pass.body,
            received_max,
            refused: vec![false; pass.element_count],
            claims: Claims::new(pass.elements),
        }
    }

    /// The properties that a page of records is asked for.
    pub(super) fn properties(&self) -> &'a [PropertyName] {
        self.properties
    }

    pub(super) fn refusals(&mut self, said: Vec<parse::Refusal>) -> Result<Vec<Refusal>, Nonsense> {
        let mut order = Order::each_once();
        said.into_iter()
            .map(|refusal| {
                let element = self.element(refusal.element, &mut order)?;
                self.refused[element] = true;
                Ok(Refusal {
                    element,
                    reason: shown(&refusal.reason),
                })
            })
            .collect()
    }

    pub(super) fn changes(&mut self, said: Vec<parse::Change>) -> Result<Vec<Change>, Nonsense> {
        let mut order = Order::several_each();
        said.into_iter()
            .map(|change| {
                let element = self.understood(change.element, &mut order)?;
                let interest =
                    interest(self.interests, &change.object_type).ok_or(Nonsense::ObjectType)?;
                let kind = self.change_kind(change.kind, element, interest)?;
                Ok(Change {
                    element,
                    object_type: interest.object_type.clone(),
                    occurred_at: self.moment(change.occurred_at)?,
                    kind,
                })
            })
            .collect()
    }

    fn change_kind(
        &mut self,
        said: parse::ChangeKind,
        element: usize,
        interest: &Interest,
    ) -> Result<ChangeKind, Nonsense> {
        Ok(match said {
            parse::ChangeKind::Created => ChangeKind::Created,
            parse::ChangeKind::Deleted => ChangeKind::Deleted,
            parse::ChangeKind::Restored => ChangeKind::Restored,
            parse::ChangeKind::Erased => ChangeKind::Erased,
            parse::ChangeKind::Merged(merge) => ChangeKind::Merged(Merge {
                survivor: self.record(merge.survivor, element)?,
                merged: self.records_named(merge.merged, element)?,
            }),
            parse::ChangeKind::PropertyChanged(text) => {
                let count = interest.properties.len();
                ChangeKind::PropertyChanged(self.property_text(text, element, count)?)
            }
            parse::ChangeKind::AssociationChanged(change) => {
                let to_type = ObjectType::from(change.to_type);
                let described = self.description.object_type(&to_type);
                ChangeKind::AssociationChanged(AssociationChange {
                    to_type: described.ok_or(Nonsense::ObjectType)?.name.clone(),
                    to_record: self.record(change.to_record, element)?,
                    removed: change.removed,
                })
            }
        })
    }

    pub(super) fn records(
        &mut self,
        said: Vec<parse::SourceRecord>,
    ) -> Result<Vec<SourceRecord>, Nonsense> {
        let mut order = Order::each_once();
        // By property, the last record that gave it.
        let mut given = vec![usize::MAX; self.properties.len()];
        said.into_iter()
            .map(|record| {
                let element = self.understood(record.element, &mut order)?;
                let properties = record.properties.into_iter().map(|text| {
                    let text = self.property_text(text, element, given.len())?;
                    let last = std::mem::replace(&mut given[text.property], element);
                    if last == element {
                        Err(Nonsense::Property)
                    } else {
                        Ok(text)
                    }
                });
                Ok(SourceRecord {
                    element,
                    properties: properties.collect::<Result<_, _>>()?,
                    created_at: record.created_at.map(|at| self.moment(at)).transpose()?,
                    modified_at: record.modified_at.map(|at| self.moment(at)).transpose()?,
                    archived: record.archived,
                    merged: self.records_named(record.merged, element)?,
                })
            })
            .collect()
    }

    pub(super) fn associations(
        &mut self,
        said: Vec<parse::AssociationSet>,
    ) -> Result<Vec<AssociationSet>, Nonsense> {
        let mut order = Order::each_once();
        said.into_iter()
            .map(|set| {
                let element = self.understood(set.element, &mut order)?;
                let associations = set.associations.into_iter().map(|association| {
                    if !is_increasing(&association.labels) {
                        return Err(Nonsense::Order);
                    }
                    Ok(Association {
                        to_record: self.record(association.to_record, element)?,
                        primary: association.primary,
                        labels: association.labels,
                    })
                });
                let associations: Vec<_> = associations.collect::<Result<_, _>>()?;
                if !associations.is_sorted_by(|a, b| a.to_record < b.to_record) {
                    return Err(Nonsense::Order);
                }
                Ok(AssociationSet {
                    element,
                    associations,
                })
            })
            .collect()
    }

    pub(super) fn keys(
        &mut self,
        said: Vec<matching::RecordKeys>,
    ) -> Result<Vec<RecordKeys>, Nonsense> {
        let mut order = Order::each_once();
        said.into_iter()
            .map(|record| {
                let element = self.understood(record.element, &mut order)?;
                let keys: Vec<_> = record.keys.into_iter().map(match_key).collect();
                let empty = keys.iter().any(|key| key.text.is_empty());
                if empty || !keys.is_sorted_by_key(|key| key.rank) {
                    return Err(Nonsense::MatchKey);
                }
                // Else a record could be matched with anybody.
                if !keys.iter().all(|key| self.claims.hold(element, &key.text)) {
                    return Err(Nonsense::ForeignKey);
                }
                Ok(RecordKeys { element, keys })
            })
            .collect()
    }

    /// For each field, where in the interests its property stands.
    pub(super) fn places(
        &self,
        fields: &[ConversionField],
    ) -> HashMap<(&'a str, usize), Vec<usize>> {
        let mut by_name: HashMap<(&str, &str), (&'a str, usize)> = HashMap::new();
        for interest in self.interests {
            let of = interest.object_type.as_str();
            for (index, property) in interest.properties.iter().enumerate() {
                by_name.insert((of, property.as_str()), (of, index));
            }
        }
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, field) in fields.iter().enumerate() {
            let name = (field.object_type.as_str(), field.property.name.as_str());
            if let Some(place) = by_name.get(&name) {
                places.entry(*place).or_default().push(index);
            }
        }
        places
    }

    /// Of a page of records, the object type.
    pub(super) fn page_type(&self) -> Option<&'a str> {
        match self.body {
            BodyKind::Records(of) => Some(of.as_str()),
            _ => None,
        }
    }

    /// An element that was handed in, and comes where it may.
    fn element(&self, said: u32, order: &mut Order) -> Result<usize, Nonsense> {
        let element = usize::try_from(said).map_err(|_| Nonsense::Element)?;
        if element >= self.refused.len() {
            return Err(Nonsense::Element);
        }
        order.next(element)
    }

    /// As [`element`](Self::element), and it was not refused.
    fn understood(&self, said: u32, order: &mut Order) -> Result<usize, Nonsense> {
        let element = self.element(said, order)?;
        if self.refused[element] {
            return Err(Nonsense::Contradiction("an element is refused and told of"));
        }
        Ok(element)
    }

    /// One of so many properties, and what the element says of it.
    fn property_text(
        &mut self,
        said: parse::PropertyText,
        element: usize,
        count: usize,
    ) -> Result<PropertyText, Nonsense> {
        let property = usize::try_from(said.property).map_err(|_| Nonsense::Property)?;
        if property >= count {
            return Err(Nonsense::Property);
        }
        if !self.claims.has_room_for(element, &said.text) {
            return Err(Nonsense::Text);
        }
        Ok(PropertyText {
            property,
            text: said.text,
        })
    }

    /// A record that the element names.
    fn record(&mut self, said: String, element: usize) -> Result<RecordId, Nonsense> {
        check_name(&said)?;
        if !self.claims.name(element, &said) {
            return Err(Nonsense::Record);
        }
        Ok(RecordId::from(said))
    }

    fn records_named(
        &mut self,
        said: Vec<String>,
        element: usize,
    ) -> Result<Vec<RecordId>, Nonsense> {
        said.into_iter()
            .map(|id| self.record(id, element))
            .collect()
    }

    /// A moment of the source's clock: one that is later than what was received
    /// can be is taken for the latest that can be.
    fn moment(&self, said: i64) -> Result<Timestamp, Nonsense> {
        Ok(calendar_moment(said)?.min(self.received_max))
    }
}

/// The order in which elements come.
struct Order {
    least: usize,
    step: usize,
}

impl Order {
    fn each_once() -> Self {
        Self { least: 0, step: 1 }
    }

    fn several_each() -> Self {
        Self { least: 0, step: 0 }
    }

    fn next(&mut self, element: usize) -> Result<usize, Nonsense> {
        if element < self.least {
            return Err(Nonsense::Order);
        }
        self.least = element + self.step;
        Ok(element)
    }
}

fn interest<'a>(interests: &'a [Interest], object_type: &str) -> Option<&'a Interest> {
    interests
        .iter()
        .find(|interest| interest.object_type.as_str() == object_type)
}

/// A moment of the calendar, years 1 to 9999.
pub(super) fn calendar_moment(said: i64) -> Result<Timestamp, Nonsense> {
    let moment = Timestamp(said);
    if (MOMENT_MIN..=MOMENT_MAX).contains(&moment) {
        Ok(moment)
    } else {
        Err(Nonsense::Moment)
    }
}

fn match_key(said: matching::MatchKey) -> MatchKey {
    MatchKey {
        kind: match said.kind {
            matching::KeyKind::Email => KeyKind::Email,
            matching::KeyKind::Id => KeyKind::Id,
            matching::KeyKind::Number => KeyKind::Number,
        },
        text: said.text,
        rank: said.rank,
    }
}

/// The properties that a rule and a selection need.
pub(super) fn needs(
    said: Result<matching::NeededProperties, matching::RuleError>,
) -> Result<Result<NeededProperties, RuleError>, Nonsense> {
    let needed = match said {
        Ok(needed) => needed,
        Err(error) => {
            return Ok(Err(match error {
                matching::RuleError::UnknownObjectType => RuleError::UnknownObjectType,
                matching::RuleError::UnsuitableProperty => RuleError::UnsuitableProperty,
                matching::RuleError::UnsupportedSelection => RuleError::UnsupportedSelection,
            }));
        }
    };
    let names = |said: Vec<String>| -> Result<Vec<PropertyName>, Nonsense> {
        said.iter().try_for_each(|name| check_name(name))?;
        Ok(said.into_iter().map(PropertyName::from).collect())
    };
    Ok(Ok(NeededProperties {
        matching: names(needed.matching)?,
        selection: names(needed.selection)?,
        bookkeeping: names(needed.bookkeeping)?,
    }))
}

/// Ids and names go into requests, keys and pages, so they are short and plain.
fn check_name(name: &str) -> Result<(), Nonsense> {
    let usable =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    if usable { Ok(()) } else { Err(Nonsense::Name) }
}

fn is_increasing(texts: &[String]) -> bool {
    texts.is_sorted_by(|a, b| a < b)
}
