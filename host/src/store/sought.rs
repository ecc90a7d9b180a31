//! Users by their values, of the variables that segments name.
//!
//! Invariant: `sought_values` has, of each variable that a segment names, the
//! keys of all its values, and of no other variable anything. Whatever writes
//! values does so through this module.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode};
use crate::model::{
    UserId, VariableId, VariableType,
    condition::{Key, keys_of},
};

impl Tx<'_> {
    /// Whether segments name a variable, so that users are found by its values.
    pub(super) fn is_sought(&self, variable: VariableId) -> Result<bool, Error> {
        if let Some(is_sought) = self.sought.borrow().get(&variable) {
            return Ok(*is_sought);
        }
        let is_sought = self
            .statement("SELECT EXISTS (SELECT 1 FROM segment_variables WHERE variable = ?1)")?
            .query_one([variable.0], |row| row.get(0))?;
        self.sought.borrow_mut().insert(variable, is_sought);
        Ok(is_sought)
    }

    /// Does what `write` does to a user's value for a variable, and finds the
    /// user by what it is then. Returns what `write` returns: how much changed.
    pub(super) fn keeping_sought(
        &self,
        user: UserId,
        variable: VariableId,
        write: impl FnOnce() -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        if !self.is_sought(variable)? {
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
            for key in &after {
                self.statement(
                    "INSERT INTO sought_values (variable, key, user) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![variable.0, encode::key(key), user.0])?;
            }
        }
        Ok(changed)
    }

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

    /// Finds nobody by values of a variable that are gone, after many went at
    /// once.
    pub(super) fn forget_gone_values(&self, variable: VariableId) -> Result<(), Error> {
        if self.is_sought(variable)? {
            super::delete(
                self,
                "DELETE FROM sought_values WHERE variable = ?1 AND NOT EXISTS (
                    SELECT 1 FROM user_values v
                    WHERE v.user = sought_values.user AND v.variable = ?1)",
                variable.0,
            )?;
        }
        Ok(())
    }

    /// Makes users found by the values of these variables, and of no others of
    /// those that were or are named by segments.
    pub(super) fn seek_values(
        &self,
        before: &BTreeSet<VariableId>,
        now: &BTreeSet<VariableId>,
    ) -> Result<(), Error> {
        self.sought.borrow_mut().clear();
        for variable in before.difference(now) {
            if !self.is_sought(*variable)? {
                let sql = "DELETE FROM sought_values WHERE variable = ?1";
                super::delete(self, sql, variable.0)?;
            }
        }
        for variable in now.difference(before) {
            self.find_by_values(*variable)?;
        }
        Ok(())
    }

    /// Finds users by the values of a variable, where it does not yet.
    fn find_by_values(&self, variable: VariableId) -> Result<(), Error> {
        let found = self
            .statement("SELECT EXISTS (SELECT 1 FROM sought_values WHERE variable = ?1)")?
            .query_one([variable.0], |row| row.get::<_, bool>(0))?;
        if found {
            return Ok(());
        }
        // In the order of the keys: each page is written once.
        let sql = match self.variable_type(variable)? {
            VariableType::Text => {
                "INSERT INTO sought_values (variable, key, user)
                 SELECT ?1, folded(v.value), v.user
                 FROM variables a CROSS JOIN users u CROSS JOIN user_values v
                 WHERE a.id = ?1 AND u.project = a.project
                   AND v.user = u.id AND v.variable = ?1 ORDER BY 2, 3"
            }
            VariableType::List => {
                "INSERT INTO sought_values (variable, key, user)
                 SELECT DISTINCT ?1, folded(j.value), v.user
                 FROM variables a CROSS JOIN users u CROSS JOIN user_values v
                   CROSS JOIN json_each(v.value) j
                 WHERE a.id = ?1 AND u.project = a.project
                   AND v.user = u.id AND v.variable = ?1 ORDER BY 2, 3"
            }
            VariableType::Number
            | VariableType::Boolean
            | VariableType::Date
            | VariableType::Datetime => {
                "INSERT INTO sought_values (variable, key, user)
                 SELECT ?1, v.value, v.user
                 FROM variables a CROSS JOIN users u CROSS JOIN user_values v
                 WHERE a.id = ?1 AND u.project = a.project
                   AND v.user = u.id AND v.variable = ?1 ORDER BY 2, 3"
            }
        };
        self.statement(sql)?.execute([variable.0])?;
        Ok(())
    }
}
