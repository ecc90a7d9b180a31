//! Changes as the plugin read them, in a connection's own terms.

use super::Told;
use crate::{
    log::Logged,
    model::{AssociationChange, Change, ChangeKind},
    pipeline::routing::{AccountRoute, ConnectionRoute},
    plugin::{Converted, Element, Outcome},
};

/// Says the changes in a connection's terms, leaving out what it does not map.
pub(super) fn tell(
    account: &AccountRoute,
    route: &ConnectionRoute,
    elements: &[(&Logged, &Element<'_>)],
    changes: &[Change],
    converted: Vec<Converted>,
) -> Vec<Told> {
    let mut outcomes = Outcomes::new(converted);
    let mut told = Vec::new();
    for change in changes {
        // Deletions for privacy are told of the account as a whole.
        let is_told = match &change.kind {
            ChangeKind::Erased => false,
            ChangeKind::AssociationChanged(_) => true,
            _ => route.mapping(&change.object_type).is_some(),
        };
        if !is_told {
            continue;
        }
        let Some(record) = elements
            .get(change.element)
            .and_then(|(_, e)| e.records.first())
        else {
            continue;
        };
        let mut one = Told {
            object_type: change.object_type.clone(),
            record: record.clone(),
            occurred_at: change.occurred_at,
            kind: change.kind.clone(),
            matching: false,
            outcomes: Vec::new(),
        };
        match &change.kind {
            ChangeKind::AssociationChanged(_) => {
                told.extend(tell_association(route, one));
                continue;
            }
            ChangeKind::PropertyChanged(text) => {
                let Some((_, mapping)) = route.mapping(&change.object_type) else {
                    continue;
                };
                let Some(property) = account.interest(&change.object_type).get(text.property)
                else {
                    continue;
                };
                one.matching = mapping.matching_properties.contains(property);
                let of_property = (change.object_type.clone(), property.clone());
                for index in route
                    .fields_by_property
                    .get(&of_property)
                    .into_iter()
                    .flatten()
                {
                    let outcome = outcomes.next(change.element, *index);
                    one.outcomes
                        .extend(outcome.map(|outcome| (route.fields[*index], outcome)));
                }
                if !one.matching && one.outcomes.is_empty() {
                    continue;
                }
            }
            _ => {}
        }
        told.push(one);
    }
    told
}

/// What a pass converted, by element and field. An element's outcomes for a
/// field come in the order of its changes.
struct Outcomes(Vec<((usize, usize), Option<Outcome>)>);

impl Outcomes {
    fn new(converted: Vec<Converted>) -> Self {
        let mut outcomes: Vec<_> = converted
            .into_iter()
            .map(|one| ((one.element, one.field), Some(one.outcome)))
            .collect();
        outcomes.sort_by_key(|(place, _)| *place);
        Self(outcomes)
    }

    /// The next outcome of an element's field; none where there is no more.
    fn next(&mut self, element: usize, field: usize) -> Option<Outcome> {
        let place = (element, field);
        let first = self.0.partition_point(|(other, _)| *other < place);
        self.0[first..]
            .iter_mut()
            .take_while(|(other, _)| *other == place)
            .find_map(|(_, outcome)| outcome.take())
    }
}

/// An association's change, told of the side that links to users: the record
/// through which the other reaches them.
fn tell_association(route: &ConnectionRoute, told: Told) -> Option<Told> {
    let ChangeKind::AssociationChanged(change) = &told.kind else {
        return None;
    };
    if route.follows(&change.to_type, &told.object_type) {
        return Some(told);
    }
    if !route.follows(&told.object_type, &change.to_type) {
        return None;
    }
    let turned = AssociationChange {
        to_type: told.object_type.clone(),
        to_record: told.record.clone(),
        removed: change.removed,
    };
    Some(Told {
        object_type: change.to_type.clone(),
        record: change.to_record.clone(),
        kind: ChangeKind::AssociationChanged(turned),
        ..told
    })
}
