//! Users: Jimo's own side, the only way they come to exist.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode, optional_timestamp, timestamp, variables::Variable};
use crate::model::{
    ConnectionId, KeyKind, ObjectType, ProjectId, PropertyName, RecordId, Timestamp, UserId,
    UserIdentifier, Value, VariableId, VariableType, fold, normalise,
};

/// A user, without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Jimo's own id.
    pub id: UserId,
    /// The customer's own id.
    pub external_id: Option<String>,
    /// The e-mail address, as it was given.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Jimo itself: the customer's own code.
    Jimo,
    /// A property of a record.
    Record {
        /// The connector's name.
        connector: String,
        /// The connection.
        connection: ConnectionId,
        /// The object type.
        object_type: ObjectType,
        /// The record.
        record: RecordId,
        /// The property.
        property: PropertyName,
    },
}

/// A value on a user's profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileValue {
    /// The variable's name.
    pub variable: String,
    /// What people read, where it differs.
    pub label: Option<String>,
    /// The variable's type.
    pub variable_type: VariableType,
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
    /// The source's stamp: of the change, or of the record when it was read.
    pub changed_at: Timestamp,
    /// When we wrote it.
    pub written_at: Timestamp,
    /// Why the source's newest value is not this one, by the word of
    /// [`crate::model::Unreadable::as_str`].
    pub unreadable: Option<String>,
}

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Whose e-mail address is this one, whatever its case.
    pub email: Option<String>,
    /// Whose external id is this one.
    pub external_id: Option<String>,
    /// Whose name, e-mail address or external id has this in it, whatever its case.
    pub text: Option<String>,
}

impl Tx<'_> {
    /// A user of the project.
    pub fn user(&self, project: ProjectId, id: UserId) -> Result<User, Error> {
        self.statement(
            "SELECT id, external_id, email, name FROM users WHERE project = ?1 AND id = ?2",
        )?
        .query_row(params![project.0, id.0], read_user)
        .optional()?
        .ok_or(Error::NotFound("user"))
    }

    /// Users of the project in the order of their ids, after `after`.
    pub fn users(
        &self,
        project: ProjectId,
        filter: &UserFilter,
        after: UserId,
        limit: usize,
    ) -> Result<Vec<User>, Error> {
        let email = filter
            .email
            .as_deref()
            .map(|email| normalise(KeyKind::Email, email));
        let part = filter.text.as_deref().map(fold);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // One statement for each way in, so that each uses its index.
        let (sql, key): (&str, Option<String>) = match (&email, &filter.external_id, &part) {
            (Some(None), ..) => return Ok(Vec::new()),
            (Some(Some(email)), ..) => (
                "SELECT u.id, u.external_id, u.email, u.name FROM user_keys k
                 JOIN users u ON u.id = k.user
                 WHERE k.project = ?1 AND k.identifier = 0 AND k.kind = 1 AND k.key = ?4
                   AND u.id > ?2 ORDER BY u.id LIMIT ?3",
                Some(email.clone()),
            ),
            (None, Some(external_id), _) => (
                "SELECT id, external_id, email, name FROM users
                 WHERE project = ?1 AND external_id = ?4 AND id > ?2 ORDER BY id LIMIT ?3",
                Some(external_id.trim().to_owned()),
            ),
            (None, None, Some(part)) => (
                "SELECT id, external_id, email, name FROM users
                 WHERE project = ?1 AND id > ?2 AND (instr(folded(name), ?4)
                   OR instr(folded(email), ?4) OR instr(folded(external_id), ?4))
                 ORDER BY id LIMIT ?3",
                Some(part.clone()),
            ),
            (None, None, None) => (
                "SELECT id, external_id, email, name FROM users
                 WHERE project = ?1 AND id > ?2 AND ?4 IS NULL ORDER BY id LIMIT ?3",
                None,
            ),
        };
        let mut statement = self.statement(sql)?;
        let rows = statement.query_map(params![project.0, after.0, limit, key], read_user)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many users the project has.
    pub fn user_count(&self, project: ProjectId) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT count(*) FROM users WHERE project = ?1")?
            .query_one([project.0], |row| row.get(0))?)
    }

    /// At most `max` users of the project, scattered over all of them, in the order of
    /// their ids; and how many there are. Those who were made in turns, as imports make
    /// them, are not told apart by it; it gives the same users again.
    pub fn users_spread(
        &self,
        project: ProjectId,
        max: usize,
    ) -> Result<(Vec<UserId>, usize), Error> {
        let total = usize::try_from(self.user_count(project)?).unwrap_or_default();
        // Knuth's multiplicative hash: ids in a row come far from each other.
        let mut statement = self.statement(
            "SELECT id FROM users WHERE project = ?1
             ORDER BY (id * 2654435761) % 4294967296 LIMIT ?2",
        )?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = statement.query_map([project.0, max], |row| row.get(0).map(UserId))?;
        let mut users: Vec<UserId> = rows.collect::<Result<_, _>>()?;
        users.sort_unstable();
        Ok((users, total))
    }

    /// The project's users whose identifier, in the form of its kind, is the
    /// key, in the order of their ids.
    pub fn users_by_key(
        &self,
        project: ProjectId,
        identifier: UserIdentifier,
        kind: KeyKind,
        key: &str,
    ) -> Result<Vec<UserId>, Error> {
        let mut statement = self.statement(
            "SELECT user FROM user_keys
             WHERE project = ?1 AND identifier = ?2 AND kind = ?3 AND key = ?4 ORDER BY user",
        )?;
        let rows = statement.query_map(
            params![
                project.0,
                encode::identifier(identifier),
                encode::key_kind(kind),
                key
            ],
            |row| row.get(0).map(UserId),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes a user. The keys are the caller's to set.
    pub fn create_user(
        &self,
        project: ProjectId,
        external_id: Option<&str>,
        email: Option<&str>,
        name: Option<&str>,
        now: Timestamp,
    ) -> Result<UserId, Error> {
        self.statement(
            "INSERT INTO users (project, external_id, email, name, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![project.0, external_id, email, name, now.0])?;
        Ok(UserId(self.connection.last_insert_rowid()))
    }

    /// Changes a user's own fields. The keys are the caller's to set.
    pub fn update_user(&self, user: &User, now: Timestamp) -> Result<(), Error> {
        self.statement(
            "UPDATE users SET external_id = ?2, email = ?3, name = ?4, updated_at = ?5
                 WHERE id = ?1",
        )?
        .execute(params![
            user.id.0,
            user.external_id,
            user.email,
            user.name,
            now.0
        ])?;
        Ok(())
    }

    /// Makes `text` (none: nothing) what the user is found by under an
    /// identifier, in every form that it has. Returns the forms it has now, and
    /// whether they differ from before.
    pub fn set_user_keys(
        &self,
        project: ProjectId,
        user: UserId,
        identifier: UserIdentifier,
        text: Option<&str>,
    ) -> Result<(Vec<(KeyKind, String)>, bool), Error> {
        let stored = encode::identifier(identifier);
        let kinds: &[KeyKind] = match identifier {
            UserIdentifier::Email => &[KeyKind::Email],
            UserIdentifier::ExternalId | UserIdentifier::Variable(_) => {
                &[KeyKind::Email, KeyKind::Id, KeyKind::Number]
            }
        };
        let keys: Vec<(KeyKind, String)> = kinds
            .iter()
            .filter_map(|kind| Some((*kind, normalise(*kind, text?)?)))
            .collect();
        let mut statement =
            self.statement("SELECT kind, key FROM user_keys WHERE user = ?1 AND identifier = ?2")?;
        let mut held = statement
            .query_map(params![user.0, stored], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<Vec<(i64, String)>, _>>()?;
        held.sort();
        let mut wanted: Vec<_> = keys
            .iter()
            .map(|(kind, key)| (encode::key_kind(*kind), key.clone()))
            .collect();
        wanted.sort();
        if held == wanted {
            return Ok((keys, false));
        }
        self.statement("DELETE FROM user_keys WHERE user = ?1 AND identifier = ?2")?
            .execute(params![user.0, stored])?;
        let mut insert = self.statement(
            "INSERT INTO user_keys (project, identifier, kind, key, user)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (kind, key) in &wanted {
            insert.execute(params![project.0, stored, kind, key, user.0])?;
        }
        Ok((keys, true))
    }

    /// Finds nobody of the project by an identifier any more.
    pub fn drop_user_keys(
        &self,
        project: ProjectId,
        identifier: UserIdentifier,
    ) -> Result<(), Error> {
        self.statement("DELETE FROM user_keys WHERE project = ?1 AND identifier = ?2")?
            .execute(params![project.0, encode::identifier(identifier)])?;
        Ok(())
    }

    /// Forgets a user and all that is kept of them.
    pub fn delete_user(&self, user: UserId) -> Result<(), Error> {
        self.forget_sought_user(user)?;
        for sql in [
            "DELETE FROM user_values WHERE user = ?1",
            "DELETE FROM user_keys WHERE user = ?1",
            "DELETE FROM feeds WHERE user = ?1",
            "DELETE FROM held_selections WHERE user = ?1",
            "DELETE FROM reselections WHERE user = ?1",
            "DELETE FROM losses WHERE user = ?1",
            "DELETE FROM shadow_examples WHERE key IN (
                SELECT record FROM links WHERE user = ?1
                UNION SELECT a.to_record FROM links l
                JOIN associations a ON a.from_record = l.record WHERE l.user = ?1)",
            "DELETE FROM links WHERE user = ?1",
            "DELETE FROM activity WHERE user = ?1",
            "UPDATE activity SET users = users - 1
             WHERE id IN (SELECT activity FROM activity_users WHERE user = ?1)",
            "DELETE FROM activity_users WHERE user = ?1",
            "DELETE FROM run_examples WHERE user = ?1",
            "DELETE FROM run_users WHERE user = ?1",
            "DELETE FROM users WHERE id = ?1",
        ] {
            self.execute_by_id(sql, user.0)?;
        }
        Ok(())
    }

    /// Writes a value of Jimo's own side; none clears it.
    pub fn set_jimo_value(
        &self,
        user: UserId,
        variable: VariableId,
        value: Option<&Value>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let write = || match value {
            Some(value) => Ok(self
                .statement(
                    "INSERT INTO user_values (user, variable, value, changed_at, written_at)
                     VALUES (?1, ?2, ?3, ?4, ?4)
                     ON CONFLICT (user, variable) DO UPDATE SET value = excluded.value,
                        field = NULL, record = NULL,
                        changed_at = excluded.changed_at, written_at = excluded.written_at
                     WHERE value IS NOT excluded.value OR field IS NOT NULL",
                )?
                .execute(params![user.0, variable.0, encode::value(value), now.0])?),
            None => Ok(self
                .statement("DELETE FROM user_values WHERE user = ?1 AND variable = ?2")?
                .execute(params![user.0, variable.0])?),
        };
        self.keeping_sought(user, variable, write)?;
        Ok(())
    }

    /// What a user has for a variable.
    pub fn value(&self, user: UserId, variable: &Variable) -> Result<Option<Value>, Error> {
        let mut statement =
            self.statement("SELECT value FROM shown_values WHERE user = ?1 AND variable = ?2")?;
        let mut rows = statement.query(params![user.0, variable.id.0])?;
        rows.next()?
            .map(|row| encode::read_value(row.get_ref(0)?, variable.variable_type))
            .transpose()
    }

    /// The users that have a value for a variable, with it.
    pub fn values_of_variable(
        &self,
        project: ProjectId,
        variable: &Variable,
    ) -> Result<Vec<(UserId, Value)>, Error> {
        let mut statement = self.statement(
            "SELECT u.id, v.value FROM users u
             JOIN shown_values v ON v.user = u.id AND v.variable = ?2
             WHERE u.project = ?1 ORDER BY u.id",
        )?;
        let mut rows = statement.query(params![project.0, variable.id.0])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            let value = encode::read_value(row.get_ref(1)?, variable.variable_type)?;
            values.push((UserId(row.get(0)?), value));
        }
        Ok(values)
    }

    /// The values on a user's profile, by the variable's name.
    pub fn profile(&self, user: UserId) -> Result<Vec<ProfileValue>, Error> {
        let mut statement = self.statement(
            "SELECT a.name, a.label, a.type, v.value, v.changed_at, v.written_at,
                    v.field, c.connector, c.id, t.name, r.record, f.property, s.unreadable
             FROM shown_values v
             JOIN variables a ON a.id = v.variable
             LEFT JOIN fields f ON f.id = v.field
             LEFT JOIN object_mappings m ON m.id = f.mapping
             LEFT JOIN connections c ON c.id = m.connection
             LEFT JOIN object_types t ON t.id = m.object_type
             LEFT JOIN records r ON r.id = v.record
             LEFT JOIN registers s ON s.record = v.record AND s.field = v.field
             WHERE v.user = ?1 ORDER BY a.name",
        )?;
        let mut rows = statement.query([user.0])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            let variable_type =
                encode::read_variable_type(row.get_ref(2)?.as_str().unwrap_or_default())?;
            let source = match row.get::<_, Option<i64>>(6)? {
                None => Source::Jimo,
                Some(_) => Source::Record {
                    connector: row.get(7)?,
                    connection: ConnectionId(row.get(8)?),
                    object_type: row.get::<_, String>(9)?.into(),
                    record: encode::read_record_id(row.get_ref(10)?)?,
                    property: row.get::<_, String>(11)?.into(),
                },
            };
            values.push(ProfileValue {
                variable: row.get(0)?,
                label: row.get(1)?,
                variable_type,
                value: encode::read_value(row.get_ref(3)?, variable_type)?,
                source,
                changed_at: timestamp(row, 4)?,
                written_at: optional_timestamp(row, 5)?.unwrap_or_default(),
                unreadable: row.get(12)?,
            });
        }
        Ok(values)
    }
}

pub(super) fn read_user(row: &rusqlite::Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        external_id: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
    })
}
