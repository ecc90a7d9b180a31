//! Which record feeds a user, and what the user shows by it.

use std::time::Duration;

use super::{Feeder, Shown};
use crate::{
    model::{ObjectMapping, Timestamp, UserId, VariableId},
    pipeline::select::select,
    store::{
        self,
        reach::{Candidate, Candidates, Feed},
        records::RecordKey,
    },
};

/// How long a record is provisional at most: others that could feed the user may never
/// be read.
const PROVISIONAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Feeder<'_, '_> {
    pub(super) fn select(&mut self, mapping: usize, user: UserId) -> Result<(), store::Error> {
        let mapped = &self.route.mappings[mapping];
        let (candidates, chosen) = self.choose(mapping, user)?;
        let before = self.tx.feed(mapped.id, user)?;
        let fed_by = before.map(|feed| feed.record);
        let just_read = chosen.is_some_and(|key| self.just_read.contains(&key));
        let was_held = self.is_held(mapping, user)?;
        let is_another = chosen != fed_by;
        let gives_way = before
            .filter(|feed| is_another && just_read && self.gives_way(feed, &candidates.read))
            .map(|feed| feed.record);
        if is_another && self.moves(mapped, user, chosen, gives_way)? {
            if self.holds(mapping, user)? {
                self.hold(mapping, user)?;
                return self.tell_held(mapped, chosen.or(fed_by));
            }
            self.lose(user);
        }
        let feed = chosen.map(|record| self.feed(record, before, candidates.unread));
        if feed != before {
            self.tx.set_feed(mapped.id, user, feed)?;
        }
        if is_another {
            self.report.count("selected", 1);
            // A record that begins to feed is read: that fills what was mapped
            // since it was read last.
            if !just_read
                && let Some(candidate) = candidates.read.iter().find(|one| Some(one.key) == chosen)
            {
                self.read_record(&mapped.object_type, &candidate.record, Timestamp::default())?;
            }
        } else if !just_read && !self.lost && !was_held {
            return Ok(());
        }
        let mut variables = Vec::new();
        let mut is_held = false;
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
            if readable.is_none()
                && !just_read
                && self.is_shown_by(&candidates.read, user, variable)?
            {
                continue;
            }
            let said = readable
                .as_ref()
                .map(|(record, readable)| (*record, readable));
            match self.show(mapping, user, (variable, field.id), said, gives_way)? {
                Shown::Changed => variables.push(self.variable_name(variable).to_owned()),
                Shown::Held => is_held = true,
                Shown::Unchanged => {}
            }
        }
        if was_held && !is_held {
            self.tx.let_selection_go(mapped.id, user)?;
        }
        if variables.is_empty() {
            return Ok(());
        }
        if let Some(key) = chosen.or(fed_by).filter(|key| !self.erased.contains(key))
            && let Some(record) = self.tx.record_id(key)?
        {
            let object_type = &mapped.object_type;
            self.report
                .selected(object_type, &record, user, variables, self.now);
        }
        Ok(())
    }

    /// Whether to select anew would take a value from a user.
    pub fn would_lose(&self, mapping: usize, user: UserId) -> Result<bool, store::Error> {
        let mapped = &self.route.mappings[mapping];
        let (_, chosen) = self.choose(mapping, user)?;
        let fed_by = self.tx.feed(mapped.id, user)?.map(|feed| feed.record);
        Ok(chosen != fed_by && self.moves(mapped, user, chosen, None)?)
    }

    /// The records that can feed a user, and the one that is selected.
    fn choose(
        &self,
        mapping: usize,
        user: UserId,
    ) -> Result<(Candidates, Option<RecordKey>), store::Error> {
        let mapped = &self.route.mappings[mapping];
        let fields = &self.route.selection_fields[mapping];
        let candidates = self.tx.candidates(self.route.id, mapped, fields, user)?;
        let chosen = select(&candidates.read, mapped.selection.as_ref());
        Ok((candidates, chosen))
    }

    /// How the record that is selected feeds a user who was fed so before: one that
    /// nothing went before is provisional as long as others are still to be read.
    fn feed(&self, record: RecordKey, before: Option<Feed>, unread: bool) -> Feed {
        let provisional_until = match (unread, before) {
            (false, _) => Timestamp::default(),
            (true, Some(before)) => before.provisional_until,
            (true, None) => self.now.plus(PROVISIONAL_MAX),
        };
        Feed {
            record,
            provisional_until,
        }
    }

    /// Whether what a record shows on a user is nobody's to lose to one that was just
    /// read: it could feed the user still, but began to before all were read.
    fn gives_way(&self, feed: &Feed, candidates: &[Candidate]) -> bool {
        feed.provisional_until > self.now && candidates.iter().any(|one| one.key == feed.record)
    }

    /// Whether a record feeds a user only because another selection is held, or was
    /// until a moment ago: what it says may be of somebody else by now.
    pub(super) fn feeds_by_a_hold(
        &self,
        mapping: usize,
        user: UserId,
        record: RecordKey,
    ) -> Result<bool, store::Error> {
        let may = self.route.held || self.route.feeds_by_holds;
        Ok(may && self.choose(mapping, user)?.1 != Some(record))
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

    /// Whether a user loses a value to the record that is selected now, or to
    /// none; also one that the record lacks, for it is read then. Those of a record
    /// that gives way are nobody's to lose. What a run takes is looked at as it is
    /// shown.
    fn moves(
        &self,
        mapped: &ObjectMapping,
        user: UserId,
        chosen: Option<RecordKey>,
        gives_way: Option<RecordKey>,
    ) -> Result<bool, store::Error> {
        if self.unbraked || (self.cause.run.is_some() && !self.route.held) {
            return Ok(false);
        }
        for variable in mapped.fields.iter().filter_map(|field| field.variable) {
            let shown = self.tx.value_record(user, variable)?;
            if shown.is_some() && shown != chosen && shown != gives_way {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A value is cleared, or comes from another record.
    pub(super) fn lose(&mut self, user: UserId) {
        if !self.unbraked {
            self.report.lost(user);
        }
    }

    /// Whether what would take a value from a user is held. A run has a brake of
    /// its own, and answers no question that was asked already.
    pub(super) fn holds(&self, mapping: usize, user: UserId) -> Result<bool, store::Error> {
        if !self.route.held || self.unbraked {
            return Ok(false);
        }
        match self.cause.run {
            None => Ok(true),
            Some(_) => self.is_held(mapping, user),
        }
    }

    /// Whether a user's selection is held.
    pub(super) fn is_held(&self, mapping: usize, user: UserId) -> Result<bool, store::Error> {
        let id = self.route.mappings[mapping].id;
        Ok(self.route.held && self.tx.is_selection_held(id, user)?)
    }

    pub(super) fn hold(&self, mapping: usize, user: UserId) -> Result<(), store::Error> {
        self.tx
            .hold_selection(self.route.mappings[mapping].id, user)
    }

    fn tell_held(
        &mut self,
        mapped: &ObjectMapping,
        record: Option<RecordKey>,
    ) -> Result<(), store::Error> {
        if let Some(key) = record
            && let Some(record) = self.tx.record_id(key)?
        {
            self.report.held(&mapped.object_type, &record);
        }
        Ok(())
    }
}
