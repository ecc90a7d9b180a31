//! What two versions would erase or set aside, compared.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Compared, Side, plain};
use crate::{
    log::Position,
    model::{AccountKey, ConnectionId, ObjectType, RecordId},
    pipeline::{prepare::Prepared, routing::Routing},
    plugin::{Description, split},
    store::{
        set_aside::SetAside,
        shadows::{Difference, Found, Kind},
    },
};

/// A record that is to be erased, and the one with which it is.
type ErasedAs<'a> = (
    &'a AccountKey,
    &'a ObjectType,
    &'a RecordId,
    Option<&'a RecordId>,
);

/// Under which configuration, and whose accounts, something is compared.
type Within<'a> = (&'a Routing, &'a str);

pub(super) fn erasures(
    within: Within<'_>,
    active: &Prepared,
    candidate: &Prepared,
    compared: &mut Compared,
) {
    let mut told: BTreeMap<ErasedAs<'_>, [u64; 2]> = BTreeMap::new();
    for (side, prepared) in [active, candidate].into_iter().enumerate() {
        for of_account in &prepared.erasures {
            for erasure in &of_account.erasures {
                for record in &erasure.records {
                    let with = erasure.with.as_ref();
                    let erased = (&of_account.key, &erasure.object_type, record, with);
                    told.entry(erased).or_default()[side] += 1;
                }
            }
        }
    }
    for ((account, object_type, record, with), counts) in told {
        compared.compared += 1;
        let kind = match counts {
            [_, 0] => Kind::ErasureMissing,
            [0, _] => Kind::ErasureAdded,
            _ => continue,
        };
        let difference = Difference {
            kind,
            object_type: Some(object_type.clone()),
            name: with.map_or("erased", |_| "merged").to_owned(),
        };
        compared.add(difference, |difference| Found {
            connection: first_connection(within, account),
            record: Some(record.clone()),
            ..plain(difference)
        });
    }
}

/// What would be set aside, and whether the plugin refused it.
fn set_aside(prepared: &Prepared) -> impl Iterator<Item = (&SetAside, bool)> {
    let mut refused = prepared.refused.iter().peekable();
    let all = prepared.set_aside.iter().enumerate();
    all.map(move |(index, what)| (what, refused.next_if(|next| **next == index).is_some()))
}

/// Compares what would be set aside. Where both fail on a body, or refuse an event,
/// they do the same, whatever they say of it.
pub(super) fn asides(
    within: Within<'_>,
    active: Side<'_>,
    candidate: Side<'_>,
    compared: &mut Compared,
) {
    type Place<'a> = (Position, Option<&'a AccountKey>, Option<&'a [u8]>);
    let mut told: BTreeMap<Place<'_>, [Vec<&SetAside>; 2]> = BTreeMap::new();
    for (side, prepared) in [active.prepared, candidate.prepared]
        .into_iter()
        .enumerate()
    {
        for (what, refused) in set_aside(prepared) {
            let element = refused.then_some(what.body.as_slice());
            let place = (what.position, what.account.as_ref(), element);
            told.entry(place).or_default()[side].push(what);
        }
    }
    for ((_, _, element), [ours, theirs]) in told {
        compared.compared += ours.len().max(theirs.len()) as u64;
        let more = ours.len().abs_diff(theirs.len());
        let (side, kind, alone) = match (ours.len() > theirs.len(), element) {
            (true, Some(_)) => (active, Kind::RefusalMissing, ours),
            (true, None) => (active, Kind::FaultMissing, ours),
            (false, Some(_)) => (candidate, Kind::RefusalAdded, theirs),
            (false, None) => (candidate, Kind::FaultAdded, theirs),
        };
        for what in alone.into_iter().take(more) {
            aside(within, (side, kind), what, compared);
        }
    }
}

/// What one of them alone would set aside.
fn aside(
    within: Within<'_>,
    (side, kind): (Side<'_>, Kind),
    what: &SetAside,
    compared: &mut Compared,
) {
    let difference = Difference {
        kind,
        object_type: None,
        name: what.kind.as_str().to_owned(),
    };
    compared.add(difference, |difference| {
        let account = what.account.as_ref();
        let connection = account.and_then(|account| first_connection(within, account));
        let refused = matches!(kind, Kind::RefusalMissing | Kind::RefusalAdded);
        // Words of the plugin's go with the record or connection that they are of.
        let said = match (account, connection) {
            (Some(_), None) => None,
            _ => Some(json!({ "reason": what.reason })),
        };
        let (active, candidate) = match kind {
            Kind::RefusalMissing | Kind::FaultMissing => (said, None),
            _ => (None, said),
        };
        Found {
            connection,
            record: refused.then(|| record(what, side.description)).flatten(),
            position: Some(what.position),
            active,
            candidate,
            ..plain(difference)
        }
    });
}

/// The record of an element that was refused.
fn record(what: &SetAside, description: &Description) -> Option<RecordId> {
    let at = description.body(what.kind)?.of_array();
    let elements = split(&what.body, &at).ok()?;
    elements.first()?.records.first().cloned()
}

fn first_connection(
    (routing, connector): Within<'_>,
    account: &AccountKey,
) -> Option<ConnectionId> {
    let connections = &routing.account(connector, account)?.connections;
    connections.first().map(|connection| connection.id)
}
