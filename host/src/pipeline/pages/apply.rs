//! Records that were read, applied: existence, links, registers and values.

use std::collections::HashMap;

use super::{Asked, ReadMoment, ReadRecord};
use crate::{
    model::{
        Existence, MatchKey, Missed, ObjectType, RecordId, SourceRecord, Timestamp, UserId,
        Version, normalise,
    },
    pipeline::{
        apply::{find_again, mark, said},
        feeding::{Feeder, Fills},
        plan::Skip,
        report::{Origin, RecordReport},
    },
    secrets::Keys,
    store::{self, Tx, records::RecordState},
};

/// Why a record stays matched as it is.
const KEYS_NOT_TOLD: &str = "match_not_told";

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
    let Some((_, mapped)) = route.mapping(object_type) else {
        return Ok(());
    };
    if route.is_read {
        feeder.report.was_read();
    }
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
    // What was pushed later said all that this says, while nobody kept it, or by a
    // mapping that was another: it is as of then, and no read can tell what is so now.
    let is_late = !route.is_read && !newest;
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
        let fills = match !asked.refresh || has_changed || !state.filled {
            true if is_late => Fills::Mapped,
            true => Fills::All,
            false => Fills::None,
        };
        if is_late && !state.filled {
            told.reason(Skip::Older.as_str());
        } else {
            feeder.say(&state, &texts, fills, &mut told)?;
            state.filled = true;
            feeder.was_read(state.key);
        }
    } else {
        let skip = match mapped.through {
            Some(_) => Skip::NotReached,
            None => Skip::NoMatch,
        };
        told.reason(skip.as_str());
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
    for fed in route.fed_by(object_type) {
        feeder.touch_reached(fed, state.key)?;
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
