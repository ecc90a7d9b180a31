//! The way of a record to a user, a step after the other.

use super::{
    Field, Stage, Standing, Story,
    aside::{Asides, Misunderstood},
    names::Names,
    steps::{FULL_SYNC, NEXT_PUSH, Steps},
    words,
};
use crate::{
    model::{
        Existence, FieldMapping, ObjectMapping, ObjectType, RecordId, Timestamp, UserId,
        UserIdentifier, VariableId, Version,
    },
    pipeline::{routing::ConnectionRoute, select::select},
    store::{
        self, Tx,
        activity::{Activity, ActivityFilter},
        records::{RecordKey, RecordState},
        users::Source,
    },
};

/// Tells the ways of records to users.
pub(super) struct Teller<'t, 'c> {
    /// What the store holds.
    pub tx: &'t Tx<'c>,
    /// The connection.
    pub route: &'t ConnectionRoute,
    /// What records are called.
    pub names: &'t Names,
    /// What could not be understood lately of the account.
    pub aside: &'t Asides,
    /// What people call the source that tells of the records.
    pub label: &'t str,
    /// Now.
    pub now: Timestamp,
}

impl Teller<'_, '_> {
    /// What is to be done where a record that was there before is missing.
    pub(super) fn missing(&self) -> &'static str {
        match self.route.is_read {
            true => FULL_SYNC,
            false => NEXT_PUSH,
        }
    }

    /// The way of a record that was seen to one of its users, or to nobody.
    pub(super) fn story(
        &self,
        mapping: &ObjectMapping,
        record: &RecordId,
        state: &RecordState,
        user: Option<UserId>,
    ) -> Result<Story, store::Error> {
        let mut steps = Steps::default();
        let mut fields = Vec::new();
        let lines = self.tx.activity(
            self.route.id,
            &ActivityFilter {
                object_type: Some(mapping.object_type.clone()),
                record: Some(record.clone()),
                ..ActivityFilter::default()
            },
            i64::MAX,
            1,
        )?;
        let last = lines.first().map(|(_, line)| line);
        self.received(mapping, record, state, last, &mut steps)?;
        if self.parsed(record, state, last, &mut steps)
            && self.exists(&mapping.object_type, state, &mut steps)
            && self.matched(mapping, state, user, &mut steps)?
            && let Some(user) = user
            && self.selected(mapping, state, user, &mut steps)?
            && self.mapped(mapping, &mut steps)
        {
            fields = self.fields(mapping, state.key, user)?;
            written(&fields, self.label, &mut steps);
        }
        Ok(Story {
            object_type: Some(mapping.object_type.clone()),
            record_id: Some(record.clone()),
            user,
            fields,
            ..Story::from_steps(steps.finish())
        })
    }

    fn received(
        &self,
        mapping: &ObjectMapping,
        record: &RecordId,
        state: &RecordState,
        last: Option<&Activity>,
        steps: &mut Steps,
    ) -> Result<(), store::Error> {
        match last {
            Some(line) => {
                let origin = words::by_origin(&line.origin);
                let step = steps.done(Stage::Received, format!("Last heard of by {origin}."));
                step.at = Some(line.at);
            }
            None if state.read != Version::default() => {
                let detail = format!(
                    "It was read from {}; nothing has come of it lately.",
                    self.label
                );
                steps.done(Stage::Received, detail);
            }
            None if self.is_waiting(&mapping.object_type, record, steps)? => {}
            None => {
                steps.done(
                    Stage::Received,
                    "It is known from other records that have it.",
                );
            }
        }
        Ok(())
    }

    fn parsed(
        &self,
        record: &RecordId,
        state: &RecordState,
        last: Option<&Activity>,
        steps: &mut Steps,
    ) -> bool {
        // What came later and was understood, or was read later, has said the same,
        // or more.
        let aside = self.aside.of(record).filter(|aside| {
            last.is_none_or(|line| line.at < aside.at) && state.read.sequence <= aside.sequence
        });
        if let Some(Misunderstood { at, reason, .. }) = aside {
            let detail = format!(
                "What {} told last of a record with this id could not be understood: {reason}.",
                self.label
            );
            steps.stop(Stage::Parsed, detail, self.missing()).at = Some(*at);
            return false;
        }
        let detail = format!("What {} told could be understood.", self.label);
        steps.done(Stage::Parsed, detail);
        true
    }

    /// Whether the record is there; what is gone is told.
    fn exists(&self, object_type: &ObjectType, state: &RecordState, steps: &mut Steps) -> bool {
        let (at, label) = (state.existence_at, self.label);
        let (detail, remedy) = match &state.existence {
            Existence::Unknown | Existence::Exists => return true,
            Existence::Deleted => (
                format!("The record is deleted in {label}, so it feeds nobody."),
                format!("Restore it in {label}; users show its values again within moments."),
            ),
            Existence::Merged(Some(survivor)) => (
                format!(
                    "It was merged into {} {survivor} in {label}.",
                    self.names.one(object_type)
                ),
                "Ask for that record instead.".to_owned(),
            ),
            Existence::Merged(None) => (
                format!("It was merged into another record in {label}."),
                String::new(),
            ),
            Existence::Erased => (
                "It was deleted for privacy: nothing of it is kept but its id.".to_owned(),
                String::new(),
            ),
        };
        steps.stop(Stage::Matched, detail, &remedy).at = Some(at);
        false
    }

    fn matched(
        &self,
        mapping: &ObjectMapping,
        state: &RecordState,
        user: Option<UserId>,
        steps: &mut Steps,
    ) -> Result<bool, store::Error> {
        let (of, label) = (&mapping.object_type, self.label);
        match (&mapping.matching, &mapping.through, user) {
            (Some(rule), _, Some(user)) => {
                let name = self.variable_name(rule.identifier)?;
                let rule = words::rule(rule, name.as_deref(), label);
                let links = self.tx.links_of_record(state.key)?;
                let rank = links.iter().find(|(linked, _)| *linked == user);
                let how = match rank {
                    Some((_, 0)) | None => rule,
                    Some(_) => format!("{rule}, by an additional address"),
                };
                let several = match links.len() {
                    0 | 1 => String::new(),
                    count => format!(" {count} users have the same, and all of them are fed."),
                };
                steps.done(
                    Stage::Matched,
                    format!("It is this user’s: {how}.{several}"),
                );
                Ok(true)
            }
            (Some(rule), _, None) => {
                let name = self.variable_name(rule.identifier)?;
                let by = words::identifier(rule.identifier, name.as_deref());
                let (detail, remedy) = if state.read == Version::default() {
                    let detail = "Whose it is is not known before it is read.".to_owned();
                    (detail, self.missing().to_owned())
                } else if self.tx.match_key_count(state.key)? == 0 {
                    let property = &rule.property.name;
                    let detail = format!(
                        "Known to {label}, matches no user: its {property} is empty in {label}."
                    );
                    let remedy = "Fill it in there; the record is matched within moments.";
                    (detail, remedy.to_owned())
                } else {
                    let detail = format!(
                        "Known to {label}, matches no user: nobody in Jimo has the same {by}."
                    );
                    let remedy = format!(
                        "Jimo never creates users from {label}. As soon as the user comes with \
                         that, the record is theirs."
                    );
                    (detail, remedy)
                };
                steps.stop(Stage::Matched, detail, &remedy);
                Ok(false)
            }
            (None, Some(through), Some(_)) => {
                let detail = format!(
                    "It is associated with this user’s {}.",
                    self.names.one(through)
                );
                steps.done(Stage::Matched, detail);
                Ok(true)
            }
            (None, Some(through), None) => {
                let from = self.tx.associated_from(state.key, through)?;
                let (one, many) = (self.names.one(through), self.names.several(through));
                let detail = match from.as_slice() {
                    [] => format!(
                        "No {one} that matches a user is known to have it, so it reaches nobody."
                    ),
                    [(_, id)] => {
                        format!("It is associated with {one} {id}, which matches no user.")
                    }
                    several => format!(
                        "It is associated with {} {many}, none of which matches a user.",
                        several.len()
                    ),
                };
                let remedy = format!("Associate it in {label} with a {one} that matches a user.");
                steps.stop(Stage::Matched, detail, &remedy);
                Ok(false)
            }
            (None, None, _) => {
                steps.stop(
                    Stage::Matched,
                    format!("No {} are matched.", self.names.several(of)),
                    "",
                );
                Ok(false)
            }
        }
    }

    fn selected(
        &self,
        mapping: &ObjectMapping,
        state: &RecordState,
        user: UserId,
        steps: &mut Steps,
    ) -> Result<bool, store::Error> {
        let of = &mapping.object_type;
        let (one, many) = (self.names.one(of), self.names.several(of));
        let rule = words::selection(mapping, many);
        let fed_by = self.tx.feed(mapping.id, user)?.map(|feed| feed.record);
        if fed_by == Some(state.key) {
            let index = self.route.mapping(of).map_or(0, |(index, _)| index);
            let fields = &self.route.selection_fields[index];
            let candidates = self
                .tx
                .candidates(self.route.id, mapping, fields, user)?
                .read;
            let detail = match candidates.len() {
                0 | 1 => format!("It is the only {one} that reaches this user."),
                count => format!("It is chosen of {count} {many} that reach this user. {rule}"),
            };
            let chosen = select(&candidates, mapping.selection.as_ref());
            if chosen != fed_by && self.tx.is_selection_held(mapping.id, user)? {
                let detail = format!("{detail} Another would be now, and is held.");
                steps.done(Stage::Selected, detail);
            } else {
                steps.done(Stage::Selected, detail);
            }
            return Ok(true);
        }
        if self.tx.is_selection_held(mapping.id, user)? {
            steps.stop(
                Stage::Selected,
                "The brake holds it: with others it would take values from many users.",
                "Look at what is held, then let it go on.",
            );
        } else if !state.filled {
            let step = steps.add(
                Stage::Selected,
                Standing::Waiting,
                "It has just been matched, and is read before it feeds anybody.",
            );
            step.at = None;
        } else if let Some(other) = fed_by {
            let other = self.tx.record_id(other)?;
            let other = other.map_or_else(String::new, |id| format!(": {one} {id}"));
            let detail = format!("Another feeds this user{other}. {rule}");
            let remedy = "Choose another rule on the page of fields, where this is not the one \
                          you want.";
            steps.stop(Stage::Selected, detail, remedy);
        } else {
            steps.stop(
                Stage::Selected,
                format!("It feeds nobody yet. {rule}"),
                self.missing(),
            );
        }
        Ok(false)
    }

    fn mapped(&self, mapping: &ObjectMapping, steps: &mut Steps) -> bool {
        let count = mapped_fields(mapping).count();
        let of = self.names.several(&mapping.object_type);
        match count {
            0 => {
                let detail = format!("No field of {of} is mapped.");
                steps.stop(Stage::Mapped, detail, "Choose the fields to sync.");
                return false;
            }
            1 => steps.done(Stage::Mapped, format!("One field of {of} is mapped.")),
            count => steps.done(Stage::Mapped, format!("{count} fields of {of} are mapped.")),
        };
        true
    }

    fn fields(
        &self,
        mapping: &ObjectMapping,
        record: RecordKey,
        user: UserId,
    ) -> Result<Vec<Field>, store::Error> {
        let (profile, label) = (self.tx.profile(user)?, self.label);
        let fills = match self.route.is_read {
            true => "Run a full sync to fill it in.",
            false => NEXT_PUSH,
        };
        let mut fields = Vec::new();
        for (field, variable) in mapped_fields(mapping) {
            let Some(name) = self.route.variable_names.get(&variable) else {
                continue;
            };
            let register = self.tx.register(record, field.id, field.target)?;
            let shown = profile.iter().find(|value| value.variable == *name);
            let is_ours = shown.is_some_and(|value| {
                matches!(&value.source, Source::Record { property, .. }
                    if *property == field.property.name)
            });
            let (standing, detail) = match &register {
                None => (
                    Standing::Stopped,
                    format!("{label} has said nothing of it since it was mapped. {fills}"),
                ),
                Some(register) => match (&register.unreadable, &register.readable) {
                    (Some(reason), _) => (
                        Standing::Stopped,
                        // The words are ours: nothing of anybody's stands in them.
                        words::reason(reason).1.replace("HubSpot", label),
                    ),
                    (None, Some(readable)) if readable.value.is_none() => (
                        Standing::Done,
                        format!("It is empty in {label}, so the attribute is empty."),
                    ),
                    (None, _) if is_ours => {
                        (Standing::Done, format!("The user shows what {label} says."))
                    }
                    (None, _) => (
                        Standing::Stopped,
                        "The user does not show it yet; the next daily catch-up compares it."
                            .to_owned(),
                    ),
                },
            };
            fields.push(Field {
                property: field.property.name.to_string(),
                variable: name.clone(),
                standing,
                detail,
                value: shown.map(|value| value.value.clone()),
                changed_at: shown.map(|value| value.changed_at),
                written_at: shown.map(|value| value.written_at),
            });
        }
        Ok(fields)
    }

    /// What a user is called: the name, else the address, else an id.
    pub(super) fn called(&self, user: UserId) -> Result<String, store::Error> {
        let called = self.tx.user(self.route.project, user)?;
        let name = called.name.or(called.email).or(called.external_id);
        Ok(name.unwrap_or_else(|| user.to_string()))
    }

    pub(super) fn variable_name(
        &self,
        identifier: UserIdentifier,
    ) -> Result<Option<String>, store::Error> {
        match identifier {
            UserIdentifier::Variable(id) => {
                let variable = self.tx.variable_by_id(self.route.project, id)?;
                Ok(variable.map(|variable| variable.name))
            }
            UserIdentifier::Email | UserIdentifier::ExternalId => Ok(None),
        }
    }
}

fn mapped_fields(mapping: &ObjectMapping) -> impl Iterator<Item = (&FieldMapping, VariableId)> {
    let fields = mapping.fields.iter();
    fields.filter_map(|field| Some((field, field.variable?)))
}

fn written(fields: &[Field], label: &str, steps: &mut Steps) {
    let stopped: Vec<&Field> = fields
        .iter()
        .filter(|field| field.standing == Standing::Stopped)
        .collect();
    let last = fields.iter().filter_map(|field| field.written_at).max();
    let step = match stopped.as_slice() {
        [] => steps.done(Stage::Written, format!("The user shows what {label} says.")),
        [one] => {
            let detail = format!("{} is not shown. {}", one.property, one.detail);
            steps.stop(Stage::Written, detail, "")
        }
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.property.as_str()).collect();
            let detail = format!("These are not shown: {}.", names.join(", "));
            steps.stop(Stage::Written, detail, "The table says of each why.")
        }
    };
    step.at = last;
}
