//! From registers to what users show: which record feeds whom, and what.
//!
//! Everything here is a pure function of what the transaction holds; doing it
//! twice changes nothing. While a connection is held ([`super::brake`]), what would
//! take a value from a user is not done, and it is kept for whom.

mod selecting;
mod showing;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{report::Report, routing::ConnectionRoute};
use crate::{
    model::{
        Cause, Existence, Missed, ObjectType, Priority, RecordId, SelectionRule, Timestamp, UserId,
        VariableId,
    },
    store::{
        self, Tx,
        reads::{ReadKey, Wanted},
        records::{RecordKey, RecordState},
    },
};

pub use showing::{Fills, Shown};

/// Why a user's record may be selected anew.
#[derive(Clone, Copy, Debug)]
struct Why {
    cause: Cause,
    /// Why live should have done so, where a catch-up does.
    missed: Option<Missed>,
}

impl Why {
    /// For either reason: as urgently as the more urgent one, and counted for a
    /// run only where no other caused it.
    fn or(self, other: Self) -> Self {
        Self {
            cause: Cause {
                priority: self.cause.priority.min(other.cause.priority),
                run: self.cause.run.and(other.cause.run),
                refresh: self.cause.refresh && other.cause.refresh,
            },
            missed: self.missed.max(other.missed),
        }
    }
}

/// Feeds one connection's users within one transaction.
pub struct Feeder<'t, 'c> {
    /// The transaction.
    pub tx: &'t Tx<'c>,
    /// The connection.
    pub route: &'t ConnectionRoute,
    /// Now.
    pub now: Timestamp,
    /// Why: what it asks to be read is asked for with the same urgency.
    pub cause: Cause,
    /// What was done.
    pub report: Report,
    /// Users whose records may be selected anew, by object mapping, and why.
    touched: BTreeMap<(usize, UserId), Why>,
    /// Records that a read filled in this transaction: they need no other.
    just_read: BTreeSet<RecordKey>,
    /// Whether a record that fed somebody may feed them no more.
    lost: bool,
    /// Whether a choice was said that is not known: it may be new.
    unknown_choice: bool,
    /// Records that were erased: nothing names them.
    erased: BTreeSet<RecordKey>,
    /// Whom the record that was said something of last feeds.
    fed: Option<(RecordKey, Vec<UserId>)>,
    /// Whether values may be taken from however many users.
    unbraked: bool,
    /// Whether what is told waited for a person.
    told_again: bool,
}

/// How far back an answer of the source's may be: no read has to know of what is older
/// than that, for each does.
const ANSWERS_OF: Duration = Duration::from_secs(5 * 60);

impl<'t, 'c> Feeder<'t, 'c> {
    /// Begins.
    pub fn new(tx: &'t Tx<'c>, route: &'t ConnectionRoute, cause: Cause, now: Timestamp) -> Self {
        let mut report = Report::default();
        report.count_for(cause.run);
        Self {
            tx,
            route,
            now,
            cause,
            report,
            touched: BTreeMap::new(),
            just_read: BTreeSet::new(),
            lost: false,
            unknown_choice: false,
            erased: BTreeSet::new(),
            fed: None,
            unbraked: false,
            told_again: false,
        }
    }

    /// Values are taken unasked: somebody has said so, or nothing may hold it up.
    pub fn unbraked(self) -> Self {
        Self {
            unbraked: true,
            ..self
        }
    }

    /// What is done from here on is for this cause, and counted for its run.
    pub fn count_for(&mut self, cause: Cause) {
        self.cause = cause;
        self.report.count_for(cause.run);
    }

    /// What is done from here on is for this reason: where a catch-up does it,
    /// live had missed it.
    pub fn because(&mut self, missed: Missed) {
        self.report.missed = self.is_catching_up().then_some(missed);
    }

    /// Whether a catch-up does what is done.
    pub fn is_catching_up(&self) -> bool {
        self.cause.priority == Priority::CatchUp
    }

    /// What is told waited for a person: when it shows says nothing of how fast changes
    /// come through.
    pub fn told_again(mut self) -> Self {
        self.told_again = true;
        self.report.is_no_news();
        self
    }

    /// Asks for a read of a record that knows of everything up to a moment.
    pub fn read_record(
        &self,
        object_type: &ObjectType,
        record: &RecordId,
        expected_at: Timestamp,
    ) -> Result<(), store::Error> {
        self.read(object_type, record, Wanted::Record, expected_at)
    }

    /// Asks for a read of a record's associations to a type.
    pub fn read_associations(
        &self,
        object_type: &ObjectType,
        record: &RecordId,
        to_type: &ObjectType,
    ) -> Result<(), store::Error> {
        self.read_told_associations(object_type, record, to_type, Timestamp::default())
    }

    /// [`Feeder::read_associations`], of a change that the source told of. They have no
    /// stamp by which an answer could be too old: it says how long the change waits.
    pub fn read_told_associations(
        &self,
        object_type: &ObjectType,
        record: &RecordId,
        to_type: &ObjectType,
        told_at: Timestamp,
    ) -> Result<(), store::Error> {
        let wanted = Wanted::Associations(to_type.clone());
        self.read(object_type, record, wanted, told_at)
    }

    /// Asks for a read, where the source answers any.
    fn read(
        &self,
        object_type: &ObjectType,
        record: &RecordId,
        wanted: Wanted,
        expected_at: Timestamp,
    ) -> Result<(), store::Error> {
        if !self.route.is_read {
            return Ok(());
        }
        let key = ReadKey {
            account: self.route.account,
            object_type: object_type.clone(),
            wanted,
            record: record.clone(),
        };
        // How long it waited for a person is not how long it waits for a read.
        let expected_at = match self.told_again && self.now.since(expected_at) > ANSWERS_OF {
            true => Timestamp::default(),
            false => expected_at,
        };
        // Whatever asks for it here, something is new about it.
        self.tx
            .request_read(&key, self.cause.of_change(), expected_at, self.now)
    }

    pub(super) fn variable_name(&self, variable: VariableId) -> &'t str {
        self.route
            .variable_names
            .get(&variable)
            .map_or("", String::as_str)
    }

    /// A record was modified: where the latest feeds, another may now.
    pub fn modified(
        &mut self,
        mapping: usize,
        state: &mut RecordState,
        at: Timestamp,
    ) -> Result<(), store::Error> {
        let rule = self.route.mappings[mapping]
            .selection
            .as_ref()
            .map(|selection| selection.rule);
        if rule != Some(SelectionRule::LatestModified) || state.modified_at >= Some(at) {
            return Ok(());
        }
        state.modified_at = Some(at);
        self.tx.save_record(state)?;
        self.touch_reached(mapping, state.key)
    }

    /// A read has just filled this record's registers.
    pub fn was_read(&mut self, record: RecordKey) {
        self.just_read.insert(record);
    }

    /// A record that fed some of those touched is gone.
    pub fn was_lost(&mut self) {
        self.lost = true;
    }

    /// A record was erased.
    pub fn was_erased(&mut self, record: RecordKey) {
        self.lost = true;
        self.erased.insert(record);
    }

    /// A user's record may be selected anew.
    pub fn touch(&mut self, mapping: usize, user: UserId) {
        let why = Why {
            cause: self.cause,
            missed: self.report.missed,
        };
        let touched = self.touched.entry((mapping, user));
        touched
            .and_modify(|held| *held = held.or(why))
            .or_insert(why);
    }

    /// The records of all of these users may be selected anew.
    pub fn touch_all(&mut self, mapping: usize, users: &[UserId]) {
        users.iter().for_each(|user| self.touch(mapping, *user));
    }

    /// The records of all users that a record can feed may be selected anew.
    pub fn touch_reached(&mut self, mapping: usize, record: RecordKey) -> Result<(), store::Error> {
        let users = self.tx.users_reached(record)?;
        self.touch_all(mapping, &users);
        Ok(())
    }

    /// A record's links changed for some users: all that they reach through it
    /// may be selected anew, and what is reached for the first time is read.
    pub fn links_changed(
        &mut self,
        object_type: &ObjectType,
        state: &RecordState,
        record: &RecordId,
        users: &[UserId],
    ) -> Result<(), store::Error> {
        self.lost |= !users.is_empty();
        let reached = self.tx.refresh_reached(state.key)?;
        if let Some((mapping, _)) = self.route.mapping(object_type) {
            self.touch_all(mapping, users);
        }
        let route = self.route;
        for (mapping, through) in route.mappings_through(object_type) {
            self.touch_all(mapping, users);
            let associated = self
                .tx
                .associated_records(state.key, &through.object_type)?;
            if !reached {
                // Nobody's associations are kept: they would be old when
                // somebody is linked again.
                self.tx
                    .forget_associations(state.key, &through.object_type)?;
            }
            for (key, associated) in associated {
                self.reach(&through.object_type, key, &associated)?;
            }
            if reached && !state.reached {
                self.read_associations(object_type, record, &through.object_type)?;
            }
        }
        Ok(())
    }

    /// Finds out whether a record reaches anybody now; if so, and nothing of it
    /// is held or it was deleted, it is read.
    pub fn reach(
        &mut self,
        object_type: &ObjectType,
        key: RecordKey,
        record: &RecordId,
    ) -> Result<(), store::Error> {
        if !self.tx.refresh_reached(key)? {
            return Ok(());
        }
        let state = self.tx.ensure_record(self.route.id, object_type, record)?;
        if !state.filled || state.existence == Existence::Deleted {
            self.read_record(object_type, record, Timestamp::default())?;
        }
        Ok(())
    }

    /// For how many users, mapping by mapping, records may be selected anew.
    pub fn touched(&self) -> usize {
        self.touched.len()
    }

    /// Selects anew for every user that was touched, and shows what the
    /// selected records say. Asks for the account's choices to be read anew
    /// where one was not known.
    pub fn finish(mut self) -> Result<Report, store::Error> {
        self.settle()?;
        Ok(self.report)
    }

    /// As [`Feeder::finish`], where what was done is still to be looked at.
    pub fn settle(&mut self) -> Result<(), store::Error> {
        if self.unknown_choice {
            self.tx.request_labels(self.route.account)?;
        }
        for ((mapping, user), why) in std::mem::take(&mut self.touched) {
            self.count_for(why.cause);
            self.report.missed = why.missed;
            self.select(mapping, user)?;
        }
        Ok(())
    }
}
