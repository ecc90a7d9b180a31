//! What two plugin versions make of the same, compared: everything that would be
//! applied, and what would be set aside. Pure, but for what it allocates where they
//! differ.

mod asides;
mod descriptions;
mod pushed;

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Value as Json, json};

use self::asides::{asides, erasures};
use crate::{
    model::{AccountKey, ChangeKind, ConnectionId, Merge, ObjectType, RecordId, TEXT_LENGTH_MAX},
    pipeline::{
        prepare::{Prepared, Told},
        routing::{AccountRoute, ConnectionRoute, FieldPlace, Routing},
    },
    plugin::{Description, Fault, Outcome},
    store::shadows::{Difference, Found, Kind},
};

pub use descriptions::compare_descriptions;

/// Examples of one kind and place of difference that are kept at once: more than are
/// kept in the end, for those of records that reach nobody are not.
const EXAMPLES_MAX: usize = 100;

/// What a version made of some entries, and how it reads bodies.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it made of them.
    pub prepared: &'a Prepared,
    /// What it says it is.
    pub description: &'a Description,
}

/// What was compared, and where it differs.
#[derive(Debug, Default)]
pub struct Compared {
    /// How many changes, erasures, outcomes and things to be set aside were.
    pub compared: u64,
    /// How often it differs, by how and where.
    pub differences: BTreeMap<Difference, u64>,
    /// Examples of that.
    pub examples: Vec<Found>,
}

impl Compared {
    /// Counts a difference; one of which there are few examples is one.
    pub fn add(&mut self, difference: Difference, found: impl FnOnce(Difference) -> Found) {
        let count = self.differences.entry(difference.clone()).or_default();
        *count += 1;
        if usize::try_from(*count).is_ok_and(|count| count <= EXAMPLES_MAX) {
            self.examples.push(found(difference));
        }
    }

    /// Counts a difference that is its own example: of nobody's property.
    pub fn add_plain(
        &mut self,
        (kind, object_type, name): (Kind, Option<&ObjectType>, &str),
        connection: Option<ConnectionId>,
        active: Option<Json>,
        candidate: Option<Json>,
    ) {
        let difference = Difference {
            kind,
            object_type: object_type.cloned(),
            name: name.to_owned(),
        };
        self.add(difference, |difference| Found {
            connection,
            active,
            candidate,
            ..plain(difference)
        });
    }
}

/// An example that says nothing yet.
fn plain(difference: Difference) -> Found {
    Found {
        difference,
        connection: None,
        field: None,
        record: None,
        position: None,
        active: None,
        candidate: None,
        tells: false,
    }
}

/// Compares what two versions made of the same entries, under the same configuration.
pub fn compare(routing: &Routing, active: Side<'_>, candidate: Side<'_>) -> Compared {
    let mut compared = Compared::default();
    let connector = active.description.connector.as_str();
    for (route, account, [ours, theirs]) in told(active.prepared, candidate.prepared).into_values()
    {
        let Some(account) = routing.account(connector, account) else {
            continue;
        };
        let of = Of { account, route };
        let pairs = pair(&ours, &theirs);
        compared.compared +=
            (pairs.same.len() + pairs.ours_alone.len() + pairs.theirs_alone.len()) as u64;
        for (ours, theirs) in pairs.same {
            of.changes(ours, theirs, &mut compared);
        }
        for told in pairs.ours_alone {
            of.alone(told, Kind::ChangeMissing, &mut compared);
        }
        for told in pairs.theirs_alone {
            of.alone(told, Kind::ChangeAdded, &mut compared);
        }
    }
    pushed::pushed(active.prepared, candidate.prepared, &mut compared);
    let of = (routing, connector);
    erasures(of, active.prepared, candidate.prepared, &mut compared);
    asides(of, active, candidate, &mut compared);
    if routing.erased.of(connector).is_some() {
        compared.examples.retain(|found| !is_erased(of, found));
    }
    compared
}

/// Compares what two versions make of a text of a record's field.
pub fn compare_outcomes(
    (route, place): (&ConnectionRoute, FieldPlace),
    record: &RecordId,
    active: &Outcome,
    candidate: &Outcome,
    compared: &mut Compared,
) {
    compared.compared += 1;
    outcomes(
        (route, place),
        record,
        Some(active),
        Some(candidate),
        compared,
    );
}

/// What a fault is shown as.
pub fn fault(fault: &Fault) -> Json {
    json!({ "fault": fault.to_string() })
}

/// What both tell each connection.
type ToldBoth<'a> =
    BTreeMap<ConnectionId, (&'a ConnectionRoute, &'a AccountKey, [Vec<&'a Told>; 2])>;

fn told<'a>(active: &'a Prepared, candidate: &'a Prepared) -> ToldBoth<'a> {
    let mut both = ToldBoth::new();
    for (side, prepared) in [active, candidate].into_iter().enumerate() {
        for told in &prepared.connections {
            let (_, _, changes) = both
                .entry(told.route.id)
                .or_insert_with(|| (&told.route, &told.account, Default::default()));
            changes[side].extend(&told.changes);
        }
    }
    both
}

/// What a change is of, and what it says, but for a property's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Change<'a> {
    object_type: &'a ObjectType,
    record: &'a RecordId,
    what: What<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What<'a> {
    Created,
    Deleted,
    Restored,
    Erased,
    Merged(&'a RecordId, &'a [RecordId]),
    Property(usize),
    Association(&'a ObjectType, &'a RecordId, bool),
}

fn change(told: &Told) -> Change<'_> {
    Change {
        object_type: &told.object_type,
        record: &told.record,
        what: match &told.kind {
            ChangeKind::Created => What::Created,
            ChangeKind::Deleted => What::Deleted,
            ChangeKind::Restored => What::Restored,
            ChangeKind::Erased => What::Erased,
            ChangeKind::Merged(Merge { survivor, merged }) => What::Merged(survivor, merged),
            ChangeKind::PropertyChanged(text) => What::Property(text.property),
            ChangeKind::AssociationChanged(to) => {
                What::Association(&to.to_type, &to.to_record, to.removed)
            }
        },
    }
}

struct Pairs<'a> {
    same: Vec<(&'a Told, &'a Told)>,
    ours_alone: Vec<&'a Told>,
    theirs_alone: Vec<&'a Told>,
}

/// Pairs what both tell of: what is told in the same place as a rule, else the same
/// of the same moment, else the same of another.
fn pair<'a>(ours: &[&'a Told], theirs: &[&'a Told]) -> Pairs<'a> {
    let key = |told: &'a Told| (change(told), told.occurred_at);
    let mut same: Vec<_> = ours.iter().copied().zip(theirs.iter().copied()).collect();
    let alike = same.iter().position(|(a, b)| key(a) != key(b));
    same.truncate(alike.unwrap_or(usize::MAX));
    let (ours, theirs) = (&ours[same.len()..], &theirs[same.len()..]);
    let (ours, theirs) = match_by(ours, theirs, key, &mut same);
    let (ours_alone, theirs_alone) = match_by(&ours, &theirs, change, &mut same);
    Pairs {
        same,
        ours_alone,
        theirs_alone,
    }
}

/// Pairs those with equal keys, in their order; returns those that are left.
fn match_by<'a, K: Eq + std::hash::Hash>(
    ours: &[&'a Told],
    theirs: &[&'a Told],
    key: impl Fn(&'a Told) -> K,
    pairs: &mut Vec<(&'a Told, &'a Told)>,
) -> (Vec<&'a Told>, Vec<&'a Told>) {
    let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
    for (index, told) in theirs.iter().enumerate() {
        waiting.entry(key(told)).or_default().push_back(index);
    }
    let mut left: Vec<Option<&Told>> = theirs.iter().copied().map(Some).collect();
    let mut alone = Vec::new();
    for told in ours {
        let found = waiting.get_mut(&key(told)).and_then(VecDeque::pop_front);
        match found.and_then(|index| left[index].take()) {
            Some(other) => pairs.push((told, other)),
            None => alone.push(*told),
        }
    }
    (alone, left.into_iter().flatten().collect())
}

/// Whose changes are compared.
struct Of<'a> {
    account: &'a AccountRoute,
    route: &'a ConnectionRoute,
}

impl Of<'_> {
    /// The property, or what happened.
    fn name(&self, told: &Told) -> String {
        match &told.kind {
            ChangeKind::Created => "created".into(),
            ChangeKind::Deleted => "deleted".into(),
            ChangeKind::Restored => "restored".into(),
            ChangeKind::Erased => "erased".into(),
            ChangeKind::Merged(_) => "merged".into(),
            ChangeKind::AssociationChanged(_) => "association".into(),
            ChangeKind::PropertyChanged(text) => {
                let properties = self.account.interest(&told.object_type);
                let property = properties.get(text.property);
                property.map_or_else(String::new, |name| name.as_str().to_owned())
            }
        }
    }

    fn difference(&self, told: &Told, kind: Kind) -> Difference {
        Difference {
            kind,
            object_type: Some(told.object_type.clone()),
            name: self.name(told),
        }
    }

    fn found(&self, told: &Told, difference: Difference) -> Found {
        let first = told.outcomes.first();
        Found {
            connection: Some(self.route.id),
            field: first.map(|(place, _)| self.route.field(*place).id),
            record: Some(told.record.clone()),
            ..plain(difference)
        }
    }

    /// Compares two tellings of one change.
    fn changes(&self, ours: &Told, theirs: &Told, compared: &mut Compared) {
        if ours.occurred_at != theirs.occurred_at {
            let at = |told: &Told| Some(json!({ "at": told.occurred_at }));
            compared.add(self.difference(ours, Kind::Moment), |difference| Found {
                active: at(ours),
                candidate: at(theirs),
                ..self.found(ours, difference)
            });
        }
        if let (ChangeKind::PropertyChanged(a), ChangeKind::PropertyChanged(b)) =
            (&ours.kind, &theirs.kind)
            && a.text != b.text
        {
            compared.add(self.difference(ours, Kind::Text), |difference| Found {
                active: Some(json!({ "text": short(&a.text) })),
                candidate: Some(json!({ "text": short(&b.text) })),
                tells: true,
                ..self.found(ours, difference)
            });
        }
        for (place, outcome) in &ours.outcomes {
            let other = outcome_of(theirs, *place);
            let of = (self.route, *place);
            outcomes(of, &ours.record, Some(outcome), other, compared);
        }
        for (place, outcome) in &theirs.outcomes {
            if outcome_of(ours, *place).is_none() {
                let of = (self.route, *place);
                outcomes(of, &ours.record, None, Some(outcome), compared);
            }
        }
    }

    /// What one of them tells alone.
    fn alone(&self, told: &Told, kind: Kind, compared: &mut Compared) {
        compared.add(self.difference(told, kind), |difference| {
            let said = told.outcomes.first().map(|(_, outcome)| seen(outcome));
            let tells = said.is_some();
            let said = said.or_else(|| Some(json!({ "at": told.occurred_at })));
            let (active, candidate) = match kind {
                Kind::ChangeMissing => (said, None),
                _ => (None, said),
            };
            Found {
                active,
                candidate,
                tells,
                ..self.found(told, difference)
            }
        });
    }
}

fn outcome_of(told: &Told, place: FieldPlace) -> Option<&Outcome> {
    let mut outcomes = told.outcomes.iter();
    outcomes.find_map(|(other, outcome)| (*other == place).then_some(outcome))
}

/// Compares what both make of a field's text; none is where one makes nothing of it.
fn outcomes(
    (route, place): (&ConnectionRoute, FieldPlace),
    record: &RecordId,
    active: Option<&Outcome>,
    candidate: Option<&Outcome>,
    compared: &mut Compared,
) {
    let kind = match (active, candidate) {
        (Some(Ok(ours)), Some(Ok(theirs))) if ours == theirs => return,
        (Some(Ok(_)), Some(Ok(_))) => Kind::Value,
        (Some(Err(ours)), Some(Err(theirs))) if ours == theirs => return,
        (Some(Err(_)), Some(Err(_))) => Kind::Reason,
        (Some(Ok(_)), _) => Kind::ValueLost,
        (_, Some(Ok(_))) => Kind::ValueGained,
        (None, None) => return,
        (None, _) | (_, None) => Kind::Reason,
    };
    let field = route.field(place);
    let difference = Difference {
        kind,
        object_type: Some(route.mappings[place.mapping].object_type.clone()),
        name: field.property.name.as_str().to_owned(),
    };
    compared.add(difference, |difference| Found {
        connection: Some(route.id),
        field: Some(field.id),
        record: Some(record.clone()),
        active: active.map(seen),
        candidate: candidate.map(seen),
        tells: true,
        ..plain(difference)
    });
}

/// What is shown of a text of any length.
fn short(text: &str) -> String {
    text.chars().take(TEXT_LENGTH_MAX).collect()
}

/// What is made of a text, as it is shown.
fn seen(outcome: &Outcome) -> Json {
    match outcome {
        Ok(value) => json!({ "value": value.as_ref().map(crate::model::Value::to_json) }),
        Err(unreadable) => json!({ "unreadable": unreadable.as_str() }),
    }
}

/// Whether the record was erased lately, of whatever type it is said to be.
fn is_erased((routing, connector): (&Routing, &str), found: &Found) -> bool {
    let (Some(connection), Some(record)) = (found.connection, &found.record) else {
        return false;
    };
    let is_of = |account: &&std::sync::Arc<AccountRoute>| {
        let mut connections = account.connections.iter();
        connections.any(|route| route.id == connection)
    };
    let account = routing.accounts_of(connector).find(is_of);
    let of_accounts = routing.erased.of(connector);
    let erased = account.and_then(|account| of_accounts?.of(&account.key));
    erased.is_some_and(|erased| erased.contains(record))
}

#[cfg(test)]
mod tests;
