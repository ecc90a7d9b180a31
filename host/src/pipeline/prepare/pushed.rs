//! Records that a source pushed that answers no reads: its deliveries hold them
//! whole, so a pass for each object type tells them as it would a page's.

use std::sync::Arc;

use crate::{
    log::{Logged, Position},
    model::{ObjectType, Timestamp},
    pipeline::{
        pages::{ReadMoment, ReadRecord, tell_records},
        routing::{AccountRoute, ConnectionRoute},
    },
    plugin::{Element, Fault, Refusal, elements::ELEMENTS_MAX},
};

use super::Run;

/// A record's number begins with its entry's position, and ends with its index in
/// the body: so many bits hold that.
const INDEX_BITS: u32 = 17;

const _: () = assert!(ELEMENTS_MAX <= 1 << INDEX_BITS);

/// Records of one type that were pushed, in the order in which they came.
#[derive(Debug)]
pub struct Pushed {
    /// Their type.
    pub object_type: ObjectType,
    /// What each connection is told.
    pub connections: Vec<(Arc<ConnectionRoute>, Vec<PushedRecord>)>,
}

/// When a record was as it was pushed, and how it was.
pub type PushedRecord = (ReadMoment, ReadRecord);

/// What passes tell of the records that were pushed.
#[derive(Default)]
pub(super) struct ToldPushed {
    /// The records, type by type.
    pub pushed: Vec<Pushed>,
    /// The elements that a pass refused.
    pub refusals: Vec<Refusal>,
    /// By element, whether a pass told a record of it.
    pub is_told: Vec<bool>,
}

/// Has a pass tell the records of each type that somebody maps.
pub(super) fn tell_pushed(
    route: &AccountRoute,
    elements: &[(&Logged, &Element<'_>)],
    bytes: &[u8],
    received_at: Timestamp,
    pass: Run<'_>,
) -> Result<ToldPushed, Fault> {
    let mut all = ToldPushed {
        is_told: vec![false; elements.len()],
        ..ToldPushed::default()
    };
    let handed: Vec<&Element<'_>> = elements.iter().map(|(_, element)| *element).collect();
    for interest in &route.interests {
        let object_type = &interest.object_type;
        let told = tell_records(route, object_type, (&handed, bytes), received_at, pass)?;
        all.refusals.extend(told.refusals);
        for said in &told.records {
            all.is_told[said.element] = true;
        }
        let connections = told.connections.into_iter().map(|(connection, records)| {
            let records = records.into_iter().filter_map(|read| {
                let (entry, element) = elements.get(read.said.element)?;
                Some((moment(entry, element.index, &read), read))
            });
            (connection, records.collect())
        });
        all.pushed.push(Pushed {
            object_type: object_type.clone(),
            connections: connections.collect(),
        });
    }
    Ok(all)
}

/// When a record was as it was pushed: as of its own last change, so that the order
/// of arrival decides nothing. Of those with one moment the later element counts, and
/// of deliveries the later one.
fn moment(entry: &Logged, index: usize, read: &ReadRecord) -> ReadMoment {
    let Position(position) = entry.position;
    let index = i64::try_from(index).unwrap_or_default();
    ReadMoment {
        sequence: (position << INDEX_BITS) | index,
        answered_at: read.said.modified_at.unwrap_or(entry.received_at),
    }
}
