//! Fields that are gone: with the commit their values are ordinary Jimo values, or
//! are not there; the rows follow behind, some at a time.
//!
//! Invariant: what users show is read from `shown_values`, which says so of each row
//! by the field that it names. Only what writes or removes rows looks at
//! `user_values` itself.

use rusqlite::params;
use serde_json::json;

use super::{Error, Tx};
use crate::model::{ConnectionId, FieldMapping, ObjectType, ProjectId, UserId, VariableId};

/// A release of which something is left.
struct Pending {
    id: i64,
    project: ProjectId,
    keep: bool,
    /// The connection and object type whose registers are let go of, by their
    /// numbers; none where they are purged with their records.
    registers: Option<(i64, i64)>,
    /// Whose values are done; none when all are.
    users_up_to: Option<i64>,
}

impl Tx<'_> {
    /// Removes fields, and ends their hold on their values: these become ordinary
    /// Jimo values (`keep`), or are gone. Their registers go where it is said whose
    /// records these are of; else they go with their records.
    pub fn release_fields(
        &self,
        project: ProjectId,
        registers: Option<(ConnectionId, &ObjectType)>,
        fields: &[FieldMapping],
        keep: bool,
    ) -> Result<(), Error> {
        if fields.is_empty() {
            return Ok(());
        }
        let (connection, object_type) = match registers {
            Some((connection, of)) => (Some(connection.0), Some(self.object_type_id(of)?)),
            None => (None, None),
        };
        // Fields that only a selection depends on show nowhere.
        let shows = fields.iter().any(|field| field.variable.is_some());
        let users_up_to = shows.then_some(0);
        let release: i64 = self
            .statement(
                "INSERT INTO releases (project, keep, connection, object_type, users_up_to)
                 VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
            )?
            .query_one(
                params![project.0, keep, connection, object_type, users_up_to],
                |row| row.get(0),
            )?;
        for field in fields {
            self.statement(
                "INSERT INTO released_fields (field, release, variable, keep)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                field.id.0,
                release,
                field.variable.map(|variable| variable.0),
                keep
            ])?;
            self.execute_by_id("DELETE FROM fields WHERE id = ?1", field.id.0)?;
        }
        self.sought.borrow_mut().clear();
        Ok(())
    }

    /// The number of the oldest release of which something is left, but for those
    /// that are passed over.
    pub fn next_release(&self, passed: &[i64]) -> Result<Option<i64>, Error> {
        Ok(self
            .statement(
                "SELECT min(id) FROM releases
                 WHERE id NOT IN (SELECT value FROM json_each(?1))",
            )?
            .query_one([json!(passed).to_string()], |row| row.get(0))?)
    }

    /// Brings some more rows of a release to what is so already: the values of so many
    /// users, or the registers of so many records. Call again while anything is left.
    pub fn release_more(&self, release: i64, limit: usize) -> Result<(), Error> {
        let Some(pending) = self.pending_release(release)? else {
            return Ok(());
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match pending.users_up_to {
            Some(up_to) => self.release_values_of(&pending, up_to, limit),
            None => self.release_registers(&pending, limit),
        }
    }

    /// Whether something is left of fields that are gone.
    pub fn has_releases(&self) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT EXISTS (SELECT 1 FROM releases)")?
            .query_one([], |row| row.get(0))?)
    }

    fn pending_release(&self, release: i64) -> Result<Option<Pending>, Error> {
        let mut statement = self.statement(
            "SELECT id, project, keep, connection, object_type, users_up_to
             FROM releases WHERE id = ?1",
        )?;
        let mut rows = statement.query([release])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let connection: Option<i64> = row.get(3)?;
        Ok(Some(Pending {
            id: row.get(0)?,
            project: ProjectId(row.get(1)?),
            keep: row.get(2)?,
            registers: connection.zip(row.get(4)?),
            users_up_to: row.get(5)?,
        }))
    }

    fn release_values_of(&self, pending: &Pending, up_to: i64, limit: i64) -> Result<(), Error> {
        let last = self.last_of_next_users(pending.project, UserId(up_to), limit)?;
        if let Some(last) = last {
            let users = params![pending.project.0, up_to, last.0, pending.id];
            match pending.keep {
                true => {
                    self.statement(
                        "UPDATE user_values SET field = NULL, record = NULL
                         WHERE user IN (SELECT id FROM users
                                        WHERE project = ?1 AND id > ?2 AND id <= ?3)
                           AND field IN (SELECT field FROM released_fields WHERE release = ?4)",
                    )?
                    .execute(users)?;
                }
                false => {
                    let gone = self
                        .statement(
                            "SELECT v.user, v.variable FROM users u CROSS JOIN user_values v
                             WHERE u.project = ?1 AND u.id > ?2 AND u.id <= ?3 AND v.user = u.id
                               AND v.field IN (
                                   SELECT field FROM released_fields WHERE release = ?4)",
                        )?
                        .query_map(users, |row| {
                            Ok((UserId(row.get(0)?), VariableId(row.get(1)?)))
                        })?
                        .collect::<Result<Vec<_>, _>>()?;
                    for (user, variable) in gone {
                        self.remove_value(user, variable)?;
                    }
                }
            }
        }
        self.statement("UPDATE releases SET users_up_to = ?2 WHERE id = ?1")?
            .execute(params![pending.id, last.map(|last| last.0)])?;
        Ok(())
    }

    fn remove_value(&self, user: UserId, variable: VariableId) -> Result<(), Error> {
        self.keeping_sought(user, variable, || {
            let mut statement =
                self.statement("DELETE FROM user_values WHERE user = ?1 AND variable = ?2")?;
            Ok(statement.execute(params![user.0, variable.0])?)
        })?;
        Ok(())
    }

    fn release_registers(&self, pending: &Pending, limit: i64) -> Result<(), Error> {
        let records = match pending.registers {
            Some((connection, object_type)) => self
                .statement(
                    // Only records that reach a user have registers.
                    "SELECT r.id FROM releases d CROSS JOIN records r
                     WHERE d.id = ?1 AND r.connection = ?2 AND r.object_type = ?3 AND r.reached
                       AND r.id > coalesce(d.records_up_to, 0)
                     ORDER BY r.id LIMIT ?4",
                )?
                .query_map(params![pending.id, connection, object_type, limit], |row| {
                    row.get::<_, i64>(0)
                })?
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        for record in &records {
            self.statement(
                "DELETE FROM registers WHERE record = ?1
                    AND field IN (SELECT field FROM released_fields WHERE release = ?2)",
            )?
            .execute([*record, pending.id])?;
        }
        match records.last() {
            Some(last) => {
                self.statement("UPDATE releases SET records_up_to = ?2 WHERE id = ?1")?
                    .execute(params![pending.id, last])?;
            }
            None => {
                self.execute_by_id("DELETE FROM releases WHERE id = ?1", pending.id)?;
                self.sought.borrow_mut().clear();
            }
        }
        Ok(())
    }

    /// The last of a project's next users after one; none where there are no more.
    pub(super) fn last_of_next_users(
        &self,
        project: ProjectId,
        after: UserId,
        limit: i64,
    ) -> Result<Option<UserId>, Error> {
        let last: Option<i64> = self
            .statement(
                "SELECT max(id) FROM (SELECT id FROM users WHERE project = ?1 AND id > ?2
                                      ORDER BY id LIMIT ?3)",
            )?
            .query_one([project.0, after.0, limit], |row| row.get(0))?;
        Ok(last.map(UserId))
    }
}
