//! What an administrator of an account changes of properties and of what may be chosen:
//! their options, pipelines and their stages, owners.

use crate::control::{Account, Done, type_of};
use crate::crm::{self, Error};
use crate::definitions::{Choice, Property};
use crate::pipelines::{Pipeline, Stage};

/// How likely a deal in a stage that a test makes is won.
const PROBABILITY: &str = "0.5";

/// Properties, and their options.
impl Account {
    fn change_definition<T>(
        &self,
        object_type: &str,
        name: &str,
        change: impl FnOnce(&mut Property) -> Done<T>,
    ) -> Done<T> {
        let of = type_of(object_type)?;
        let now = self.shared.clock.now_ms();
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        let property = account.definition_mut(of, name)?;
        let made = change(property)?;
        property.updated_at = now;
        Ok(made)
    }

    /// Has a property edited in another way, as `textarea`; what it holds stays.
    ///
    /// # Errors
    /// When there is no such property.
    pub fn edit_as(&self, object_type: &str, name: &str, field_type: &str) -> Done {
        self.change_definition(object_type, name, |property| {
            field_type.clone_into(&mut property.field_type);
            Ok(())
        })
    }

    /// Gives an option of a property another label; its value stays.
    ///
    /// # Errors
    /// When there is no such property or option.
    pub fn relabel(&self, object_type: &str, name: &str, value: &str, label: &str) -> Done {
        self.change_definition(object_type, name, |property| {
            let mut options = property.options.iter_mut();
            let option = options
                .find(|option| option.value == value)
                .ok_or_else(|| Error::Refused(format!("{name} has no option {value}")))?;
            label.clone_into(&mut option.label);
            Ok(())
        })
    }

    /// Adds an option to a property.
    ///
    /// # Errors
    /// When there is no such property, or it has an option of that value.
    pub fn add_option(&self, object_type: &str, name: &str, value: &str, label: &str) -> Done {
        self.change_definition(object_type, name, |property| {
            if property.options.iter().any(|option| option.value == value) {
                return Err(Error::Refused(format!("{name} has an option {value}")));
            }
            property.options.push(Choice {
                value: value.to_owned(),
                label: label.to_owned(),
            });
            Ok(())
        })
    }

    /// Removes an option of a property; records that hold it keep it.
    ///
    /// # Errors
    /// When there is no such property.
    pub fn remove_option(&self, object_type: &str, name: &str, value: &str) -> Done {
        self.change_definition(object_type, name, |property| {
            property.options.retain(|option| option.value != value);
            Ok(())
        })
    }
}

/// Pipelines of deals.
impl Account {
    fn arrange<T>(&self, change: impl FnOnce(&mut Vec<Pipeline>) -> Done<T>) -> Done<T> {
        let now = self.shared.clock.now_ms();
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        account.arrange_pipelines(now, change)
    }

    fn change_stage(&self, id: &str, change: impl FnOnce(&mut Stage)) -> Done {
        self.arrange(|pipelines| {
            let mut stages = pipelines.iter_mut().flat_map(|one| &mut one.stages);
            let stage = stages.find(|stage| stage.id == id);
            change(stage.ok_or_else(|| Error::Refused(format!("there is no stage {id}")))?);
            Ok(())
        })
    }

    /// Makes a pipeline of stages, each given as id, label and whether deals there are closed.
    ///
    /// # Errors
    /// When there is a pipeline or a stage of such an id.
    pub fn define_pipeline(&self, id: &str, label: &str, stages: &[(&str, &str, bool)]) -> Done {
        let now = self.shared.clock.now_ms();
        self.arrange(|pipelines| {
            if pipelines.iter().any(|pipeline| pipeline.id == id) {
                return Err(Error::Refused(format!("there is a pipeline {id}")));
            }
            let stages = stages
                .iter()
                .map(|&(id, label, closed)| stage(id, label, closed));
            pipelines.push(Pipeline::new(id, label, stages.collect(), now));
            Ok(())
        })
    }

    /// Adds a stage to a pipeline.
    ///
    /// # Errors
    /// When there is no such pipeline, or a stage of that id.
    pub fn add_stage(&self, pipeline: &str, id: &str, label: &str, closed: bool) -> Done {
        self.arrange(|pipelines| {
            let found = pipelines.iter_mut().find(|one| one.id == pipeline);
            let found =
                found.ok_or_else(|| Error::Refused(format!("there is no pipeline {pipeline}")))?;
            found.stages.push(stage(id, label, closed));
            Ok(())
        })
    }

    /// Gives a pipeline another label; its id stays.
    ///
    /// # Errors
    /// When there is no such pipeline.
    pub fn rename_pipeline(&self, id: &str, label: &str) -> Done {
        self.arrange(|pipelines| {
            let found = pipelines.iter_mut().find(|pipeline| pipeline.id == id);
            let found =
                found.ok_or_else(|| Error::Refused(format!("there is no pipeline {id}")))?;
            label.clone_into(&mut found.label);
            Ok(())
        })
    }

    /// Gives a stage another label; its id stays.
    ///
    /// # Errors
    /// When there is no such stage.
    pub fn rename_stage(&self, id: &str, label: &str) -> Done {
        self.change_stage(id, |stage| label.clone_into(&mut stage.label))
    }

    /// Says whether deals in a stage are closed.
    ///
    /// # Errors
    /// When there is no such stage.
    pub fn set_stage_closed(&self, id: &str, closed: bool) -> Done {
        self.change_stage(id, |stage| stage.closed = closed)
    }
}

fn stage(id: &str, label: &str, closed: bool) -> Stage {
    Stage {
        id: id.to_owned(),
        label: label.to_owned(),
        closed,
        probability: PROBABILITY.to_owned(),
    }
}

/// Owners.
impl Account {
    fn change_owners<T>(&self, change: impl FnOnce(&mut crm::Account, i64) -> Done<T>) -> Done<T> {
        let now = self.shared.clock.now_ms();
        let mut state = self.shared.lock();
        change(state.world.account(self.portal)?, now)
    }

    /// Makes an owner; answers with its id, which records are assigned by.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn add_owner(&self, email: &str, first_name: &str, last_name: &str) -> Done<u64> {
        self.change_owners(|account, now| {
            Ok(account.add_owner(email, (first_name, last_name), now))
        })
    }

    /// Gives an owner another name.
    ///
    /// # Errors
    /// When there is no such owner.
    pub fn rename_owner(&self, id: u64, first_name: &str, last_name: &str) -> Done {
        self.change_owners(|account, now| {
            account.change_owner(id, now, |owner| {
                first_name.clone_into(&mut owner.first_name);
                last_name.clone_into(&mut owner.last_name);
            })
        })
    }

    /// Archives an owner, as when its user is removed; records stay assigned.
    ///
    /// # Errors
    /// When there is no such owner.
    pub fn archive_owner(&self, id: u64) -> Done {
        self.change_owners(|account, now| {
            account.change_owner(id, now, |owner| owner.archived = true)
        })
    }
}
