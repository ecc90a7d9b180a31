//! Records that were deleted for privacy, erased from everything that the store
//! keeps of them, in all connections of their account, in the transaction that
//! hears of it: users' values, registers, match keys, links, associations,
//! activity and reads. An id stays, so that what comes late brings nothing back.
//!
//! What log and set-aside hold of them is rewritten behind (`sync::erasures`).

use std::collections::BTreeSet;

use super::{feeding::Feeder, report::Origin, routing::ConnectionRoute};
use crate::{
    log::{EntryKind, Position},
    model::{
        AccountId, AccountKey, Cause, ConnectionId, Existence, ObjectType, RecordId, Timestamp,
        Version,
    },
    store::{
        self, Tx,
        records::{RecordKey, RecordState},
    },
};

/// What a batch tells of records to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The records' type.
    pub object_type: ObjectType,
    /// The records.
    pub records: Vec<RecordId>,
    /// The record that they became part of: then they are erased only if that
    /// was.
    pub with: Option<RecordId>,
    /// When it happened.
    pub occurred_at: Timestamp,
}

/// What a batch tells of one account's records to be erased.
#[derive(Clone, Debug)]
pub struct AccountErasures {
    /// Our number for the account.
    pub account: AccountId,
    /// The connector to its source, by name.
    pub connector: String,
    /// The source's id of it.
    pub key: AccountKey,
    /// The plugin version that tells of them, by digest.
    pub plugin: String,
    /// Whether it serves single connections, beside the active one. Then its word
    /// counts for these: what is erased cannot be had back.
    pub is_tried: bool,
    /// What they came in.
    pub kind: EntryKind,
    /// The erasures.
    pub erasures: Vec<Erasure>,
}

/// Erases records of an account. `last`: the log up to there is to be searched
/// for what it holds of them.
pub fn apply_erasures(
    tx: &Tx<'_>,
    told: &AccountErasures,
    last: Position,
    origin: &Origin,
    now: Timestamp,
) -> Result<(), store::Error> {
    let mut erased = BTreeSet::new();
    // Paused ones, too.
    for connection in tx.account_connections(told.account)? {
        let id = connection.id;
        if told.is_tried && connection.trial.as_deref() != Some(&told.plugin) {
            continue;
        }
        let mut waiting: Vec<&Erasure> = told.erasures.iter().collect();
        let mut due = take_due(tx, id, &mut waiting)?;
        if due.is_empty() {
            continue;
        }
        let route = ConnectionRoute::of_account(tx, &connection, told.account)?;
        let mut feeder = Feeder::new(tx, &route, Cause::LIVE, now).unbraked();
        // Round after round: what became part of a record that is erased now may
        // be what another became part of.
        while !due.is_empty() {
            for erasure in due {
                for record in &erasure.records {
                    erase(&mut feeder, erasure, record, origin, &mut erased)?;
                }
            }
            due = take_due(tx, id, &mut waiting)?;
        }
        feeder.finish()?.save(tx, id, now)?;
    }
    if told.is_tried {
        return Ok(());
    }
    for record in &erased {
        tx.add_erasure((&told.connector, &told.key), record, last, now)?;
    }
    if !erased.is_empty() {
        tracing::info!(
            account = %told.key,
            records = erased.len(),
            "records were deleted for privacy: nothing is kept of them but their ids, and what the \
             log holds of them is rewritten"
        );
    }
    Ok(())
}

/// Takes those that are to be done now: what was deleted itself, and what became
/// part of a record that is erased.
fn take_due<'a>(
    tx: &Tx<'_>,
    connection: ConnectionId,
    waiting: &mut Vec<&'a Erasure>,
) -> Result<Vec<&'a Erasure>, store::Error> {
    let (mut due, mut left) = (Vec::new(), Vec::new());
    for erasure in waiting.drain(..) {
        let is_due = match &erasure.with {
            None => true,
            Some(survivor) => {
                let held = tx.find_record(connection, &erasure.object_type, survivor)?;
                held.is_some_and(|held| held.existence == Existence::Erased)
            }
        };
        match is_due {
            true => due.push(erasure),
            false => left.push(erasure),
        }
    }
    *waiting = left;
    Ok(due)
}

/// Erases a record and all that became part of it.
fn erase(
    feeder: &mut Feeder<'_, '_>,
    erasure: &Erasure,
    record: &RecordId,
    origin: &Origin,
    erased: &mut BTreeSet<RecordId>,
) -> Result<(), store::Error> {
    let (route, object_type) = (feeder.route, &erasure.object_type);
    let mut records = vec![record.clone()];
    while let Some(one) = records.pop() {
        let known = feeder.tx.find_record(route.id, object_type, &one)?;
        let was_known = known.is_some();
        let state = match known {
            Some(state) => state,
            None => feeder.tx.ensure_record(route.id, object_type, &one)?,
        };
        if state.existence == Existence::Erased {
            continue;
        }
        records.extend(feeder.tx.merged_into(route.id, object_type, &one)?);
        if let Existence::Merged(Some(survivor)) = &state.existence
            && erasure.with.is_none()
            && one == *record
        {
            // An old id was named: what became of it may be gone as well.
            feeder.read_record(object_type, survivor, Timestamp::default())?;
        }
        forget(feeder, object_type, &one, &state)?;
        feeder.tx.save_record(&RecordState {
            existence: Existence::Erased,
            existence_at: erasure.occurred_at,
            created_at: None,
            modified_at: None,
            read: Version::default(),
            reached: false,
            filled: false,
            ..state
        })?;
        if was_known {
            feeder.report.erased(origin, object_type, feeder.now);
        }
        erased.insert(one);
    }
    Ok(())
}

/// Forgets a record, and lets whoever it fed be fed by the next, or by nothing.
fn forget(
    feeder: &mut Feeder<'_, '_>,
    object_type: &ObjectType,
    record: &RecordId,
    state: &RecordState,
) -> Result<(), store::Error> {
    let route = feeder.route;
    let mut users = feeder.tx.users_reached(state.key)?;
    users.extend(feeder.tx.fed_users(state.key)?);
    // What is reached through a record that is gone is not reached.
    for mapping in route.fed_by(object_type) {
        feeder.touch_all(mapping, &users);
    }
    let mut associated: Vec<(&ObjectType, RecordKey, RecordId)> = Vec::new();
    for (_, through) in route.mappings_through(object_type) {
        let to = &through.object_type;
        for (key, other) in feeder.tx.associated_records(state.key, to)? {
            associated.push((to, key, other));
        }
    }
    feeder.tx.forget_record(state.key)?;
    feeder.tx.forget_activity(route.id, object_type, record)?;
    feeder.tx.forget_in_proofs(route.id, object_type, record)?;
    feeder
        .tx
        .drop_reads_of(route.account, object_type, record)?;
    feeder.was_erased(state.key);
    for (associated_type, key, other) in associated {
        feeder.reach(associated_type, key, &other)?;
    }
    Ok(())
}
