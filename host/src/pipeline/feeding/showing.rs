//! What a record says, shown on the users that it feeds.

use super::Feeder;
use crate::{
    model::{FieldId, Readable, Unreadable, UserId, VariableId},
    pipeline::{
        brake::HELD,
        merge::{Said, merge},
        plan::Skip,
        report::RecordReport,
        routing::FieldPlace,
    },
    store::{
        self,
        records::{RecordKey, RecordState},
        registers::{FedValue, ValueSource},
    },
};

/// What came of showing something on a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The user shows something new, or nothing any more.
    Changed,
    /// The user showed that before.
    Unchanged,
    /// It would have taken a value from the user, and is held.
    Held,
}

/// Which registers that do not exist yet are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fills {
    /// None.
    None,
    /// Those of fields that were mapped already at the moment of what is said.
    Mapped,
    /// All.
    All,
}

impl Feeder<'_, '_> {
    /// Says texts of a record's properties to its registers, and shows what
    /// changed to the users that the record feeds. `fills`: which registers that do
    /// not exist yet are made.
    ///
    /// Returns whether two events disagree, which only a read can settle.
    pub fn say(
        &mut self,
        state: &RecordState,
        texts: &[(FieldPlace, Said)],
        fills: Fills,
        told: &mut RecordReport,
    ) -> Result<bool, store::Error> {
        let mut conflict = false;
        for (place, said) in texts {
            let field = self.route.field(*place);
            let version = said.version;
            let held = self.tx.register(state.key, field.id, field.target)?;
            if held.is_none() && fills == Fills::None {
                continue;
            }
            // An event from before its mapping never makes a register; a read
            // is of now.
            let is_of_then = version.sequence == 0 || fills == Fills::Mapped;
            if held.is_none() && is_of_then && version.stamp < field.saved_at {
                told.reason(Skip::BeforeMapping.as_str());
                continue;
            }
            if let Err(unreadable) = &said.outcome {
                told.unreadable(unreadable.as_str());
                self.unknown_choice |= *unreadable == Unreadable::UnknownChoice;
            }
            // What fills for the first time may have been so for years.
            let is_news = version.sequence == 0
                || held
                    .as_ref()
                    .is_some_and(|held| held.version.stamp < version.stamp);
            let merged = merge(held, said);
            conflict |= merged.conflict;
            if merged.changed {
                self.tx
                    .save_register(state.key, field.id, &merged.register)?;
            } else if said.outcome.is_ok() && version < merged.register.version {
                told.reason(Skip::Older.as_str());
            }
            if !merged.shown_changed {
                continue;
            }
            if field.variable.is_none() {
                // The selection depends on it.
                self.unknown_choice |= self.is_unknown(*place, &said.text);
                self.touch_reached(place.mapping, state.key)?;
                continue;
            }
            let Some(readable) = merged.register.readable else {
                continue;
            };
            if self.show_on_fed(*place, state.key, &readable, told)? && is_news {
                self.report.fresh(version.stamp, self.now);
            }
        }
        Ok(conflict)
    }

    /// Shows what a record's field says on the users that the record feeds.
    /// Returns whether that changed anything.
    pub fn show_on_fed(
        &mut self,
        place: FieldPlace,
        record: RecordKey,
        readable: &Readable,
        told: &mut RecordReport,
    ) -> Result<bool, store::Error> {
        let field = self.route.field(place);
        let Some(variable) = field.variable else {
            return Ok(false);
        };
        let users = self.fed_users(record)?;
        let mut changed = false;
        for user in &users {
            if self.feeds_by_a_hold(place.mapping, *user, record)? {
                told.reason(HELD);
                self.touch(place.mapping, *user);
                continue;
            }
            match self.show(
                place.mapping,
                *user,
                (variable, field.id),
                Some((record, readable)),
                None,
            )? {
                Shown::Changed => {
                    told.shown(*user, self.variable_name(variable));
                    changed = true;
                }
                Shown::Held => told.reason(HELD),
                Shown::Unchanged => {}
            }
            // What is held of it may be as the source says again.
            if self.is_held(place.mapping, *user)? {
                self.touch(place.mapping, *user);
            }
        }
        self.fed = Some((record, users));
        Ok(changed)
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
    /// showed, where nothing of it can be read, unless that is held. What a record
    /// showed that gives way is nobody's to lose.
    pub(super) fn show(
        &mut self,
        mapping: usize,
        user: UserId,
        (variable, field): (VariableId, FieldId),
        said: Option<(RecordKey, &Readable)>,
        gives_way: Option<RecordKey>,
    ) -> Result<Shown, store::Error> {
        let becomes = said.filter(|(_, readable)| readable.value.is_some());
        let becomes = becomes.map(|(record, _)| record);
        // Looked up for runs, and where a value may vanish: what is live and sets
        // a value need not know.
        let had = match (self.cause.run, becomes) {
            (None, Some(_)) => None,
            _ => self.tx.value_source(user, variable)?,
        };
        // What was set in Jimo whoever took the variable over has given up.
        let loses = match had {
            Some(ValueSource::Record(had)) => becomes != Some(had) && gives_way != Some(had),
            Some(ValueSource::Own) | None => false,
        };
        if loses && self.holds(mapping, user)? {
            self.hold(mapping, user)?;
            return Ok(Shown::Held);
        }
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
        if !changed {
            return Ok(Shown::Unchanged);
        }
        self.report.count("values_written", 1);
        if loses {
            self.lose(user);
        }
        let how = match (had, becomes) {
            (None, _) => "values.set",
            (Some(_), Some(_)) => "values.changed",
            (Some(_), None) => "values.cleared",
        };
        self.report.shows_otherwise(user, how);
        Ok(Shown::Changed)
    }
}
