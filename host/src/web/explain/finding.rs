//! Which ways there are: of a record to its users, and of a user's records.

use super::{Stage, Standing, Story, aside::Misunderstood, steps::Steps, story::Teller, words};
use crate::{
    model::{ObjectMapping, ObjectType, RecordId, UserId},
    store::{
        self,
        reads::{ReadKey, Wanted},
        records::{RecordKey, RecordState},
    },
};

/// Users of one record, and records of one user, that are told of.
const TOLD_MAX: usize = 3;

impl Teller<'_, '_> {
    /// The ways of a record of a type, or of each record with that id, as far as any
    /// was seen.
    pub(super) fn of_seen(
        &self,
        object_type: Option<&ObjectType>,
        record: &RecordId,
    ) -> Result<Vec<Story>, store::Error> {
        let mut stories = Vec::new();
        for mapping in &self.route.mappings {
            if object_type.is_some_and(|wanted| *wanted != mapping.object_type) {
                continue;
            }
            let of = &mapping.object_type;
            if let Some(state) = self.tx.find_record(self.route.id, of, record)? {
                stories.extend(self.of_known(mapping, record, &state)?);
            }
        }
        Ok(stories)
    }

    /// The ways of a record of a type, or of each record with that id.
    pub(super) fn of_record(
        &self,
        object_type: Option<&ObjectType>,
        record: &RecordId,
    ) -> Result<Vec<Story>, store::Error> {
        let stories = self.of_seen(object_type, record)?;
        if !stories.is_empty() {
            return Ok(stories);
        }
        let is_unmapped = object_type.is_some_and(|wanted| self.route.mapping(wanted).is_none());
        let mut steps = Steps::default();
        if is_unmapped {
            steps.stop(
                Stage::Received,
                "Records of this type are not mapped, so nothing is taken in of them.",
                "Map a field of this type of record.",
            );
        } else {
            self.of_unknown(object_type, record, &mut steps)?;
        }
        Ok(vec![Story {
            object_type: object_type.cloned(),
            record_id: Some(record.clone()),
            ..Story::from_steps(steps.finish())
        }])
    }

    /// A record that was never seen: it may have come, and not been understood.
    fn of_unknown(
        &self,
        object_type: Option<&ObjectType>,
        record: &RecordId,
        steps: &mut Steps,
    ) -> Result<(), store::Error> {
        if let Some(Misunderstood { at, reason, .. }) = self.aside.of(record) {
            let label = self.label;
            let told = steps.done(Stage::Received, format!("{label} told of it."));
            told.at = Some(*at);
            let detail = format!("What {label} told could not be understood: {reason}.");
            steps.stop(Stage::Parsed, detail, self.missing()).at = Some(*at);
            return Ok(());
        }
        let types = self.route.mappings.iter().map(|one| &one.object_type);
        for of in types.filter(|of| object_type.is_none_or(|wanted| wanted == *of)) {
            if self.is_waiting(of, record, steps)? {
                return Ok(());
            }
        }
        let through = object_type
            .and_then(|wanted| self.route.mapping(wanted))
            .and_then(|(_, mapping)| mapping.through.as_ref());
        let detail = match through {
            Some(through) => format!(
                "Nothing was taken in of it: no {} that matches a user is known to have it.",
                self.names.one(through)
            ),
            None => format!(
                "{} has told us nothing of it: it has not changed since the fields were mapped{}; \
                 or there is no such record.",
                self.label,
                match self.route.is_read {
                    true => ", and no full sync has read it",
                    false => "",
                }
            ),
        };
        steps.stop(Stage::Received, detail, self.missing());
        Ok(())
    }

    /// Whether a read of it waits; then that is told.
    pub(super) fn is_waiting(
        &self,
        object_type: &ObjectType,
        record: &RecordId,
        steps: &mut Steps,
    ) -> Result<bool, store::Error> {
        let waiting = self.tx.waiting_read(&ReadKey {
            account: self.route.account,
            object_type: object_type.clone(),
            record: record.clone(),
            wanted: Wanted::Record,
        })?;
        let Some((at, attempts)) = waiting else {
            return Ok(false);
        };
        let label = self.label;
        let detail = match attempts {
            0 => format!("{label} told of it, and it is being read."),
            1 => format!("It was read, and {label}’s answer was of no use; it is read again."),
            _ => format!(
                "It was read {attempts} times, and {label}’s answers were of no use; it is read \
                 again."
            ),
        };
        let step = steps.add(Stage::Received, Standing::Waiting, detail);
        step.at = (at > self.now).then_some(at);
        Ok(true)
    }

    /// The ways of a record that was seen, one to each of its users.
    fn of_known(
        &self,
        mapping: &ObjectMapping,
        record: &RecordId,
        state: &RecordState,
    ) -> Result<Vec<Story>, store::Error> {
        let users = self.tx.users_reached(state.key)?;
        let wanted = |user: Option<UserId>| self.story(mapping, record, state, user);
        match users.as_slice() {
            [] => Ok(vec![wanted(None)?]),
            users => users
                .iter()
                .take(TOLD_MAX)
                .map(|user| wanted(Some(*user)))
                .collect(),
        }
    }

    /// The ways that end at a user: of each object type the record that feeds it,
    /// else those that could.
    pub(super) fn of_user(&self, user: UserId) -> Result<Vec<Story>, store::Error> {
        let mut stories = Vec::new();
        // Those that are matched themselves first: others are reached through them.
        let mut mappings: Vec<_> = self.route.mappings.iter().enumerate().collect();
        mappings.sort_by_key(|(_, mapping)| mapping.through.is_some());
        for (index, mapping) in mappings {
            let of = &mapping.object_type;
            let fed_by = self.tx.feed(mapping.id, user)?;
            let mut records: Vec<RecordKey> = fed_by.into_iter().map(|feed| feed.record).collect();
            if records.is_empty() {
                let fields = &self.route.selection_fields[index];
                let candidates = self.tx.candidates(self.route.id, mapping, fields, user)?;
                records.extend(candidates.read.iter().map(|candidate| candidate.key));
            }
            if records.is_empty() {
                let linked = self.tx.links_of_user(self.route.id, of, user)?;
                records.extend(linked.iter().map(|(key, _)| *key));
            }
            records.truncate(TOLD_MAX);
            if records.is_empty() {
                stories.push(self.without_record(mapping, user)?);
            }
            for key in records {
                if let Some(record) = self.tx.record_id(key)?
                    && let Some(state) = self.tx.find_record(self.route.id, of, &record)?
                {
                    stories.push(self.story(mapping, &record, &state, Some(user))?);
                }
            }
        }
        Ok(stories)
    }

    /// A user whom no record of a type reaches.
    fn without_record(&self, mapping: &ObjectMapping, user: UserId) -> Result<Story, store::Error> {
        let (of, label) = (&mapping.object_type, self.label);
        let (one, many) = (self.names.one(of), self.names.several(of));
        let mut steps = Steps::default();
        match (&mapping.matching, &mapping.through) {
            (Some(rule), _) => {
                let name = self.variable_name(rule.identifier)?;
                let by = words::identifier(rule.identifier, name.as_deref());
                let keys = self.tx.user_keys(user, rule.identifier)?;
                if keys.is_empty() {
                    steps.stop(
                        Stage::Received,
                        format!("The user has no {by}, by which {many} are matched."),
                        "Have your code identify the user with it.",
                    );
                } else if let Some(at) = self.tx.waiting_lookup(self.route.id, of, user)? {
                    let detail = format!("The user’s {one} is being looked for.");
                    let step = steps.add(Stage::Received, Standing::Waiting, detail);
                    step.at = (at > self.now).then_some(at);
                } else {
                    let rule = words::rule(rule, name.as_deref(), label);
                    let remedy = match self.route.is_read {
                        true => format!(
                            "See in {label} whether there is a {one} whose field says the same. \
                             One that was there before is found by a full sync."
                        ),
                        false => self.missing().to_owned(),
                    };
                    steps.stop(
                        Stage::Received,
                        format!("{label} has told us of no {one} that matches this user: {rule}."),
                        &remedy,
                    );
                }
            }
            (None, Some(through)) => {
                let linked = self.tx.links_of_user(self.route.id, through, user)?;
                let (theirs, those) = (self.names.one(through), self.names.several(through));
                let (detail, remedy) = match linked.as_slice() {
                    [] => (
                        format!(
                            "Users have {many} through their {those}, and this user has no \
                             {theirs} yet."
                        ),
                        format!("Once a {theirs} is found that matches, its {many} come with it."),
                    ),
                    _ => (
                        format!(
                            "This user’s {theirs} has no {one} in {label}, as far as is known."
                        ),
                        format!(
                            "Associate a {one} with the {theirs} in {label}; it shows here within \
                             moments."
                        ),
                    ),
                };
                steps.stop(Stage::Received, detail, &remedy);
            }
            (None, None) => {}
        }
        Ok(Story {
            object_type: Some(of.clone()),
            user: Some(user),
            ..Story::from_steps(steps.finish())
        })
    }
}
