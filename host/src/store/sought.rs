//! Users by their values, of the variables that segments name.
//!
//! Invariant: `sought_values` has the keys of all values of a variable whose users
//! are found by them ([`Tx::finds_by`]), and of no variable that it is not about to
//! have, or to let go of, anything. Keys are made and let go of some users at a time,
//! so that nobody's writing waits; until all are there, conditions look at the values
//! themselves. Whatever writes values does so through this module.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Error, Tx, encode};
use crate::model::{
    ProjectId, UserId, VariableId, VariableType,
    condition::{Key, keys_of},
};

/// Users whose keys are made, or keys that are let go of, in the transaction that
/// saves or deletes a segment: a project of no more users has them at once.
const AT_ONCE: usize = 1_000;

/// What is kept of the keys of a variable's values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    /// Whether there may be any.
    has_keys: bool,
    /// Whether values that are written get theirs.
    takes_keys: bool,
    /// Whether they are those of all values that users show, and of no others.
    are_all: bool,
    /// Whether some values are there that users do not show.
    has_unshown: bool,
}

impl Tx<'_> {
    /// Whether users are found by the keys of a variable's values: all of them, and
    /// nobody by a value that they do not show.
    pub(super) fn finds_by(&self, variable: VariableId) -> Result<bool, Error> {
        Ok(self.sought_of(variable)?.are_all)
    }

    /// What the values of a variable that users show are read from: the plain table
    /// where that is the same, for SQLite goes through it faster.
    pub(super) fn shown_values_of(&self, variable: VariableId) -> Result<&'static str, Error> {
        Ok(match self.sought_of(variable)?.has_unshown {
            true => "shown_values",
            false => "user_values",
        })
    }

    fn sought_of(&self, variable: VariableId) -> Result<Sought, Error> {
        if let Some(sought) = self.sought.borrow().get(&variable) {
            return Ok(*sought);
        }
        let (stage, is_cleared): (Option<String>, bool) = self
            .statement(
                "SELECT (SELECT stage FROM sought_variables WHERE variable = ?1),
                    EXISTS (SELECT 1 FROM released_fields WHERE variable = ?1 AND NOT keep)",
            )?
            .query_one([variable.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let stage = stage.as_deref();
        let sought = Sought {
            has_keys: stage.is_some(),
            takes_keys: matches!(stage, Some("building" | "complete")),
            are_all: stage == Some("complete") && !is_cleared,
            has_unshown: is_cleared,
        };
        self.sought.borrow_mut().insert(variable, sought);
        Ok(sought)
    }

    /// Does what `write` does to a user's value for a variable, and finds the
    /// user by what it is then. Returns what `write` returns: how much changed.
    pub(super) fn keeping_sought(
        &self,
        user: UserId,
        variable: VariableId,
        write: impl FnOnce() -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        let sought = self.sought_of(variable)?;
        if !sought.has_keys {
            return write();
        }
        let before = self.sought_keys(user, variable)?;
        let changed = write()?;
        if changed == 0 {
            return Ok(0);
        }
        let after = self.sought_keys(user, variable)?;
        if before != after {
            for key in &before {
                self.statement(
                    "DELETE FROM sought_values WHERE variable = ?1 AND key = ?2 AND user = ?3",
                )?
                .execute(params![variable.0, encode::key(key), user.0])?;
            }
            for key in after.iter().filter(|_| sought.takes_keys) {
                self.statement(
                    "INSERT INTO sought_values (variable, key, user) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![variable.0, encode::key(key), user.0])?;
            }
        }
        Ok(changed)
    }

    /// The keys of a user's value, whether they show it or not.
    fn sought_keys(&self, user: UserId, variable: VariableId) -> Result<Vec<Key>, Error> {
        let value = self
            .statement(
                "SELECT v.value, a.type FROM user_values v JOIN variables a ON a.id = v.variable
                 WHERE v.user = ?1 AND v.variable = ?2",
            )?
            .query_row(params![user.0, variable.0], |row| {
                Ok((row.get::<_, rusqlite::types::Value>(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((value, of)) = value else {
            return Ok(Vec::new());
        };
        let of: String = of;
        let value = encode::read_value((&value).into(), encode::read_variable_type(&of)?)?;
        Ok(keys_of(&value))
    }

    /// Finds a user by no value any more.
    pub(super) fn forget_sought_user(&self, user: UserId) -> Result<(), Error> {
        let held = self
            .statement("SELECT variable FROM user_values WHERE user = ?1")?
            .query_map([user.0], |row| row.get(0).map(VariableId))?
            .collect::<Result<Vec<_>, _>>()?;
        for variable in held {
            self.keeping_sought(user, variable, || {
                let mut statement =
                    self.statement("DELETE FROM user_values WHERE user = ?1 AND variable = ?2")?;
                Ok(statement.execute(params![user.0, variable.0])?)
            })?;
        }
        Ok(())
    }

    /// Makes users found by the values of these variables, and of no others of
    /// those that were or are named by segments: at once where they are few, else
    /// behind ([`Tx::seek_more`]).
    pub(super) fn seek_values(
        &self,
        before: &BTreeSet<VariableId>,
        now: &BTreeSet<VariableId>,
    ) -> Result<(), Error> {
        for variable in before.difference(now) {
            if !self.is_named(*variable)? {
                self.statement(
                    "UPDATE sought_variables SET stage = 'clearing', up_to = 0
                     WHERE variable = ?1",
                )?
                .execute([variable.0])?;
                self.seek_more(*variable, AT_ONCE)?;
            }
        }
        for variable in now.difference(before) {
            let added = self
                .statement(
                    "INSERT OR IGNORE INTO sought_variables (variable, stage)
                     VALUES (?1, 'building')",
                )?
                .execute([variable.0])?;
            if added > 0 {
                self.seek_more(*variable, AT_ONCE)?;
            }
        }
        self.sought.borrow_mut().clear();
        Ok(())
    }

    /// The first variable of which keys are left to be made or let go of, but for those
    /// that are passed over.
    pub fn next_sought(&self, passed: &[i64]) -> Result<Option<VariableId>, Error> {
        let next: Option<i64> = self
            .statement(
                "SELECT min(variable) FROM sought_variables
                 WHERE stage <> 'complete' AND variable NOT IN (SELECT value FROM json_each(?1))",
            )?
            .query_one([json!(passed).to_string()], |row| row.get(0))?;
        Ok(next.map(VariableId))
    }

    fn is_named(&self, variable: VariableId) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT EXISTS (SELECT 1 FROM segment_variables WHERE variable = ?1)")?
            .query_one([variable.0], |row| row.get(0))?)
    }

    /// Makes the keys of so many users' values for a variable, or lets go of so many
    /// keys. Call again while any are left.
    pub fn seek_more(&self, variable: VariableId, limit: usize) -> Result<(), Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let held: Option<(String, i64)> = self
            .statement("SELECT stage, up_to FROM sought_variables WHERE variable = ?1")?
            .query_row([variable.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((stage, up_to)) = held else {
            return Ok(());
        };
        match stage.as_str() {
            "building" => self.make_keys(variable, UserId(up_to), limit)?,
            "clearing" => self.clear_keys(variable, limit)?,
            _ => {}
        }
        self.sought.borrow_mut().remove(&variable);
        Ok(())
    }

    fn clear_keys(&self, variable: VariableId, limit: i64) -> Result<(), Error> {
        let cleared = self
            .statement(
                "DELETE FROM sought_values WHERE (variable, key, user) IN (
                    SELECT variable, key, user FROM sought_values WHERE variable = ?1 LIMIT ?2)",
            )?
            .execute([variable.0, limit])?;
        if i64::try_from(cleared).unwrap_or(i64::MAX) == limit {
            return Ok(());
        }
        // Named again meanwhile, it begins anew.
        match self.is_named(variable)? {
            true => self
                .statement(
                    "UPDATE sought_variables SET stage = 'building', up_to = 0
                     WHERE variable = ?1",
                )?
                .execute([variable.0])?,
            false => self.execute_by_id(
                "DELETE FROM sought_variables WHERE variable = ?1",
                variable.0,
            )?,
        };
        Ok(())
    }

    /// Makes the keys of the next users' values.
    fn make_keys(&self, variable: VariableId, up_to: UserId, limit: i64) -> Result<(), Error> {
        let (project, of): (i64, String) = self
            .statement("SELECT project, type FROM variables WHERE id = ?1")?
            .query_one([variable.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let project = ProjectId(project);
        let Some(last) = self.last_of_next_users(project, up_to, limit)? else {
            return self.has_all_keys(variable);
        };
        // Who was written to meanwhile has theirs. In the order of the keys: each
        // page is written once.
        let sql = match encode::read_variable_type(&of)? {
            VariableType::Text => {
                "INSERT OR IGNORE INTO sought_values (variable, key, user)
                 SELECT ?1, folded(v.value), v.user FROM users u CROSS JOIN user_values v
                 WHERE u.project = ?2 AND u.id > ?3 AND u.id <= ?4
                   AND v.user = u.id AND v.variable = ?1 ORDER BY 2, 3"
            }
            VariableType::List => {
                "INSERT OR IGNORE INTO sought_values (variable, key, user)
                 SELECT ?1, folded(j.value), v.user
                 FROM users u CROSS JOIN user_values v CROSS JOIN json_each(v.value) j
                 WHERE u.project = ?2 AND u.id > ?3 AND u.id <= ?4
                   AND v.user = u.id AND v.variable = ?1 ORDER BY 2, 3"
            }
            VariableType::Number
            | VariableType::Boolean
            | VariableType::Date
            | VariableType::Datetime => {
                "INSERT OR IGNORE INTO sought_values (variable, key, user)
                 SELECT ?1, v.value, v.user FROM users u CROSS JOIN user_values v
                 WHERE u.project = ?2 AND u.id > ?3 AND u.id <= ?4
                   AND v.user = u.id AND v.variable = ?1 ORDER BY 2, 3"
            }
        };
        self.statement(sql)?
            .execute(params![variable.0, project.0, up_to.0, last.0])?;
        if self.last_of_next_users(project, last, 1)?.is_none() {
            return self.has_all_keys(variable);
        }
        self.statement("UPDATE sought_variables SET up_to = ?2 WHERE variable = ?1")?
            .execute([variable.0, last.0])?;
        Ok(())
    }

    fn has_all_keys(&self, variable: VariableId) -> Result<(), Error> {
        self.statement("UPDATE sought_variables SET stage = 'complete' WHERE variable = ?1")?
            .execute([variable.0])?;
        Ok(())
    }
}
