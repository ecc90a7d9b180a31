//! What two versions make of records that were pushed.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Compared, outcomes, plain, short};
use crate::{
    model::{ConnectionId, ObjectType, RecordId},
    pipeline::{pages::ReadRecord, prepare::Prepared, routing::ConnectionRoute},
    store::shadows::{Difference, Found, Kind},
};

/// Which telling of a record: whose connection's, of what type, and its number, which is
/// of the element that it stands in.
type Telling<'a> = (ConnectionId, &'a ObjectType, &'a RecordId, i64);

/// What both make of the same element.
type Both<'a> = (&'a ConnectionRoute, [Option<&'a ReadRecord>; 2]);

/// Compares what two versions made of the records in the same entries.
pub fn pushed(active: &Prepared, candidate: &Prepared, compared: &mut Compared) {
    let mut both: BTreeMap<Telling<'_>, Both<'_>> = BTreeMap::new();
    for (side, prepared) in [active, candidate].into_iter().enumerate() {
        for of_type in &prepared.pushed {
            for (route, records) in &of_type.connections {
                for (moment, read) in records {
                    let telling = (
                        route.id,
                        &of_type.object_type,
                        &read.record,
                        moment.sequence,
                    );
                    let (_, tellings) = both.entry(telling).or_insert((route, [None; 2]));
                    tellings[side] = Some(read);
                }
            }
        }
    }
    compared.compared += both.len() as u64;
    for ((_, object_type, _, _), (route, tellings)) in both {
        let of = Of { route, object_type };
        match tellings {
            [Some(ours), Some(theirs)] => of.tellings(ours, theirs, compared),
            [Some(ours), None] => of.alone(ours, Kind::ChangeMissing, compared),
            [None, Some(theirs)] => of.alone(theirs, Kind::ChangeAdded, compared),
            [None, None] => {}
        }
    }
}

/// Whose records are compared.
struct Of<'a> {
    route: &'a ConnectionRoute,
    object_type: &'a ObjectType,
}

impl Of<'_> {
    fn found(&self, read: &ReadRecord, difference: Difference) -> Found {
        Found {
            connection: Some(self.route.id),
            record: Some(read.record.clone()),
            ..plain(difference)
        }
    }

    fn difference(&self, kind: Kind, name: &str) -> Difference {
        Difference {
            kind,
            object_type: Some(self.object_type.clone()),
            name: name.to_owned(),
        }
    }

    /// A record that one of them tells alone.
    fn alone(&self, read: &ReadRecord, kind: Kind, compared: &mut Compared) {
        compared.add(self.difference(kind, "record"), |difference| {
            let said = Some(json!({ "at": read.said.modified_at }));
            let (active, candidate) = match kind {
                Kind::ChangeMissing => (said, None),
                _ => (None, said),
            };
            Found {
                active,
                candidate,
                ..self.found(read, difference)
            }
        });
    }

    /// Compares two tellings of one record.
    fn tellings(&self, ours: &ReadRecord, theirs: &ReadRecord, compared: &mut Compared) {
        if ours.said.archived != theirs.said.archived {
            let kind = match ours.said.archived {
                true => Kind::ChangeMissing,
                false => Kind::ChangeAdded,
            };
            compared.add(self.difference(kind, "deleted"), |difference| {
                self.found(ours, difference)
            });
        }
        if ours.said.modified_at != theirs.said.modified_at {
            let at = |read: &ReadRecord| Some(json!({ "at": read.said.modified_at }));
            compared.add(self.difference(Kind::Moment, "record"), |difference| {
                Found {
                    active: at(ours),
                    candidate: at(theirs),
                    ..self.found(ours, difference)
                }
            });
        }
        if ours.keys != theirs.keys {
            let keys = |read: &ReadRecord| {
                let keys = read.keys.iter().flatten();
                let texts: Vec<_> = keys.map(|key| short(&key.text)).collect();
                Some(json!({ "keys": texts }))
            };
            compared.add(self.difference(Kind::MatchKeys, "record"), |difference| {
                Found {
                    active: keys(ours),
                    candidate: keys(theirs),
                    tells: true,
                    ..self.found(ours, difference)
                }
            });
        }
        for (place, text, outcome) in &ours.texts {
            let mut others = theirs.texts.iter();
            let other = others.find(|(other, ..)| other == place);
            if let Some((_, other, _)) = other
                && other != text
            {
                let name = self.route.field(*place).property.name.as_str();
                compared.add(self.difference(Kind::Text, name), |difference| Found {
                    field: Some(self.route.field(*place).id),
                    active: Some(json!({ "text": short(text) })),
                    candidate: Some(json!({ "text": short(other) })),
                    tells: true,
                    ..self.found(ours, difference)
                });
            }
            let other = other.map(|(_, _, outcome)| outcome);
            let of = (self.route, *place);
            outcomes(of, &ours.record, Some(outcome), other, compared);
        }
        for (place, _, outcome) in &theirs.texts {
            if !ours.texts.iter().any(|(other, ..)| other == place) {
                let of = (self.route, *place);
                outcomes(of, &ours.record, None, Some(outcome), compared);
            }
        }
    }
}
