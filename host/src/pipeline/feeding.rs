//! From registers to what users show: which record feeds whom, and what.
//!
//! Everything here is a pure function of what the transaction holds; doing it
//! twice changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    merge::{Said, merge},
    report::{RecordReport, Report},
    routing::{ConnectionRoute, FieldPlace},
    select::select,
};
use crate::{
    model::{
        Cause, Existence, FieldId, Missed, ObjectType, Priority, Readable, RecordId, SelectionRule,
        Timestamp, Unreadable, UserId, VariableId,
    },
    store::{
        self, Tx,
        reach::Candidate,
        reads::{ReadKey, Wanted},
        records::{RecordKey, RecordState},
        registers::FedValue,
    },
};

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
    /// Users whose records may be selected anew, by object mapping; and why live
    /// should have done so.
    touched: BTreeMap<(usize, UserId), Option<Missed>>,
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
}

impl<'t, 'c> Feeder<'t, 'c> {
    /// Begins.
    pub fn new(tx: &'t Tx<'c>, route: &'t ConnectionRoute, cause: Cause, now: Timestamp) -> Self {
        Self {
            tx,
            route,
            now,
            cause,
            report: Report::default(),
            touched: BTreeMap::new(),
            just_read: BTreeSet::new(),
            lost: false,
            unknown_choice: false,
            erased: BTreeSet::new(),
            fed: None,
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
        // Associations have no stamp of their own.
        let wanted = Wanted::Associations(to_type.clone());
        self.read(object_type, record, wanted, Timestamp::default())
    }

    fn read(
        &self,
        object_type: &ObjectType,
        record: &RecordId,
        wanted: Wanted,
        expected_at: Timestamp,
    ) -> Result<(), store::Error> {
        let key = ReadKey {
            account: self.route.account,
            object_type: object_type.clone(),
            wanted,
            record: record.clone(),
        };
        // Whatever asks for it here, something is new about it.
        self.tx
            .request_read(&key, self.cause.of_change(), expected_at, self.now)
    }

    /// Says texts of a record's properties to its registers, and shows what
    /// changed to the users that the record feeds. `fills`: registers that do
    /// not exist yet are made.
    ///
    /// Returns whether two events disagree, which only a read can settle.
    pub fn say(
        &mut self,
        state: &RecordState,
        texts: &[(FieldPlace, Said)],
        fills: bool,
        told: &mut RecordReport,
    ) -> Result<bool, store::Error> {
        let mut conflict = false;
        for (place, said) in texts {
            let field = self.route.field(*place);
            let version = said.version;
            let held = self.tx.register(state.key, field.id, field.target)?;
            if held.is_none() && !fills {
                continue;
            }
            // An event from before its mapping never makes a register; a read
            // is of now.
            if held.is_none() && version.sequence == 0 && version.stamp < field.saved_at {
                told.reason(super::plan::Skip::BeforeMapping.as_str());
                continue;
            }
            if let Err(unreadable) = &said.outcome {
                told.reason(unreadable.as_str());
                self.unknown_choice |= *unreadable == Unreadable::UnknownChoice;
            }
            let merged = merge(held, said);
            conflict |= merged.conflict;
            if merged.changed {
                self.tx
                    .save_register(state.key, field.id, &merged.register)?;
            } else if said.outcome.is_ok() && version < merged.register.version {
                told.reason(super::plan::Skip::Older.as_str());
            }
            if !merged.shown_changed {
                continue;
            }
            let Some(variable) = field.variable else {
                // The selection depends on it.
                self.unknown_choice |= self.is_unknown(*place, &said.text);
                self.touch_reached(place.mapping, state.key)?;
                continue;
            };
            let Some(readable) = merged.register.readable else {
                continue;
            };
            let users = self.fed_users(state.key)?;
            let mut shown = false;
            for user in &users {
                if self.show(*user, variable, field.id, Some((state.key, &readable)))? {
                    told.shown(*user, self.variable_name(variable));
                    shown = true;
                }
            }
            self.fed = Some((state.key, users));
            if shown {
                self.report.fresh(version.stamp, self.now);
            }
        }
        Ok(conflict)
    }

    /// Whether a field says whether records are closed, and a choice of it is
    /// not known to mean either.
    fn is_unknown(&self, place: FieldPlace, choice: &str) -> bool {
        let id = self.route.field(place).id;
        let mut closing = self.route.selection_fields[place.mapping].closing.iter();
        let field = closing.find(|closing| closing.field == id);
        !choice.is_empty() && field.is_some_and(|field| !field.choices.contains_key(choice))
    }

    /// The users that a record feeds. Nobody else's record is selected for them
    /// before the end.
    fn fed_users(&mut self, record: RecordKey) -> Result<Vec<UserId>, store::Error> {
        match self.fed.take() {
            Some((fed, users)) if fed == record => Ok(users),
            _ => self.tx.fed_users(record),
        }
    }

    /// Shows on a user what a record's field says; takes away what the field
    /// showed, where nothing of it can be read. Returns whether it changed.
    pub fn show(
        &mut self,
        user: UserId,
        variable: VariableId,
        field: FieldId,
        said: Option<(RecordKey, &Readable)>,
    ) -> Result<bool, store::Error> {
        // Looked up for runs alone: what is live need not know.
        let had = match self.cause.run {
            Some(_) => self.tx.value_record(user, variable)?,
            None => None,
        };
        let becomes = said.filter(|(_, readable)| readable.value.is_some());
        let becomes = becomes.map(|(record, _)| record);
        let changed = match said {
            Some((record, readable)) => self.tx.show_value(
                &FedValue {
                    user,
                    variable,
                    value: readable.value.clone(),
                    field,
                    record,
                    changed_at: readable.version.stamp,
                },
                self.now,
            )?,
            None => self.tx.withdraw_value(user, variable, field)?,
        };
        if changed {
            self.report.count("values_written", 1);
            if had.is_some_and(|had| becomes != Some(had)) {
                self.report.lost(user);
            }
            self.report.count_in_run(
                match (had, becomes) {
                    (None, _) => "values.set",
                    (Some(_), Some(_)) => "values.changed",
                    (Some(_), None) => "values.cleared",
                },
                1,
            );
        }
        Ok(changed)
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
        let missed = self.touched.entry((mapping, user)).or_default();
        *missed = self.report.missed.max(*missed);
    }

    fn touch_all(&mut self, mapping: usize, users: &[UserId]) {
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
        if self.unknown_choice {
            self.tx.request_labels(self.route.account)?;
        }
        for ((mapping, user), missed) in std::mem::take(&mut self.touched) {
            self.report.missed = missed;
            self.select(mapping, user)?;
        }
        Ok(self.report)
    }

    fn select(&mut self, mapping: usize, user: UserId) -> Result<(), store::Error> {
        let mapped = &self.route.mappings[mapping];
        let fields = &self.route.selection_fields[mapping];
        let candidates = self.tx.candidates(self.route.id, mapped, fields, user)?;
        let chosen = select(&candidates, mapped.selection.as_ref());
        let before = self.tx.feed(mapped.id, user)?;
        let just_read = chosen.is_some_and(|key| self.just_read.contains(&key));
        if chosen != before {
            self.tx.set_feed(mapped.id, user, chosen)?;
            self.report.count("selected", 1);
            // A record that begins to feed is read: that fills what was mapped
            // since it was read last.
            if !just_read
                && let Some(candidate) = candidates.iter().find(|one| Some(one.key) == chosen)
            {
                self.read_record(&mapped.object_type, &candidate.record, Timestamp::default())?;
            }
        } else if !just_read && !self.lost {
            return Ok(());
        }
        let mut variables = Vec::new();
        for field in &mapped.fields {
            let Some(variable) = field.variable else {
                continue;
            };
            let readable = match chosen {
                Some(key) => self
                    .tx
                    .register(key, field.id, field.target)?
                    .and_then(|register| register.readable)
                    .map(|readable| (key, readable)),
                None => None,
            };
            // Until the selected record is read, what it lacks stays as another
            // that could feed showed it.
            if readable.is_none() && !just_read && self.is_shown_by(&candidates, user, variable)? {
                continue;
            }
            let said = readable
                .as_ref()
                .map(|(record, readable)| (*record, readable));
            if self.show(user, variable, field.id, said)? {
                variables.push(self.variable_name(variable).to_owned());
            }
        }
        if variables.is_empty() {
            return Ok(());
        }
        let fed_by = chosen.or(before);
        if let Some(key) = fed_by.filter(|key| !self.erased.contains(key))
            && let Some(record) = self.tx.record_id(key)?
        {
            let object_type = &mapped.object_type;
            self.report
                .selected(object_type, &record, user, variables, self.now);
        }
        Ok(())
    }

    fn is_shown_by(
        &self,
        candidates: &[Candidate],
        user: UserId,
        variable: VariableId,
    ) -> Result<bool, store::Error> {
        let shown = self.tx.value_record(user, variable)?;
        Ok(candidates
            .iter()
            .any(|candidate| Some(candidate.key) == shown))
    }
}
