//! One batch of changes, applied: registers, values, and the reads it asks for,
//! in the transaction that moves the place in the log.

use std::collections::HashMap;

use super::{
    feeding::{Feeder, Fills},
    merge::Said,
    plan::{Skip, Step, plan},
    prepare::{Purpose, Told, ToldConnection},
    report::{Origin, RecordReport},
};
use crate::{
    model::{
        Cause, ChangeKind, Existence, Merge, Missed, ObjectType, RecordId, Timestamp, Version,
    },
    plugin::Outcome,
    store::{self, Tx, records::RecordState},
};

/// Applies what a connection is told.
pub fn apply_changes(
    tx: &Tx<'_>,
    told: &ToldConnection,
    origin: &Origin,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(), store::Error> {
    let route = &*told.route;
    let mut feeder = Feeder::new(tx, route, Cause::LIVE, now);
    if purpose == Purpose::Replay {
        feeder = feeder.told_again();
    }
    feeder.report.told_by(origin.word, told.changes.len());

    // Record by record, so that each is looked up once and its pages are
    // touched together.
    let mut records: HashMap<(&ObjectType, &RecordId), Vec<&Told>> = HashMap::new();
    for change in &told.changes {
        records
            .entry((&change.object_type, &change.record))
            .or_default()
            .push(change);
    }
    let mut records: Vec<_> = records.into_iter().collect();
    records.sort_by_key(|((object_type, record), _)| {
        (*object_type, record.as_str().len(), record.as_str())
    });
    for ((object_type, record), changes) in records {
        // One by one: what happened to a record before may concern this one.
        let mut held = tx.find_record(route.id, object_type, record)?;
        if held
            .as_ref()
            .is_some_and(|held| held.existence == Existence::Erased)
        {
            feeder.report.passed_over_erased();
            continue;
        }
        let mut report = RecordReport::default();
        for change in changes {
            apply_change(&mut feeder, change, &mut held, &mut report)?;
        }
        feeder
            .report
            .record(origin, object_type, record, report, now);
    }
    tx.set_last_delivery(route.id, told.received_at)?;
    feeder.finish()?.save(tx, route.id, now)
}

fn apply_change(
    feeder: &mut Feeder<'_, '_>,
    change: &Told,
    held: &mut Option<RecordState>,
    report: &mut RecordReport,
) -> Result<(), store::Error> {
    let Told {
        object_type,
        record,
        occurred_at,
        kind,
        ..
    } = change;
    let through = feeder
        .route
        .mapping(object_type)
        .and_then(|(_, mapping)| mapping.through.as_ref());
    // Only these move the record's last-modified stamp, by which an answer is
    // known to be too old; one that does not know of a deletion is too old
    // until it is the last.
    let expected_at = match kind {
        ChangeKind::Created | ChangeKind::PropertyChanged(_) | ChangeKind::Deleted => *occurred_at,
        _ => Timestamp::default(),
    };
    let is_through = through.is_some();
    match plan(
        held.as_ref(),
        kind,
        *occurred_at,
        change.matching,
        is_through,
    ) {
        Step::Skip(skip) => report.reason(skip.as_str()),
        Step::Read => {
            report.read();
            feeder.read_record(object_type, record, expected_at)?;
        }
        Step::ReadInstead(survivor) => {
            if *kind == ChangeKind::Restored {
                find_again(feeder, object_type, &survivor)?;
            }
            read_survivor(feeder, object_type, &survivor, expected_at, report)?;
        }
        Step::Write => write(feeder, change, held, report)?,
        Step::Mark(existence) => {
            *held = Some(mark(feeder, object_type, record, existence, *occurred_at)?);
        }
        Step::Merge(Merge { survivor, merged }) => {
            for id in merged.iter().filter(|id| **id != survivor) {
                let known = feeder.tx.find_record(feeder.route.id, object_type, id)?;
                let is_wanted = match known {
                    // A read since then gave it by its own id.
                    Some(state) => {
                        state.existence != Existence::Exists || state.existence_at <= *occurred_at
                    }
                    // Of what follows others: no linked record has it.
                    None => !is_through,
                };
                if !is_wanted {
                    continue;
                }
                let existence = Existence::Merged(Some(survivor.clone()));
                let state = mark(feeder, object_type, id, existence, *occurred_at)?;
                if id == record {
                    *held = Some(state);
                }
            }
            read_survivor(feeder, object_type, &survivor, expected_at, report)?;
        }
        Step::FindAgain => {
            report.read();
            if held.as_ref().is_some_and(|held| held.reached) {
                feeder.read_record(object_type, record, expected_at)?;
            }
            find_again(feeder, object_type, record)?;
        }
        Step::ReadAssociations => {
            if let ChangeKind::AssociationChanged(association) = kind {
                report.read();
                let to = &association.to_type;
                feeder.read_told_associations(object_type, record, to, *occurred_at)?;
            }
        }
    }
    Ok(())
}

/// Reads what records became; but where it is reached through others alone, only
/// if it is.
fn read_survivor(
    feeder: &Feeder<'_, '_>,
    object_type: &ObjectType,
    survivor: &RecordId,
    expected_at: Timestamp,
    report: &mut RecordReport,
) -> Result<(), store::Error> {
    let route = feeder.route;
    let mapping = route.mapping(object_type);
    if mapping.is_some_and(|(_, mapping)| mapping.through.is_some()) {
        let held = feeder.tx.find_record(route.id, object_type, survivor)?;
        if !held.is_some_and(|held| held.reached) {
            report.reason(Skip::NotReached.as_str());
            return Ok(());
        }
    }
    report.read();
    feeder.read_record(object_type, survivor, expected_at)
}

/// Asks for whoever has a record that is reached through others, where it is.
pub fn find_again(
    feeder: &Feeder<'_, '_>,
    object_type: &ObjectType,
    record: &RecordId,
) -> Result<(), store::Error> {
    let mapping = feeder.route.mapping(object_type);
    match mapping.and_then(|(_, mapping)| mapping.through.as_ref()) {
        Some(through) => feeder.read_associations(object_type, record, through),
        None => Ok(()),
    }
}

fn write(
    feeder: &mut Feeder<'_, '_>,
    change: &Told,
    held: &mut Option<RecordState>,
    report: &mut RecordReport,
) -> Result<(), store::Error> {
    let (Some(state), ChangeKind::PropertyChanged(text)) = (held.as_mut(), &change.kind) else {
        return Ok(());
    };
    let version = Version {
        stamp: change.occurred_at,
        sequence: 0,
    };
    let texts: Vec<_> = change
        .outcomes
        .iter()
        .map(|(place, outcome)| (*place, said(&text.text, version, outcome)))
        .collect();
    let conflict = feeder.say(state, &texts, Fills::All, report)?;
    if conflict {
        report.read();
        feeder.read_record(&change.object_type, &change.record, change.occurred_at)?;
    }
    if let Some((mapping, _)) = feeder.route.mapping(&change.object_type) {
        feeder.modified(mapping, state, change.occurred_at)?;
    }
    Ok(())
}

/// What a text says, with what it becomes.
pub fn said(text: &str, version: Version, outcome: &Outcome) -> Said {
    Said {
        text: text.to_owned(),
        version,
        outcome: outcome.clone(),
    }
}

/// Keeps that a record is gone, or became another: whoever it fed is fed by the
/// next, or by nothing. What was erased or merged away stays so. Those who had
/// what became another have that, and are asked how.
pub fn mark(
    feeder: &mut Feeder<'_, '_>,
    object_type: &ObjectType,
    record: &RecordId,
    existence: Existence,
    at: Timestamp,
) -> Result<RecordState, store::Error> {
    let route = feeder.route;
    let mut state = feeder.tx.ensure_record(route.id, object_type, record)?;
    if matches!(state.existence, Existence::Erased | Existence::Merged(_)) {
        return Ok(state);
    }
    feeder.because(match existence {
        Existence::Merged(_) => Missed::Merge,
        _ => Missed::Deletion,
    });
    let users = feeder.tx.users_reached(state.key)?;
    feeder.was_lost();
    // What is reached through a record that is gone is not reached.
    for mapping in route.fed_by(object_type) {
        feeder.touch_all(mapping, &users);
    }
    if matches!(existence, Existence::Merged(_))
        && let Some((_, mapping)) = route.mapping(object_type)
        && let Some(through) = &mapping.through
    {
        for (_, other) in feeder.tx.associated_from(state.key, through)? {
            feeder.read_associations(through, &other, object_type)?;
        }
    }
    state.existence = existence;
    state.existence_at = at;
    feeder.tx.save_record(&state)?;
    Ok(state)
}
