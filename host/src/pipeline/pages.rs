//! Pages of records that a read answered, applied: match keys and links,
//! registers and values, and what was not there.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    apply::{find_again, mark, said},
    feeding::Feeder,
    report::{Origin, RecordReport},
    routing::{AccountRoute, ConnectionRoute, FieldPlace},
};
use crate::{
    model::{
        Existence, MatchKey, Missed, ObjectType, RecordId, SourceRecord, Timestamp, UserId,
        Version, normalise,
    },
    plugin::{
        BodyKind, Fault, Outcome, Pass, Version as Plugin,
        elements::{Element, SplitError, join, split},
    },
    secrets::Keys,
    store::{self, Tx, records::RecordState},
};

/// Why a record stays matched as it is.
const KEYS_NOT_TOLD: &str = "match_not_told";

/// Why an answer could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host could not find its elements.
    #[error("the answer could not be read: {0}")]
    Split(#[from] SplitError),
    /// The plugin failed on it.
    #[error(transparent)]
    Plugin(#[from] Fault),
}

/// A record that was read, in a connection's terms.
#[derive(Clone, Debug)]
pub struct ReadRecord {
    /// The record.
    pub record: RecordId,
    /// What the answer says of it.
    pub said: SourceRecord,
    /// Its properties, field by field.
    pub texts: Vec<(FieldPlace, String, Outcome)>,
    /// Its match keys; none where it is not matched itself, or the answer does
    /// not tell them.
    pub keys: Option<Vec<MatchKey>>,
}

/// A page of records, for each of an account's connections.
#[derive(Debug)]
pub struct RecordsPage {
    /// The records' type.
    pub object_type: ObjectType,
    /// What each connection is told.
    pub connections: Vec<(Arc<ConnectionRoute>, Vec<ReadRecord>)>,
    /// The ids that were answered, and those that were merged into them.
    pub answered: HashMap<RecordId, Option<Timestamp>>,
    /// The ids of which the answer says something that the plugin could not
    /// understand.
    pub not_understood: HashSet<RecordId>,
}

/// When a read happened.
#[derive(Clone, Copy, Debug)]
pub struct ReadMoment {
    /// The number that it took when it began.
    pub sequence: i64,
    /// The source's own time of its answer.
    pub answered_at: Timestamp,
}

/// Reads a page of records.
pub fn prepare_records(
    account: &AccountRoute,
    plugin: &Plugin,
    object_type: &ObjectType,
    body: &[u8],
    received_at: Timestamp,
) -> Result<RecordsPage, Error> {
    let elements = split(body, &plugin.description().records_page)?;
    // A rule a connection that matches this type itself.
    let ruled: Vec<usize> = (0..account.connections.len())
        .filter(|index| rule(&account.connections[*index], object_type).is_some())
        .collect();
    let rules: Vec<_> = ruled
        .iter()
        .filter_map(|index| rule(&account.connections[*index], object_type))
        .map(|rule| (object_type.clone(), rule.clone()))
        .collect();
    let output = plugin.run(&Pass {
        body: BodyKind::Records(object_type.clone()),
        elements: &join(elements.iter().map(|element| element.bytes)),
        element_count: elements.len(),
        received_at,
        interests: &account.interests,
        conversions: &account.conversions,
        rules: &rules,
    })?;
    let not_understood = not_understood(&elements, output.records.iter().map(|said| said.element));
    let interest = account.interest(object_type);
    let mut answered = HashMap::new();
    for said in &output.records {
        if let Some(id) = elements.get(said.element).and_then(|e| e.records.first()) {
            answered.insert(id.clone(), said.modified_at);
            for merged in &said.merged {
                answered.entry(merged.clone()).or_insert(said.modified_at);
            }
        }
    }
    let mut connections = Vec::new();
    for (index, (route, converted)) in account.connections.iter().zip(output.converted).enumerate()
    {
        if route.mapping(object_type).is_none() {
            continue;
        }
        let mut outcomes: HashMap<(usize, usize), Outcome> = HashMap::new();
        for one in converted {
            outcomes.insert((one.element, one.field), one.outcome);
        }
        let mut keys: Option<HashMap<usize, Vec<MatchKey>>> = ruled
            .iter()
            .position(|ruled| *ruled == index)
            .and_then(|rule| output.keys.get(rule))
            .map(|keys| {
                keys.iter()
                    .map(|keys| (keys.element, keys.keys.clone()))
                    .collect()
            });
        let mut records = Vec::new();
        for said in &output.records {
            let Some(record) = elements.get(said.element).and_then(|e| e.records.first()) else {
                continue;
            };
            let mut texts = Vec::new();
            for property in &said.properties {
                let Some(name) = interest.get(property.property) else {
                    continue;
                };
                let of_property = (object_type.clone(), name.clone());
                for field in route
                    .fields_by_property
                    .get(&of_property)
                    .into_iter()
                    .flatten()
                {
                    if let Some(outcome) = outcomes.remove(&(said.element, *field)) {
                        texts.push((route.fields[*field], property.text.clone(), outcome));
                    }
                }
            }
            records.push(ReadRecord {
                record: record.clone(),
                said: said.clone(),
                texts,
                keys: keys.as_mut().and_then(|keys| keys.remove(&said.element)),
            });
        }
        connections.push((route.clone(), records));
    }
    Ok(RecordsPage {
        object_type: object_type.clone(),
        connections,
        answered,
        not_understood,
    })
}

fn rule<'a>(
    route: &'a ConnectionRoute,
    object_type: &ObjectType,
) -> Option<&'a crate::model::MatchingRule> {
    route
        .mapping(object_type)
        .and_then(|(_, mapping)| mapping.matching.as_ref())
}

/// The records of the elements that were not told of: refused, or passed over.
pub(super) fn not_understood(
    elements: &[Element<'_>],
    told: impl Iterator<Item = usize>,
) -> HashSet<RecordId> {
    let told: HashSet<usize> = told.collect();
    let untold = elements
        .iter()
        .enumerate()
        .filter(|(index, _)| !told.contains(index));
    untold
        .filter_map(|(_, element)| element.records.first().cloned())
        .collect()
}

/// How a record was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The moment that the answer has to know of by now: it is the last one that
    /// is asked for.
    pub settled: Option<Timestamp>,
    /// Whether nothing was known to have changed. Fields that nothing was said
    /// of stay empty then, unless the record did change, or feeds for the first
    /// time.
    pub refresh: bool,
}

/// Applies a record that was read to one connection.
pub fn apply_record(
    feeder: &mut Feeder<'_, '_>,
    keys: &Keys,
    object_type: &ObjectType,
    read: &ReadRecord,
    moment: ReadMoment,
    asked: Asked,
    origin: &Origin,
) -> Result<(), store::Error> {
    let route = feeder.route;
    let Some((mapping, mapped)) = route.mapping(object_type) else {
        return Ok(());
    };
    let mut told = RecordReport::default();
    let mut is_merge = false;
    for merged in read.said.merged.iter().filter(|id| **id != read.record) {
        is_merge |= mark_merged(feeder, object_type, merged, &read.record, moment)?;
    }
    let known = feeder.tx.find_record(route.id, object_type, &read.record)?;
    if known.is_none() && mapped.through.is_some() {
        // Asked for by another connection of the account.
        return Ok(());
    }
    let mut state = match known {
        Some(state) => state,
        None => feeder
            .tx
            .ensure_record(route.id, object_type, &read.record)?,
    };
    if matches!(state.existence, Existence::Erased) {
        return Ok(());
    }
    let modified_at = read.said.modified_at.unwrap_or(moment.answered_at);
    let version = Version {
        stamp: asked
            .settled
            .map_or(modified_at, |settled| settled.max(modified_at)),
        sequence: moment.sequence,
    };
    let newest = version >= state.read;
    let has_changed = modified_at > state.read.stamp;
    let was_merged = matches!(state.existence, Existence::Merged(_));
    let was_gone = was_merged || state.existence == Existence::Deleted;
    exist(&mut state, &read.said, moment);
    let is_restored = was_gone && state.existence == Existence::Exists;
    let mut missed = match () {
        () if is_merge || is_restored && was_merged => Missed::Merge,
        () if is_restored => Missed::Deletion,
        // Looked up where it counts.
        () if state.filled && feeder.is_catching_up() => changed(feeder, &state, modified_at)?,
        () if mapped.through.is_some() => Missed::Association,
        () => Missed::Match,
    };
    feeder.because(missed);
    if newest {
        state.read = version;
        state.created_at = read.said.created_at.or(state.created_at);
        state.modified_at = state.modified_at.max(read.said.modified_at);
        if mapped.matching.is_some() && read.keys.is_none() {
            told.reason(KEYS_NOT_TOLD);
        }
        if let (Some(found), Some(rule)) = (&read.keys, &mapped.matching) {
            let users = link(feeder, keys, &state, found, rule.identifier)?;
            if !users.is_empty() {
                missed = missed.max(Missed::Match);
                feeder.because(missed);
            }
            let linked_before = state.reached;
            feeder.links_changed(object_type, &state, &read.record, &users)?;
            state.reached = !feeder.tx.links_of_record(state.key)?.is_empty();
            if linked_before && !state.reached {
                state.filled = false;
            }
        }
    }
    if state.reached {
        told.matched();
        let texts: Vec<_> = read
            .texts
            .iter()
            .map(|(place, text, outcome)| (*place, said(text, version, outcome)))
            .collect();
        let fills = !asked.refresh || has_changed || !state.filled;
        feeder.say(&state, &texts, fills, &mut told)?;
        state.filled = true;
        feeder.was_read(state.key);
    } else {
        told.reason(super::plan::Skip::NoMatch.as_str());
    }
    feeder.tx.save_record(&state)?;
    if is_restored {
        find_again(feeder, object_type, &read.record)?;
    }
    if is_restored && state.reached {
        // While it was deleted it read as if it were associated with nothing.
        for (_, through) in route.mappings_through(object_type) {
            feeder.read_associations(object_type, &read.record, &through.object_type)?;
        }
    }
    // Its existence, stamps or first reading may change whom it feeds, and
    // what is reached through it.
    for (index, other) in route.mappings.iter().enumerate() {
        if index == mapping || other.through.as_ref() == Some(object_type) {
            feeder.touch_reached(index, state.key)?;
        }
    }
    feeder
        .report
        .record(origin, object_type, &read.record, told, feeder.now);
    Ok(())
}

/// What changed of a record that feeds already.
fn changed(
    feeder: &Feeder<'_, '_>,
    state: &RecordState,
    modified_at: Timestamp,
) -> Result<Missed, store::Error> {
    // What events told of moved no stamp of the record's own.
    let heard_of = feeder.tx.newest_stamp(state.key)?.unwrap_or_default();
    Ok(match modified_at > state.read.stamp.max(heard_of) {
        true => Missed::Property,
        false => Missed::Calculated,
    })
}

/// Keeps that a record became another. Returns whether that is news.
fn mark_merged(
    feeder: &mut Feeder<'_, '_>,
    object_type: &ObjectType,
    merged: &RecordId,
    survivor: &RecordId,
    moment: ReadMoment,
) -> Result<bool, store::Error> {
    let held = feeder
        .tx
        .find_record(feeder.route.id, object_type, merged)?;
    let is_gone =
        |held: &RecordState| matches!(held.existence, Existence::Erased | Existence::Merged(_));
    if held.is_none_or(|held| is_gone(&held)) {
        return Ok(false);
    }
    let existence = Existence::Merged(Some(survivor.clone()));
    mark(feeder, object_type, merged, existence, moment.answered_at)?;
    Ok(true)
}

fn exist(state: &mut RecordState, said: &SourceRecord, moment: ReadMoment) {
    // An answer's own moment is whole seconds: what was modified since the last
    // one was there as well.
    let modified_at = said.modified_at.unwrap_or_default();
    let is_older = match state.existence {
        // HubSpot never gives what was merged away by its own id: whoever said
        // so was wrong, unless this was read before.
        Existence::Merged(_) => {
            moment.answered_at <= state.existence_at && modified_at < state.existence_at
        }
        _ => moment.answered_at.max(modified_at) < state.existence_at,
    };
    if is_older {
        return;
    }
    state.existence = if said.archived {
        Existence::Deleted
    } else {
        Existence::Exists
    };
    state.existence_at = moment.answered_at.max(modified_at);
}

/// Links a record to the users that its keys match, and ends other links.
/// Returns the users whose link changed.
fn link(
    feeder: &Feeder<'_, '_>,
    keys: &Keys,
    state: &RecordState,
    found: &[MatchKey],
    identifier: crate::model::UserIdentifier,
) -> Result<Vec<UserId>, store::Error> {
    let route = feeder.route;
    let context = route.id.to_string();
    let mut digests = Vec::new();
    let mut wanted: HashMap<UserId, i64> = HashMap::new();
    for key in found {
        let Some(text) = normalise(key.kind, &key.text) else {
            continue;
        };
        let rank = i64::from(key.rank);
        digests.push((keys.digest_match_key(&context, key.kind, &text), rank));
        for user in feeder
            .tx
            .users_by_key(route.project, identifier, key.kind, &text)?
        {
            let best = wanted.entry(user).or_insert(rank);
            *best = rank.min(*best);
        }
    }
    feeder.tx.set_match_keys(route.id, state.key, &digests)?;
    relink(feeder.tx, state, &wanted)
}

/// Makes a record's links these, and says whose changed.
pub fn relink(
    tx: &Tx<'_>,
    state: &RecordState,
    wanted: &HashMap<UserId, i64>,
) -> Result<Vec<UserId>, store::Error> {
    let held: HashMap<UserId, i64> = tx.links_of_record(state.key)?.into_iter().collect();
    let mut changed = Vec::new();
    for user in held.keys().filter(|user| !wanted.contains_key(user)) {
        tx.unlink(state.key, *user)?;
        changed.push(*user);
    }
    for (user, rank) in wanted
        .iter()
        .filter(|(user, rank)| held.get(user) != Some(rank))
    {
        tx.link(state.key, *user, *rank)?;
        changed.push(*user);
    }
    changed.sort();
    Ok(changed)
}

/// Applies that a record is not there any more.
pub fn apply_absence(
    feeder: &mut Feeder<'_, '_>,
    object_type: &ObjectType,
    record: &RecordId,
    moment: ReadMoment,
) -> Result<(), store::Error> {
    let known = feeder
        .tx
        .find_record(feeder.route.id, object_type, record)?;
    if let Some(state) = known
        && matches!(state.existence, Existence::Unknown | Existence::Exists)
        && state.existence_at <= moment.answered_at
    {
        mark(
            feeder,
            object_type,
            record,
            Existence::Deleted,
            moment.answered_at,
        )?;
    }
    Ok(())
}
